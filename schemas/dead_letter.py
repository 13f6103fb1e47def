"""A record that could not be applied, kept whole enough to find and replay it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.events import Timestamp

MAX_KEPT_BYTES = 64 * 1024


class Reason(StrEnum):
    """Why a record was refused. Codes are stable: dashboards and replays name them."""

    TOO_LARGE = "too_large"
    NOT_UTF8 = "not_utf8"
    MALFORMED_JSON = "malformed_json"
    SCHEMA_VIOLATION = "schema_violation"
    INVALID_TIMESTAMP = "invalid_timestamp"
    FUTURE_TIMESTAMP = "future_timestamp"
    UNKNOWN_CURRENCY = "unknown_currency"
    CURRENCY_MISMATCH = "currency_mismatch"
    MISSING_KEY = "missing_key"
    KEY_MISMATCH = "key_mismatch"
    WRONG_PARTITION = "wrong_partition"
    CONTRADICTORY_BOUNDS = "contradictory_bounds"
    SHARD_FULL = "shard_full"


class DeadLettered(msgspec.Struct, frozen=True, gc=False):
    """Topic ``dead-letters``. ``key`` and ``value`` hold the first 64 KiB; length and hash are of the whole value."""

    topic: str
    partition: int
    offset: int
    reason: Reason
    detail: str
    key: bytes | None
    value: bytes | None
    length: int
    sha256: str
    rejected_at: Annotated[Timestamp, Meta(description="Wall clock of the worker.")]
