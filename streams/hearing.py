"""What persons say to all shards on ``pricing-control``: run modes and experiments."""

from __future__ import annotations

from pricing_core.experiments.assignment import Experiment
from pricing_core.run_modes import ALL, scope_of
from schemas.codec import Reject, decode_run_mode
from schemas.dead_letter import Reason
from schemas.experiments import decode_experiment, is_experiment
from schemas.timestamps import parse_ms
from streams.shard import Shard


def hear(shard: Shard, offset: int, key: bytes | None, value: bytes | None) -> Reject | None:
    """Let a shard take over what a record says; a `Reject` of index 0 if that cannot be understood."""
    if is_experiment(key):
        return _hear_experiment(shard, offset, key, value)
    said = decode_run_mode(key, value)
    if isinstance(said, Reject):
        return said
    scope = scope_of(said.channel, said.category)
    shard.set_run_mode(said.mode, offset, scope)
    if scope == ALL:
        shard.breaker.hear(said.mode, offset, parse_ms(said.at))
    return None


def _hear_experiment(shard: Shard, offset: int, key: bytes | None, value: bytes | None) -> Reject | None:
    said = decode_experiment(key, value)
    if isinstance(said, Reject):
        return said
    try:
        shard.set_experiment(Experiment.of(said), offset)
    except ValueError as error:
        return Reject(0, Reason.SCHEMA_VIOLATION, str(error))
    return None
