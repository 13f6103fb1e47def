"""The value of a Faust event on a hot topic: consecutive records of one topic partition."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from faust.serializers.schemas import Schema

from schemas.binary import BinaryArray, Int64
from streams.transport.partition import Partition

Record = tuple[int, bytes | None, bytes | None]
"""Offset, key, value."""


@dataclass(frozen=True, slots=True, eq=False)
class RecordBatch:
    """Records ``[first_offset, next_offset)`` of one partition, as bytes.

    ``epoch`` is that of the data plane's assignment which fetched it: a batch of an older epoch is never applied.
    ``at_end`` says that the partition had nothing more behind it; an empty batch with ``at_end`` moves the position
    over control records of transactions.
    """

    topic: str
    partition: int
    epoch: int
    first_offset: int
    next_offset: int
    offsets: Int64
    keys: BinaryArray
    values: BinaryArray
    at_end: bool

    @classmethod
    def of(cls, tp: Partition, records: list[Record], *, first_offset: int, next_offset: int) -> RecordBatch:
        """Make a batch of records that were read one by one; it belongs to no assignment of the data plane."""
        offsets, keys, values = zip(*records, strict=True) if records else ((), (), ())
        return cls(
            *tp,
            epoch=-1,
            first_offset=first_offset,
            next_offset=next_offset,
            offsets=np.array(offsets, np.int64),
            keys=BinaryArray.of(keys),
            values=BinaryArray.of(values),
            at_end=False,
        )

    def __len__(self) -> int:
        return len(self.values)


class RecordBatchSchema(Schema):  # type: ignore[misc]  # Faust's classes are untyped
    """Passes a batch through undecoded: Faust acknowledges and skips what its own decoding refuses."""

    def compile(self, app: Any, **_: Any) -> Callable[..., Awaitable[Any]]:
        """Return the coroutine that turns a message into an event."""
        create_event = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:  # noqa: ARG001  # Faust's signature
            return create_event(None, message.value, None, message)

        return decode
