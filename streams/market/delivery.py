"""Events as a broker gets them: in time order, but one in a hundred twice and one in a hundred late."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator

import numpy as np

from streams.market.events import Event

DUPLICATE_SHARE = 0.01
RESENT_WITHIN_MS = 3_600_000
LATE_SHARE = 0.01
LATE_MS = (600_000, 6 * 3_600_000)
"""Least and most delay of a late event: ten minutes to six hours."""


class Delivery:
    """Events on their way to the broker."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng((seed, 2))
        self._on_the_way: list[tuple[int, int, Event]] = []
        self._number = 0

    def deliver(self, events: Iterable[Event], end: int) -> Iterator[Event]:
        """Take events over; yield those that arrive before ``end``, in the order of their arrival."""
        for event in events:
            self._take(event)
        while self._on_the_way and self._on_the_way[0][0] < end:
            yield heapq.heappop(self._on_the_way)[2]

    def rest(self) -> Iterator[Event]:
        """Yield everything that is still on the way."""
        while self._on_the_way:
            yield heapq.heappop(self._on_the_way)[2]

    def _take(self, event: Event) -> None:
        fate, arrival = self._random.random(), event.at
        if fate < LATE_SHARE:
            arrival += int(self._random.integers(*LATE_MS))
        elif fate < LATE_SHARE + DUPLICATE_SHARE:
            self._push(arrival + int(self._random.integers(1, RESENT_WITHIN_MS)), event)
        self._push(arrival, event)

    def _push(self, arrival: int, event: Event) -> None:
        self._number += 1
        heapq.heappush(self._on_the_way, (arrival, self._number, event))
