"""The agent on pricing-control: an ordinary one, record by record, through Faust's own consumer.

The run mode is set on every partition of the topic, so each shard's owner hears it. What was set before a shard
was taken over is read by the takeover: no decision is made before the mode is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from schemas.topics import PRICING_CONTROL
from streams.carefully import carefully
from streams.transport.hybrid import HybridApp

Control = Callable[[int, int, bytes | None, bytes | None], Awaitable[None]]


def register(app: HybridApp, prefix: str, control: Control, halt: Callable[[BaseException], None]) -> None:
    """Hand every record's partition, offset, key and value to ``control``."""
    channel = app.topic(PRICING_CONTROL.full_name(prefix), key_serializer="raw", value_serializer="raw")

    async def set_run_mode(stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            await carefully(halt, control, message.partition, message.offset, message.key, message.value)

    app.agent(channel, name=PRICING_CONTROL.name)(set_run_mode)
