"""What a period of the simulated market looks like from outside: events with their times.

Views and clicks are counted per offer and period; sales are order lines, mostly of one piece; rivals and stock are
told when they change, and again every six hours.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.events import ClickRecorded, CompetitorPriceObserved, InventoryCounted, OrderRecorded
from schemas.timestamps import format_many
from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, ORDERS, Topic, offer_key

Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

CURRENCY = "EUR"
PAIR_SHARE = 0.1
"""Chance that two pieces are one order line."""
RETOLD_AFTER_MS = 6 * 3_600_000


class OfferName(NamedTuple):
    """Who an offer is."""

    channel: str
    sku: str

    @property
    def key(self) -> bytes:
        """Key of its records."""
        return offer_key(self.channel, self.sku)


@dataclass(frozen=True, slots=True)
class Period:
    """What happened in ``[start, end)``, ms. N offers, R rivals; prices are minor units."""

    start: int
    end: int
    price: Int64
    """Shown to shoppers, [N]."""
    impressions: Int64
    """[N], as are clicks, units and stock."""
    clicks: Int64
    units: Int64
    on_hand: Int64
    """At the end."""
    rival_price: Int64
    """[N, R]; 0 where an offer has fewer rivals."""
    rival_in_stock: Bool
    """[N, R]."""


class Event(NamedTuple):
    """An event, encoded. Sorts by time, then by number."""

    at: int
    """ms."""
    number: int
    topic: Topic
    key: bytes
    value: bytes

    def event_id(self, seed: int) -> str:
        """Id in a market with this seed."""
        return event_id(seed, self.number)


def event_id(seed: int, number: int) -> str:
    """Id of an event: only seed and counter, so that a second run with the same seed sends the same ids again."""
    return f"m{seed}-{number}"


class EventWriter:
    """Turns periods into events. What is random comes from the seed."""

    def __init__(self, names: Sequence[OfferName], rivals: Sequence[str], seed: int) -> None:
        self._names = names
        self._keys = [name.key for name in names]
        self._rivals = rivals
        self._seed = seed
        self._random = np.random.default_rng((seed, 1))
        self._encode = msgspec.json.Encoder().encode
        self._number = 0
        self._told_price = np.zeros((len(names), len(rivals)), np.int64)
        self._told_stock = np.zeros((len(names), len(rivals)), np.bool_)
        self._told_at = np.zeros((len(names), len(rivals)), np.int64)
        self._counted_at = np.zeros(len(names), np.int64)

    def events(self, period: Period) -> list[Event]:
        """All events of a period, by time."""
        return sorted(
            [
                *self._views(period, "impression", period.impressions),
                *self._views(period, "click", period.clicks),
                *self._order_lines(period),
                *self._competitors(period),
                *self._stock(period),
            ]
        )

    def _views(self, period: Period, kind: Literal["impression", "click"], counts: Int64) -> Iterator[Event]:
        for i, at, time in self._spread(period, np.flatnonzero(counts)):
            channel, sku = self._names[i]
            name = self._next_id()
            struct = ClickRecorded(name, kind, sku, channel, int(period.price[i]), time, int(counts[i]))
            yield self._event(CLICKS, at, i, struct)

    def _order_lines(self, period: Period) -> Iterator[Event]:
        pairs = self._random.binomial(period.units // 2, PAIR_SHARE)
        for quantity, lines in ((1, period.units - 2 * pairs), (2, pairs)):
            for i, at, time in self._spread(period, np.repeat(np.arange(len(lines)), lines)):
                channel, sku = self._names[i]
                name, total = self._next_id(), quantity * int(period.price[i])
                struct = OrderRecorded(name, "placed", f"order-{name}", sku, channel, quantity, total, CURRENCY, time)
                yield self._event(ORDERS, at, i, struct)

    def _competitors(self, period: Period) -> Iterator[Event]:
        changed = (period.rival_price != self._told_price) | (period.rival_in_stock != self._told_stock)
        old = self._told_at <= period.start - RETOLD_AFTER_MS
        offers, rivals = np.nonzero((changed | old) & (period.rival_price > 0))
        self._told_price, self._told_stock = period.rival_price.copy(), period.rival_in_stock.copy()
        self._told_at[offers, rivals] = period.start
        for (i, at, time), j in zip(self._spread(period, offers), rivals.tolist(), strict=True):
            channel, sku = self._names[i]
            price, in_stock = int(period.rival_price[i, j]), bool(period.rival_in_stock[i, j])
            struct = CompetitorPriceObserved(
                self._next_id(), sku, channel, self._rivals[j], price, CURRENCY, time, in_stock=in_stock
            )
            yield self._event(COMPETITOR_PRICES, at, i, struct)

    def _stock(self, period: Period) -> Iterator[Event]:
        due = np.flatnonzero(self._counted_at <= period.start - RETOLD_AFTER_MS)
        self._counted_at[due] = period.start
        for i, at, time in self._spread(period, due):
            channel, sku = self._names[i]
            struct = InventoryCounted(self._next_id(), sku, channel, int(period.on_hand[i]), time)
            yield self._event(INVENTORY, at, i, struct)

    def _spread(self, period: Period, offers: Int64) -> Iterator[tuple[int, int, str]]:
        """Offer, time in ms and the time's text, for events anywhere in the period."""
        times = self._random.integers(period.start, period.end, len(offers))
        yield from zip(offers.tolist(), times.tolist(), format_many(times), strict=True)

    def _next_id(self) -> str:
        self._number += 1
        return event_id(self._seed, self._number)

    def _event(self, topic: Topic, at: int, offer: int, struct: msgspec.Struct) -> Event:
        return Event(at, self._number, topic, self._keys[offer], self._encode(struct))
