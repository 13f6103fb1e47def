"""Bytes to columns and structs to bytes. Decoding never raises on content: a bad record becomes a `Reject`.

Two lanes. The scanner (`schemas.scanner`) takes what nearly all records are straight to integers; what it leaves,
msgspec decodes one by one, and says what is wrong with it (`schemas.slow_lane`). Everything after that is done for
the whole batch.

Unknown fields are accepted and skipped. They are not counted: the decoder does not report them.
"""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic

import msgspec
import numpy as np

from schemas import scanner
from schemas.binary import BinaryArray, Int64
from schemas.columns import Bool, Columns
from schemas.dead_letter import Reason
from schemas.events import RunModeSet
from schemas.fields import Fields
from schemas.slow_lane import DETAIL, Fault, SlowLane, decode_one
from schemas.source import C, Source
from schemas.sources import SOURCES
from schemas.timestamps import format_ms, parse_ms
from schemas.topics import Topic, control_key

MAX_BYTES = 262_144
FUTURE_TOLERANCE_MS = 3_600_000

encode = msgspec.json.Encoder().encode
"""Any struct of this package to its JSON value. (msgspec, not orjson: it knows structs and writes bytes as base64.)"""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that is refused."""

    index: int
    """Position in the record batch."""
    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded(Generic[C]):
    """A record batch, decoded. Every record is in ``columns.index`` or in ``rejects``, once."""

    columns: C
    event_ids: BinaryArray
    """Aligned with the rows of ``columns``; empty for types without one."""
    rejects: list[Reject]
    """In the order of the batch."""


class BatchDecoder(Generic[C]):
    """Decodes record batches of one source topic."""

    def __init__(
        self,
        source: Source[C],
        *,
        max_bytes: int = MAX_BYTES,
        future_tolerance_ms: int = FUTURE_TOLERANCE_MS,
    ) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._future_tolerance_ms = future_tolerance_ms
        self._slow_lane = SlowLane(source, max_bytes)

    def __call__(self, keys: BinaryArray, values: BinaryArray, received_at: int) -> Decoded[C]:
        """Decode a batch.

        Args:
            keys: Key of each of n records.
            values: Value of each record.
            received_at: Wall clock, ms: a record dated later than this plus the tolerance is refused.
        """
        fields, done = self._scan(keys, values)
        faults: dict[int, Fault] = {}  # by record; the first one counts
        if not done.all():
            fields = self._decode_rest(keys, values, np.flatnonzero(~done), fields, faults)
        time = fields.integer(self._source.time)
        horizon = received_at + self._future_tolerance_ms
        for record in np.flatnonzero(time > horizon).tolist():
            if record not in faults or faults[record].comes_late:
                faults[record] = Fault(Reason.FUTURE_TIMESTAMP, format_ms(int(time[record])))
        columns = self._source.to_columns(Columns(keys, np.arange(len(keys)), time), fields)
        self._check(columns, faults)
        event_ids = fields.text("event_id") if self._source.has_event_id else BinaryArray.of([])
        if faults:
            kept = np.delete(np.arange(len(keys)), list(faults))
            columns = columns.take(kept)
            event_ids = event_ids.take(kept) if len(event_ids) else event_ids
        rejects = [Reject(record, fault.reason, fault.detail[:DETAIL]) for record, fault in faults.items()]
        return Decoded(columns, event_ids, sorted(rejects, key=attrgetter("index")))

    def _scan(self, keys: BinaryArray, values: BinaryArray) -> tuple[Fields, Bool]:
        layout = self._source.layout
        fields, done = Fields.blank(layout, values.data, len(values)), np.zeros(len(values), np.bool_)
        keys_, values_ = (keys.data, keys.start, keys.length), (values.data, values.start, values.length)
        order = np.empty(scanner.MEMBERS, np.int64)
        scanner.scan(*layout.table, *keys_, *values_, self._max_bytes, order, fields.values, fields.lengths, done)
        return fields, done

    def _decode_rest(
        self, keys: BinaryArray, values: BinaryArray, rest: Int64, fields: Fields, faults: dict[int, Fault]
    ) -> Fields:
        """Fill in what the scanner has left; what is refused stays a row of zeros, and a fault."""
        rows, structs = rest.tolist(), []
        for record in rows:
            struct, fault = self._slow_lane(keys[record], values[record])
            structs.append(struct)
            if fault is not None:
                faults[record] = fault
        return fields.filled(rows, structs)

    def _check(self, columns: C, faults: dict[int, Fault]) -> None:
        for check in self._source.checks:
            for record in np.flatnonzero(check.refuses(columns)).tolist():
                faults.setdefault(record, Fault(check.reason, check.detail(columns, record)))


def decoder_for(
    topic: Topic, *, max_bytes: int = MAX_BYTES, future_tolerance_ms: int = FUTURE_TOLERANCE_MS
) -> BatchDecoder[Any]:
    """The decoder of a source topic.

    Args:
        topic: One of `schemas.topics.HOT_SOURCES`.
        max_bytes: A larger value is refused before it is parsed.
        future_tolerance_ms: How far ahead of our clock a producer's clock may be.
    """
    return BatchDecoder(SOURCES[topic.name], max_bytes=max_bytes, future_tolerance_ms=future_tolerance_ms)


_decode_run_mode = msgspec.json.Decoder(RunModeSet).decode


def decode_run_mode(key: bytes | None, value: bytes | None) -> RunModeSet | Reject:
    """Decode one record of ``pricing-control``; a `Reject` of index 0 if it is none.

    The key must be that of the scope, or compaction would remove another scope's mode for it.
    """
    if value is None:
        return Reject(0, Reason.SCHEMA_VIOLATION, "the value is null")
    decoded: RunModeSet | Fault = decode_one(_decode_run_mode, value, MAX_BYTES)
    if isinstance(decoded, Fault):
        return Reject(0, decoded.reason, decoded.detail)
    try:
        parse_ms(decoded.at)
    except ValueError as error:
        return Reject(0, Reason.INVALID_TIMESTAMP, str(error))
    if None not in {decoded.channel, decoded.category}:
        return Reject(0, Reason.SCHEMA_VIOLATION, "a scope is a channel or a category, not both")
    if key != (wanted := control_key(decoded.channel, decoded.category)):
        return Reject(0, Reason.KEY_MISMATCH, f"the key {(key or b'')[: DETAIL // 2]!r} must be {wanted!r}"[:DETAIL])
    return decoded
