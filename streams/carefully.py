"""Whatever a task of the worker raises ends the process: nothing is acknowledged, and so lost, behind our back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec

P = ParamSpec("P")


async def carefully(
    halt: Callable[[BaseException], None], work: Callable[P, Awaitable[None]], *args: P.args, **kwargs: P.kwargs
) -> None:
    """Call and await ``work``; whatever it raises ends the process through ``halt``."""
    try:
        await work(*args, **kwargs)
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  # the worker must stop instead of losing a record
        halt(error)
