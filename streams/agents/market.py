"""The hot agents: one for each source whose records come as batches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from schemas.topics import HOT_SOURCES, Topic
from streams.carefully import carefully
from streams.transport.hybrid import HybridApp
from streams.transport.record_batch import RecordBatch, RecordBatchSchema

Process = Callable[[RecordBatch], Awaitable[None]]


def register(app: HybridApp, prefix: str, process: Process, halt: Callable[[BaseException], None]) -> None:
    """Give every hot source its agent."""
    for source in HOT_SOURCES:
        _register_one(app, source, prefix, process, halt)


def _register_one(
    app: HybridApp, source: Topic, prefix: str, process: Process, halt: Callable[[BaseException], None]
) -> None:
    channel = app.topic(source.full_name(prefix), schema=RecordBatchSchema(), acks=False)  # cuts commit, Faust does not

    async def apply_batches(stream: Any) -> None:
        async for batch in stream:
            await carefully(halt, process, batch)

    app.agent(channel, name=source.name)(apply_batches)
