"""Whatever a task of the worker raises ends the process: nothing is acknowledged, and so lost, behind our back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def carefully(work: Awaitable[None], halt: Callable[[BaseException], None]) -> None:
    """Await ``work``; whatever it raises ends the process through ``halt``."""
    try:
        await work
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001  # the worker must stop instead of losing a record
        halt(error)
