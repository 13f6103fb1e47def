"""What the scanner leaves: records decoded one by one by msgspec, and the reason why one is refused."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

from schemas.currencies import NUMERIC_CODES
from schemas.dead_letter import Reason
from schemas.source import Source
from schemas.timestamps import parse_ms

DETAIL = 200
"""Characters kept of a detail: it may quote the record."""

_OFFER_KEY = re.compile(rb"([ -9;-~]{1,64}):([ -~]{1,128})")
_decode_anything = msgspec.json.Decoder().decode


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one record is refused."""

    reason: Reason
    detail: str

    @property
    def comes_late(self) -> bool:
        """Whether it counts only if the time is no fault."""
        return self.reason is Reason.UNKNOWN_CURRENCY


class SlowLane:
    """Decodes single records of one source topic."""

    def __init__(self, source: Source[Any], max_bytes: int) -> None:
        self._source = source
        self._max_bytes = max_bytes
        self._decode = msgspec.json.Decoder(source.type).decode

    def __call__(self, key: bytes | None, value: bytes | None) -> tuple[Any, Fault | None]:
        """Decode a record: its struct, None for a removal or if it is refused; and the fault, if it has one.

        A record whose only fault is its currency keeps its event time: a fault of that comes first.
        """
        if value is None:
            return None, self._fault_of_null(key)
        struct = decode_one(self._decode, value, self._max_bytes)
        if isinstance(struct, Fault):
            return None, struct
        fault = (_key_fault(key, struct.channel, struct.sku) if self._source.keyed else None) or self._time_fault(
            struct
        )
        if fault is not None:
            return None, fault
        if getattr(struct, "currency", None) in {None, *NUMERIC_CODES}:
            return struct, None
        fault = Fault(Reason.UNKNOWN_CURRENCY, f"{struct.currency!r} is not an ISO 4217 currency")
        return msgspec.structs.replace(struct, currency="EUR"), fault

    def _fault_of_null(self, key: bytes | None) -> Fault | None:
        if not self._source.may_be_null:
            return Fault(Reason.SCHEMA_VIOLATION, "the value is null")
        if not key:
            return Fault(Reason.MISSING_KEY, "a tombstone without a key")
        if _OFFER_KEY.fullmatch(key) is None:
            return Fault(Reason.KEY_MISMATCH, f"{key[:DETAIL]!r} is not channel:sku")
        return None

    def _time_fault(self, struct: Any) -> Fault | None:
        for name in self._source.layout.times:
            text = getattr(struct, name)
            try:
                if text is not None:
                    parse_ms(text)
            except ValueError:
                return Fault(Reason.INVALID_TIMESTAMP, text or "an empty text")
        return None


def decode_one(decode: Any, value: bytes, max_bytes: int) -> Any:
    """A struct, or the fault."""
    if len(value) > max_bytes:
        return Fault(Reason.TOO_LARGE, f"{len(value)} bytes")
    if not _is_utf8(value):  # the decoder alone would not look into skipped fields
        return Fault(Reason.NOT_UTF8, "the value is not UTF-8")
    try:
        return decode(value)
    except msgspec.ValidationError as error:
        return _malformed(value) or Fault(Reason.SCHEMA_VIOLATION, str(error)[:DETAIL])
    except (msgspec.DecodeError, RecursionError) as error:
        return Fault(Reason.MALFORMED_JSON, str(error)[:DETAIL])


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _malformed(value: bytes) -> Fault | None:
    """The fault of JSON that is broken after the place where it first violated its schema."""
    try:
        _decode_anything(value)
    except msgspec.ValidationError:
        return None  # a number beyond any type, in well-formed JSON
    except (msgspec.DecodeError, RecursionError) as error:
        return Fault(Reason.MALFORMED_JSON, str(error)[:DETAIL])
    return None


def _key_fault(key: bytes | None, channel: str, sku: str) -> Fault | None:
    text = f"{channel}:{sku}"
    if not (text.isascii() and text.isprintable()) or ":" in channel:
        return Fault(Reason.SCHEMA_VIOLATION, "sku and channel are printable ASCII, the channel without a colon")
    if not key:
        return Fault(Reason.MISSING_KEY, f"the key must be {text}")
    if key != text.encode():
        return Fault(Reason.KEY_MISMATCH, f"the key {key[: DETAIL // 2]!r} must be {text}"[:DETAIL])
    return None
