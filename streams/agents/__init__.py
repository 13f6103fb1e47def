"""The Faust agents: thin. They carry what arrives to the owner of the shards, and stop the worker on any error.

Faust acknowledges and loses a message whose agent raises. Ours never raise: `carefully` ends the process instead.
"""

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
