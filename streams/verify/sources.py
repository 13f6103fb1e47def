"""Source topics as columns, by a decoder of the checker's own: one frame for each topic.

Records that have a dead letter are set aside; what is left must be readable, or it is neither applied nor refused.
Types are as lenient as can be: whether a record should have been refused is not judged here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import polars as pl

from schemas.topics import (
    CLICKS,
    COMMANDS,
    COMPETITOR_PRICES,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_APPLIED,
    PRICING_CONTROL,
    TICKS,
    Topic,
)
from streams.verify.log import Chunk, Log

Place = tuple[str, int, int]


class _Order(msgspec.Struct, gc=False):
    event_id: str
    type: str
    quantity: int
    line_total: int


class _Click(msgspec.Struct, gc=False):
    event_id: str
    kind: str
    count: int = 1


class _Rival(msgspec.Struct, gc=False):
    event_id: str


class _Stock(msgspec.Struct, gc=False):
    event_id: str
    on_hand: int
    occurred_at: str


class _Answer(msgspec.Struct, gc=False):
    version: int
    price: int
    applied_at: str


class _Version(msgspec.Struct, gc=False):
    version: int


class _Command(msgspec.Struct, gc=False):
    event_id: str


class _Tick(msgspec.Struct, gc=False):
    at: str


_TYPES: Final[dict[str, type[msgspec.Struct]]] = {
    ORDERS.name: _Order,
    CLICKS.name: _Click,
    COMPETITOR_PRICES.name: _Rival,
    INVENTORY.name: _Stock,
    PRICE_APPLIED.name: _Answer,
    OFFER_POLICIES.name: _Version,
    COMMANDS.name: _Command,
    TICKS.name: _Tick,
    PRICING_CONTROL.name: _Tick,
}
WITH_EVENT_ID = tuple(name for name, kind in _TYPES.items() if "event_id" in kind.__struct_fields__)
_REMOVAL = b'{"version":0}'
"""What a null value stands for on a compacted topic."""
_DTYPES = {str: pl.String, int: pl.Int64}


@dataclass(slots=True)
class Original:
    """What is at the coordinates that a dead letter names."""

    key: bytes | None
    value: bytes | None

    @property
    def sha256(self) -> str:
        """Of the value, as dead letters have it."""
        return hashlib.sha256(self.value or b"").hexdigest()


@dataclass(slots=True)
class Source:
    """What one topic holds below the cut."""

    topic: Topic
    starts: dict[int, int]
    """First offset that each partition still has: what was before is expired."""
    stops: dict[int, int]
    """First offset that is not compared, by partition."""
    ends: dict[int, int]
    """High watermark of each partition."""
    rows: pl.DataFrame
    """Partition, offset, key and the fields of each record that was not refused."""
    values: dict[Place, bytes]
    """Raw values of policies: only a few of them will be looked at."""
    originals: dict[Place, Original] = field(default_factory=dict)
    unreadable: list[Place] = field(default_factory=list)
    replays: list[tuple[Place, str]] = field(default_factory=list)
    records: int = 0

    @property
    def expired(self) -> list[str]:
        """Which records are not there any more, for a person."""
        return [
            f"{self.topic.name}/{p}: records before {start} have expired"
            for p, start in sorted(self.starts.items())
            if start > 0
        ]

    @property
    def holes(self) -> int:
        """Offsets without a record."""
        return sum(max(stop - self.starts[p], 0) for p, stop in self.stops.items()) - self.records

    def is_whole(self, partition: int) -> bool:
        """Whether nothing has expired."""
        return self.starts[partition] == 0


def read_source(
    log: Log, topic: Topic, stops: Mapping[int, int], refused: Mapping[int, set[int]], *, replays: bool
) -> Source:
    """Read one source up to ``stops``.

    Args:
        log: Raw topics.
        topic: Which one.
        stops: The cut, by partition.
        refused: Offsets that have a dead letter, by partition.
        replays: Whether to look for records that replays have published.
    """
    starts, ends = log.starts(topic), log.ends(topic)
    ranges = {p: (starts[p], min(stop, ends[p])) for p, stop in stops.items()}
    source = Source(topic, starts, dict(stops), ends, pl.DataFrame(), {})
    parse, frames = _parser(topic), [_empty(topic)]
    for chunk in log.read(topic, ranges, replays=replays):
        source.records += len(chunk.keys)
        frames.append(_take(source, chunk, refused.get(chunk.partition, set()), parse))
        source.replays += [((topic.name, chunk.partition, at), mark) for at, mark in chunk.replays.items()]
    source.rows = pl.concat(frames)
    return source


def _take(source: Source, chunk: Chunk, refused: set[int], parse: Callable[[list[bytes]], list[Any]]) -> pl.DataFrame:
    """Set aside what was refused and what cannot be read; the rest becomes columns."""
    name, partition, offsets, keys, values, _ = source.topic.name, *chunk
    if refused and not refused.isdisjoint(offsets):
        rows = [row for row, offset in enumerate(offsets) if offset in refused]
        source.originals |= {(name, partition, offsets[row]): Original(keys[row], values[row]) for row in rows}
        offsets, keys, values = _without(rows, offsets, keys, values)
    if source.topic.cleanup == "compact":
        values = [_REMOVAL if value is None else value for value in values]
    parsed = parse_all(values, parse)
    bad = [row for row, value in enumerate(parsed) if value is None] if None in parsed else []
    if bad:
        source.unreadable += [(name, partition, offsets[row]) for row in bad]
        offsets, keys, values, parsed = _without(bad, offsets, keys, values, parsed)
    if source.topic.cleanup == "compact":
        source.values |= {(name, partition, o): v for o, v in zip(offsets, values, strict=True) if v}
    return _frame(source.topic, partition, offsets, keys, parsed)


def parse_all(values: list[bytes | None], parse: Callable[[list[bytes]], list[Any]]) -> list[Any]:
    """Parse values in one go, or one by one if that fails anywhere; None where one cannot be read."""
    present = [value for value in values if value is not None]
    if len(present) == len(values):
        try:
            found = parse(present)
        except msgspec.DecodeError:
            found = []
        if len(found) == len(values):
            return found
    return [_parse_one(value, parse) for value in values]


def _parse_one(value: bytes | None, parse: Callable[[list[bytes]], list[Any]]) -> Any:
    if value is None:
        return None
    try:
        found = parse([value])
    except (msgspec.DecodeError, RecursionError):
        return None
    return found[0] if len(found) == 1 else None


def array_parser(kind: type[msgspec.Struct]) -> Callable[[list[bytes]], list[Any]]:
    """Parse many values as one JSON array: half the cost of a call for each."""
    decode = msgspec.json.Decoder(list[kind]).decode  # type: ignore[valid-type]  # the type is data here
    return lambda values: decode(b"[" + b",".join(values) + b"]")


def _parser(topic: Topic) -> Callable[[list[bytes]], list[Any]]:
    return array_parser(_TYPES[topic.name])


def _without(rows: Iterable[int], *columns: list[Any]) -> list[list[Any]]:
    gone = set(rows)
    return [[value for row, value in enumerate(column) if row not in gone] for column in columns]


def _fields(topic: Topic) -> dict[str, Any]:
    return {f.name: _DTYPES[f.type] for f in msgspec.structs.fields(_TYPES[topic.name])}


def _empty(topic: Topic) -> pl.DataFrame:
    return _frame(topic, 0, [], [], [])


def _frame(
    topic: Topic, partition: int, offsets: list[int], keys: list[bytes | None], parsed: list[Any]
) -> pl.DataFrame:
    columns = {
        name: pl.Series([getattr(row, name) for row in parsed], dtype=dtype) for name, dtype in _fields(topic).items()
    }
    return pl.DataFrame(
        {
            "partition": pl.repeat(partition, len(offsets), dtype=pl.Int64, eager=True),
            "offset": pl.Series(offsets, dtype=pl.Int64),
            "key": pl.Series(keys, dtype=pl.Binary),
            **columns,
        }
    )
