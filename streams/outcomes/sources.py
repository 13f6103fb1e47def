"""The events of one shard as the worker counted them: without duplicates, and without what became a dead letter."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import msgspec
import numpy as np
import structlog

from schemas.binary import BinaryArray
from schemas.timestamps import parse_ms
from schemas.topics import CLICKS, DEAD_LETTERS, INVENTORY, ORDERS, PRICE_APPLIED
from streams.duplicate_window import DuplicateWindow
from streams.log_reader import Offsets, read_patiently
from streams.outcomes.decided import SOURCES
from streams.outcomes.facts import Answer, Fact, Line, Shown, Stock, Undone
from streams.records import Records
from streams.settings import Settings
from streams.transport.partition import Partition

WINDOWED = (ORDERS.name, CLICKS.name, INVENTORY.name)
"""Sources whose records have event ids."""

Event = tuple[int, bytes, Fact]
"""Offset, offer, and what the record says."""

log = structlog.get_logger(__name__)


class _Order(msgspec.Struct, gc=False):
    event_id: str
    type: Literal["placed", "cancelled", "returned"]
    order_id: str
    quantity: int
    line_total: int
    occurred_at: str


class _Click(msgspec.Struct, gc=False):
    event_id: str
    kind: Literal["impression", "click", "add_to_cart"]
    price_shown: int
    occurred_at: str
    count: int = 1


class _Count(msgspec.Struct, gc=False):
    event_id: str
    on_hand: int
    occurred_at: str


class _Applied(msgspec.Struct, gc=False):
    version: int
    status: Literal["applied", "rejected", "manual"]
    price: int
    applied_at: str


class _Letter(msgspec.Struct, gc=False):
    topic: str
    offset: int


_TYPES: dict[str, type[msgspec.Struct]] = {
    ORDERS.name: _Order,
    CLICKS.name: _Click,
    INVENTORY.name: _Count,
    PRICE_APPLIED.name: _Applied,
}
_DECODE = {name: msgspec.json.Decoder(kind).decode for name, kind in _TYPES.items()}


class ShardSources:
    """Reads the sources of one shard, each from a position of its own."""

    def __init__(self, settings: Settings, offsets: Offsets, partition: int, positions: Mapping[str, int]) -> None:
        self.positions = dict(positions)
        self.unreadable = 0
        self._config = settings.consumer_config()
        self._offsets = offsets
        self._tps = {name: Partition(f"{settings.topic_prefix}.{name}", partition) for name in SOURCES}
        self._names = {tp.topic: name for name, tp in self._tps.items()}
        self._letters = Partition(DEAD_LETTERS.full_name(settings.topic_prefix), partition)
        self._next_letter: int | None = None
        self._refused: dict[str, set[int]] = {name: set() for name in SOURCES}
        self._size = settings.duplicate_window
        self._windows = {name: DuplicateWindow(self._size) for name in WINDOWED}
        self._remember()

    def require(self) -> dict[str, int]:
        """Pass over what has expired before it was read.

        Returns:
            First offset that can still be read, of the sources where something is missing.
        """
        starts = self._offsets.start(list(self._tps.values()))
        lost = {name: starts[tp] for name, tp in self._tps.items() if starts[tp] > self.positions[name]}
        self.positions |= lost
        return lost

    def up_to(self, ends: Mapping[str, int]) -> dict[str, list[Event]]:
        """Read on. Returns the events that count, by source, in the order of their offsets."""
        self._hear_refused()
        ranges = {tp: (self.positions[name], ends[name]) for name, tp in self._tps.items()}
        found: dict[str, list[Event]] = {name: [] for name in SOURCES}
        for tp, records in read_patiently(self._config, ranges):
            found[self._names[tp.topic]] += self._read(self._names[tp.topic], records)
        self.positions |= {name: max(ends[name], self.positions[name]) for name in SOURCES}
        for name, refused in self._refused.items():
            refused -= {offset for offset in refused if offset < self.positions[name]}  # never read again
        return found

    def _remember(self) -> None:
        """Fill the duplicate windows with the records in front of the positions, as the worker does."""
        self._hear_refused()
        starts = self._offsets.start([self._tps[name] for name in WINDOWED])
        ranges = {}
        for tp, start in starts.items():
            position = self.positions[self._names[tp.topic]]
            ranges[tp] = max(start, position - self._size), position
        for tp, records in read_patiently(self._config, ranges):
            list(self._read(self._names[tp.topic], records))

    def _hear_refused(self) -> None:
        """Read which records were refused, up to what was only begun: it is waited for until it is settled.

        A decision may be visible before the letters of its own cut are.
        """
        start = self._offsets.start([self._letters])[self._letters] if self._next_letter is None else self._next_letter
        end = self._offsets.end([self._letters], committed=False)[self._letters]
        for _, records in read_patiently(self._config, {self._letters: (start, end)}):
            for value in records.values:
                letter = msgspec.json.decode(value or b"", type=_Letter)
                name = self._names.get(letter.topic)
                if name is not None and letter.offset >= self.positions[name] - self._size:
                    self._refused[name].add(letter.offset)
        self._next_letter = max(start, end)

    def _read(self, name: str, records: Records) -> Iterator[Event]:
        """Decode what was neither refused nor there before."""
        refused, kept = self._refused[name], []
        for offset, key, value in records:
            if offset not in refused and (read := self._decode(name, offset, value)) is not None:
                kept.append((offset, key or b"", *read))
        window = self._windows.get(name)
        rows: Iterable[int] = range(len(kept))
        if window is not None and kept:
            ids = BinaryArray.of(event_id for *_, event_id in kept)
            fresh = window.admit(ids, np.array([offset for offset, *_ in kept], np.int64))
            rows = rows if fresh is None else fresh.tolist()
        for row in rows:
            offset, offer, fact, _ = kept[row]
            yield offset, offer, fact

    def _decode(self, name: str, offset: int, value: bytes | None) -> tuple[Fact, bytes] | None:
        """What a record says, and its event id; None if that cannot be understood, which the worker has refused."""
        try:
            return _FACT[name](_DECODE[name](value or b""))
        except (msgspec.MsgspecError, ValueError) as error:
            self.unreadable += 1
            log.warning("record not understood", record=f"{name}/{offset}", error=str(error))
            return None


def _order(order: _Order) -> tuple[Fact, bytes]:
    event_id = order.event_id.encode()
    if order.type == "placed":
        return Line(parse_ms(order.occurred_at), order.order_id, order.quantity, order.line_total), event_id
    return Undone(parse_ms(order.occurred_at), order.order_id, order.type, order.quantity, order.line_total), event_id


def _click(click: _Click) -> tuple[Fact, bytes]:
    shown = Shown(parse_ms(click.occurred_at), click.kind, click.count, click.price_shown)
    return shown, click.event_id.encode()


def _count(count: _Count) -> tuple[Fact, bytes]:
    return Stock(parse_ms(count.occurred_at), count.on_hand), count.event_id.encode()


def _answer(applied: _Applied) -> tuple[Fact, bytes]:
    return Answer(parse_ms(applied.applied_at), applied.version, applied.status, applied.price), b""


_FACT: dict[str, Callable[[Any], tuple[Fact, bytes]]] = {
    ORDERS.name: _order,
    CLICKS.name: _click,
    INVENTORY.name: _count,
    PRICE_APPLIED.name: _answer,
}
