"""Records of ``pricing-control`` that are about experiments, told by their key."""

from __future__ import annotations

import msgspec

from schemas.codec import MAX_BYTES, Reject
from schemas.dead_letter import Reason
from schemas.events import ExperimentSet
from schemas.slow_lane import DETAIL, Fault, decode_one
from schemas.timestamps import parse_ms
from schemas.topics import experiment_key

PREFIX = experiment_key("")

_decode = msgspec.json.Decoder(ExperimentSet).decode


def is_experiment(key: bytes | None) -> bool:
    """Whether a record of ``pricing-control`` is about an experiment, and not a run mode."""
    return key is not None and key.startswith(PREFIX)


def decode_experiment(key: bytes | None, value: bytes | None) -> ExperimentSet | Reject:
    """Decode one record; a `Reject` of index 0 if it says nothing of use."""
    if value is None:
        return Reject(0, Reason.SCHEMA_VIOLATION, "the value is null: to end an experiment, move its end")
    decoded: ExperimentSet | Fault = decode_one(_decode, value, MAX_BYTES)
    if isinstance(decoded, Fault):
        return Reject(0, decoded.reason, decoded.detail)
    try:
        for time in (decoded.at, decoded.starts_at, decoded.ends_at):
            parse_ms(time)
    except ValueError as error:
        return Reject(0, Reason.INVALID_TIMESTAMP, str(error))
    if key != (wanted := experiment_key(decoded.experiment)):
        return Reject(0, Reason.KEY_MISMATCH, f"the key {(key or b'')[: DETAIL // 2]!r} must be {wanted!r}"[:DETAIL])
    return decoded
