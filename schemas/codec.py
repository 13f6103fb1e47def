"""Bytes to columns and structs to bytes. Decoding never raises on content: a bad record becomes a `Reject`.

Values are decoded one by one and not as one joined JSON array: joining saves 7 % of the decoder's time, and needs
a proof that no record can complete, split or hide another. Everything after that is done for the whole batch.

Unknown fields are accepted and skipped. They are not counted: the decoder does not report them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Generic, cast

import msgspec
import numpy as np

from schemas.columns import Bool, Columns, Int64
from schemas.dead_letter import Reason
from schemas.events import RunModeSet
from schemas.sources import SOURCES, C, Fault, Source
from schemas.timestamps import parse_many, parse_ms
from schemas.topics import Topic

Values = Sequence[bytes | None]

MAX_BYTES = 262_144
FUTURE_TOLERANCE_MS = 3_600_000
_DETAIL = 200
"""Characters kept of a detail: it may quote the record."""

encode = msgspec.json.Encoder().encode
"""Any struct of this package to its JSON value. (msgspec, not orjson: it knows structs and writes bytes as base64.)"""

_decode_anything = msgspec.json.Decoder().decode


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
    event_ids: list[str]
    """Aligned with the rows of ``columns``; empty for types without one."""
    rejects: list[Reject]
    """In the order of the batch."""


class BatchDecoder(Generic[C]):
    """Decodes record batches of one source topic."""

    def __init__(
        self,
        source: Source[Any, C],
        *,
        max_bytes: int = MAX_BYTES,
        future_tolerance_ms: int = FUTURE_TOLERANCE_MS,
    ) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._future_tolerance_ms = future_tolerance_ms
        self._decode = msgspec.json.Decoder(source.type).decode

    def __call__(self, keys: Values, values: Values, received_at: int) -> Decoded[C]:
        """Decode a batch.

        Args:
            keys: Key of each of n records.
            values: Value of each record.
            received_at: Wall clock, ms: a record dated later than this plus the tolerance is refused.
        """
        rows, index, rejects = self._parse(keys, values)
        row_keys = list(keys) if len(rows) == len(keys) else [keys[i] for i in index.tolist()]
        faults: dict[int, Fault] = {}  # by row; the first one counts
        if self._source.keyed:
            _check_keys(row_keys, rows, faults)
        columns = self._to_columns(row_keys, index, rows, received_at, faults)
        event_ids = [row.event_id for row in rows] if self._source.has_event_id else []
        if faults:
            rejects += [Reject(int(index[row]), fault.reason, fault.detail) for row, fault in faults.items()]
            rejects.sort(key=attrgetter("index"))
            kept = np.delete(np.arange(len(rows)), list(faults))
            columns = columns.take(kept)
            event_ids = [event_ids[row] for row in kept.tolist()] if event_ids else []
        return Decoded(columns, event_ids, rejects)

    def _parse(self, keys: Values, values: Values) -> tuple[list[Any], Int64, list[Reject]]:
        """Bytes to structs: all in one go, or, if that fails anywhere, with a look at each."""
        decode, present = self._decode, cast("Sequence[bytes]", values)  # a None raises TypeError below
        try:
            if _all_utf8(present, self._max_bytes):
                return [decode(value) for value in present], np.arange(len(values)), []
        except (msgspec.DecodeError, RecursionError, TypeError):
            pass  # the look at each says what it was
        parsed = list(map(self._parse_one, keys, values))
        rejects = [Reject(i, p.reason, p.detail) for i, p in enumerate(parsed) if isinstance(p, Fault)]
        good = [i for i, p in enumerate(parsed) if not isinstance(p, Fault)]
        return [parsed[i] for i in good], np.array(good, np.int64), rejects

    def _parse_one(self, key: bytes | None, value: bytes | None) -> Any:
        """A struct, or the fault."""
        if value is None:
            tombstone = self._source.tombstone
            return Fault(Reason.SCHEMA_VIOLATION, "the value is null") if tombstone is None else tombstone(key)
        return _decode_one(self._decode, value, self._max_bytes)

    def _to_columns(
        self, keys: list[Any], index: Int64, rows: list[Any], received_at: int, faults: dict[int, Fault]
    ) -> C:
        texts = self._source.times(rows)
        time, valid = parse_many(texts)
        columns = self._source.to_columns(Columns(keys, index, time), rows)
        _mark(~valid, Reason.INVALID_TIMESTAMP, texts, faults)
        _mark(time > received_at + self._future_tolerance_ms, Reason.FUTURE_TIMESTAMP, texts, faults)
        for check in self._source.checks:
            refused = check.refuses(columns)
            if refused.any():
                details = [check.detail(row) for row in rows]
                _mark(refused, check.reason, details, faults)
        return columns


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


def decode_run_mode(value: bytes | None) -> RunModeSet | Reject:
    """Decode one record of ``pricing-control``; a `Reject` of index 0 if it is none."""
    if value is None:
        return Reject(0, Reason.SCHEMA_VIOLATION, "the value is null")
    decoded: RunModeSet | Fault = _decode_one(_decode_run_mode, value, MAX_BYTES)
    if isinstance(decoded, Fault):
        return Reject(0, decoded.reason, decoded.detail)
    try:
        parse_ms(decoded.at)
    except ValueError as error:
        return Reject(0, Reason.INVALID_TIMESTAMP, str(error))
    return decoded


def _all_utf8(values: Sequence[bytes], max_bytes: int) -> bool:
    """Whether all values are UTF-8 of at most ``max_bytes``. The decoder alone would not look into skipped fields."""
    joined = b"\n".join(values)  # a line break completes no unfinished sequence
    if len(joined) > max_bytes and max(map(len, values)) > max_bytes:
        return False
    return joined.isascii() or _is_utf8(joined)


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _decode_one(decode: Any, value: bytes, max_bytes: int) -> Any:
    """A struct, or the fault."""
    if len(value) > max_bytes:
        return Fault(Reason.TOO_LARGE, f"{len(value)} bytes")
    if not _is_utf8(value):
        return Fault(Reason.NOT_UTF8, "the value is not UTF-8")
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        return _malformed(value) or Fault(Reason.SCHEMA_VIOLATION, str(error)[:_DETAIL])
    except (msgspec.DecodeError, RecursionError) as error:
        return Fault(Reason.MALFORMED_JSON, str(error)[:_DETAIL])


def _malformed(value: bytes) -> Fault | None:
    """The fault of JSON that is broken after the place where it first violated its schema."""
    try:
        _decode_anything(value)
    except msgspec.ValidationError:
        return None  # a number beyond any type, in well-formed JSON
    except (msgspec.DecodeError, RecursionError) as error:
        return Fault(Reason.MALFORMED_JSON, str(error)[:_DETAIL])
    return None


def _mark(refused: Bool, reason: Reason, details: list[str], faults: dict[int, Fault]) -> None:
    for row in np.flatnonzero(refused).tolist():
        faults.setdefault(row, Fault(reason, details[row][:_DETAIL]))


def _check_keys(keys: list[bytes | None], rows: list[Any], faults: dict[int, Fault]) -> None:
    """Every key must be the offer key of its value, in printable ASCII."""
    if not _keys_fit(keys, [f"{row.channel}:{row.sku}" for row in rows], rows):
        for i, (key, row) in enumerate(zip(keys, rows, strict=True)):
            fault = _key_fault(key, row.channel, row.sku)
            if fault is not None:
                faults[i] = fault


def _keys_fit(keys: list[bytes | None], expected: list[str], rows: list[Any]) -> bool:
    """All of `_key_fault` for a whole batch; False if any row may have a fault.

    The line breaks between the keys are the only control characters, so the joined texts are equal only if each is.
    """
    joined = "\n".join(expected).encode()
    try:
        given = b"\n".join(cast("list[bytes]", keys))
    except TypeError:  # one of them is None
        return False
    if joined != given or not joined.isascii():
        return False
    controls = np.count_nonzero(np.frombuffer(joined, np.uint8) < 0x20)
    if controls != max(len(rows) - 1, 0) or b"\x7f" in joined:  # more than the line breaks between the keys
        return False
    return joined.count(b":") == len(rows) or not any(":" in row.channel for row in rows)


def _key_fault(key: bytes | None, channel: str, sku: str) -> Fault | None:
    text = f"{channel}:{sku}"
    if not (text.isascii() and text.isprintable()) or ":" in channel:
        return Fault(Reason.SCHEMA_VIOLATION, "sku and channel are printable ASCII, the channel without a colon")
    if not key:
        return Fault(Reason.MISSING_KEY, f"the key must be {text}")
    if key != text.encode():
        return Fault(Reason.KEY_MISMATCH, f"the key {key[: _DETAIL // 2]!r} must be {text}"[:_DETAIL])
    return None
