"""A record that could not be applied, kept whole enough to find and replay it; and how far its replay has come."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

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


class Replayed(msgspec.Struct, frozen=True, gc=False):
    """Topic ``replays``: a dead letter's record was published once more, or is about to be.

    The key is the coordinates of the refused record; the last record of a key counts. ``begun`` is written before
    the record is published, ``done`` after: so a second replay knows of the first one, also of one that broke off.
    """

    topic: str
    partition: int
    offset: int
    state: Literal["begun", "done"]
    to_partition: int
    to_offset: Annotated[int, Meta(description="begun: end of the partition before, done: where the record is now.")]
    by: str
    at: Annotated[Timestamp, Meta(description="Wall clock of who replayed it.")]
