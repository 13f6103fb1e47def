"""Experiments that persons planned: on ``pricing-control``, where every shard's owner hears of them."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table

from pricing_core.experiments.assignment import Experiment
from schemas.codec import Reject
from schemas.events import ExperimentSet
from schemas.experiments import decode_experiment, is_experiment
from schemas.timestamps import format_ms, parse_ms
from schemas.topics import experiment_key
from streams.clock import wall_ms
from streams.errors import ConfigurationError, InputRefused
from streams.operate.everywhere import heard, to_every_partition
from streams.settings import Settings


def planned(settings: Settings) -> dict[str, ExperimentSet]:
    """Read the last word about every experiment, by name."""
    found = {}
    for _, key, value in heard(settings):
        if is_experiment(key):
            said = decode_experiment(key, value)
            if not isinstance(said, Reject):
                found[said.experiment] = said
    return found


def named(settings: Settings, name: str) -> ExperimentSet:
    """Find an experiment.

    Raises:
        InputRefused: There is none of this name.
    """
    known = planned(settings)
    if name not in known:
        raise InputRefused(f"there is no experiment {name!r}; there are: {', '.join(sorted(known)) or 'none'}")
    return known[name]


def begin(settings: Settings, said: ExperimentSet) -> int:
    """Plan an experiment; returns the number of partitions.

    Raises:
        InputRefused: The name was used before: its arms are known.
        ConfigurationError: It cannot be played.
    """
    if said.experiment in planned(settings):
        raise InputRefused(f"there was an experiment {said.experiment!r} already: take a new name, for new arms")
    return _publish(settings, said)


def end(settings: Settings, name: str, *, by: str, why: str) -> int:
    """End an experiment now, or a moment after its start if that lies ahead; returns the number of partitions.

    Raises:
        InputRefused: There is none of this name, or it is over.
    """
    said, now = named(settings, name), wall_ms()
    if parse_ms(said.ends_at) <= now:
        raise InputRefused(f"experiment {name!r} ended at {said.ends_at}")
    stops_at = max(now, parse_ms(said.starts_at) + 1)
    ended = msgspec.structs.replace(said, ends_at=format_ms(stops_at), by=by, why=why, at=format_ms(now))
    return _publish(settings, ended)


def _publish(settings: Settings, said: ExperimentSet) -> int:
    key, value = experiment_key(said.experiment), msgspec.json.encode(said)
    decoded = decode_experiment(key, value)  # limits are checked where it is decoded
    if isinstance(decoded, Reject):
        raise ConfigurationError(decoded.detail)
    try:
        Experiment.of(decoded)
    except ValueError as error:
        raise ConfigurationError(str(error)) from error
    return to_every_partition(settings, key, value, what=said.experiment)


def print_planned(found: dict[str, ExperimentSet], now: int, console: Console) -> None:
    """For a terminal."""
    if not found:
        console.print("no experiments; plan one with `repricer experiments plan`")
        return
    table = Table("experiment", "kind", "control", "from", "until", "is", "by", "why")
    for said in found.values():
        start, stop = parse_ms(said.starts_at), parse_ms(said.ends_at)
        standing = "planned" if now < start else "running" if now < stop else "over"
        share = f"{said.control_share_bp / 100:g} %" if said.kind == "offers" else f"blocks of {said.block_s} s"
        table.add_row(said.experiment, said.kind, share, said.starts_at, said.ends_at, standing, said.by, said.why)
    console.print(table)
