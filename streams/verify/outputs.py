"""What the worker has published, as the checker reads it: decisions, price changes, dead letters, replays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import polars as pl

from schemas.topics import DEAD_LETTERS, PRICE_CHANGES, PRICE_DECISIONS, REPLAYS, Topic
from streams.verify.causes import Decision, own_bounds_fault, unnamed_cause
from streams.verify.changelog import SOURCES
from streams.verify.log import Log
from streams.verify.sources import Place, array_parser, parse_all

_DECISION_ID = re.compile(r"(\d{1,9})-(\d{1,18})")


class _Change(msgspec.Struct, gc=False):
    decision_id: str
    version: int
    price: int
    policy_version: int
    currency: str
    valid_from: str


class Letter(msgspec.Struct, gc=False):
    """A dead letter, and where it is itself."""

    topic: str
    partition: int
    offset: int
    reason: str
    key: bytes | None
    value: bytes | None
    length: int
    sha256: str
    at: str = ""

    @property
    def place(self) -> Place:
        """Of the record that was refused; the topic by its short name once `read_letters` has cut the prefix off."""
        return (self.topic, self.partition, self.offset)


class Replay(msgspec.Struct, gc=False):
    """How far a replay has come."""

    topic: str
    partition: int
    offset: int
    state: str
    to_partition: int
    to_offset: int


@dataclass(slots=True)
class Outputs:
    """One output topic."""

    topic: Topic
    starts: dict[int, int]
    rows: pl.DataFrame
    unreadable: list[str] = field(default_factory=list)

    def is_whole(self, partition: int) -> bool:
        """Whether nothing has expired."""
        return self.starts[partition] == 0

    @property
    def expired(self) -> list[str]:
        """Which records are not there any more, for a person."""
        gone = ((p, start) for p, start in sorted(self.starts.items()) if start > 0)
        return [f"{self.topic.name}/{p}: records before {start} have expired" for p, start in gone]


def read_decisions(log: Log) -> Outputs:
    """Read all decisions. Faults that a decision shows by itself are columns, so that the records need not be kept."""
    schema = {
        "partition": pl.Int64,
        "offset": pl.Int64,
        "key": pl.Binary,
        "id": pl.String,
        "id_partition": pl.Int64,
        "sequence": pl.Int64,
        "outcome": pl.String,
        "price": pl.Int64,
        "previous_price": pl.Int64,
        "version": pl.Int64,
        "policy_version": pl.Int64,
        "reason": pl.String,
        "decided_at": pl.String,
        "run_mode": pl.String,
        "command": pl.Int64,
        "bounds_fault": pl.String,
        "cause_fault": pl.String,
        **{f"applied_{name}": pl.Int64 for name in SOURCES},
    }
    return _read(log, PRICE_DECISIONS, Decision, schema, _decision_row)


def read_changes(log: Log) -> Outputs:
    """Read all price changes."""
    schema = {
        "partition": pl.Int64,
        "offset": pl.Int64,
        "key": pl.Binary,
        "id": pl.String,
        "id_partition": pl.Int64,
        "sequence": pl.Int64,
        "version": pl.Int64,
        "price": pl.Int64,
        "policy_version": pl.Int64,
        "currency": pl.String,
        "valid_from": pl.String,
    }
    return _read(log, PRICE_CHANGES, _Change, schema, _change_row)


def read_letters(log: Log, prefix: str) -> tuple[list[Letter], list[str]]:
    """Read all dead letters; topics get their short names. Returns what cannot be read, too."""
    letters, unreadable = [], []
    for place, value in _values(log, DEAD_LETTERS):
        try:
            letter = msgspec.json.decode(value or b"", type=Letter)
        except msgspec.DecodeError as error:
            unreadable.append(f"{place}: {error}")
            continue
        letter.topic, letter.at = letter.topic.removeprefix(f"{prefix}."), place
        letters.append(letter)
    return letters, unreadable


def read_replays(log: Log, prefix: str) -> list[Replay]:
    """Read the last word on every replay; topics get their short names."""
    last = {}
    for _, value in _values(log, REPLAYS):
        if value is not None:
            replay = msgspec.json.decode(value, type=Replay)
            replay.topic = replay.topic.removeprefix(f"{prefix}.")
            last[replay.topic, replay.partition, replay.offset] = replay
    return list(last.values())


def _values(log: Log, topic: Topic) -> Iterator[tuple[str, bytes | None]]:
    starts, ends = log.starts(topic), log.ends(topic)
    for chunk in log.read(topic, {p: (starts[p], end) for p, end in ends.items()}):
        for offset, value in zip(chunk.offsets, chunk.values, strict=True):
            yield f"{topic.name}/{chunk.partition}/{offset}", value


def _read(log: Log, topic: Topic, kind: type[Any], schema: dict[str, Any], to_row: Any) -> Outputs:
    starts, ends = log.starts(topic), log.ends(topic)
    parse, frames, unreadable = array_parser(kind), [pl.DataFrame(schema=schema)], []
    for chunk in log.read(topic, {p: (starts[p], end) for p, end in ends.items()}):
        rows = []
        for offset, key, found in zip(chunk.offsets, chunk.keys, parse_all(chunk.values, parse), strict=True):
            row = None if found is None else to_row(found)
            if row is None:
                unreadable.append(f"{topic.name}/{chunk.partition}/{offset}: cannot be read")
            else:
                rows.append((chunk.partition, offset, key, *row))
        frames.append(pl.DataFrame(rows, schema=schema, orient="row"))
    return Outputs(topic, starts, pl.concat(frames), unreadable)


def _decision_row(d: Decision) -> tuple[Any, ...] | None:
    found = _DECISION_ID.fullmatch(d.decision_id)
    if found is None:
        return None
    return (
        d.decision_id,
        *map(int, found.groups()),
        d.outcome,
        d.price,
        d.previous_price,
        d.version,
        d.policy_version,
        d.reason,
        d.decided_at,
        d.run_mode,
        d.command,
        own_bounds_fault(d),
        unnamed_cause(d),
        *(d.applied.get(name) for name in SOURCES),
    )


def _change_row(c: _Change) -> tuple[Any, ...] | None:
    found = _DECISION_ID.fullmatch(c.decision_id)
    if found is None:
        return None
    numbers = map(int, found.groups())
    return (c.decision_id, *numbers, c.version, c.price, c.policy_version, c.currency, c.valid_from)
