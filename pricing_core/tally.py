"""What happened in a shard within the last minutes of event time, counted: what the breaker judges by."""

from __future__ import annotations

import msgspec
import numpy as np

from schemas.columns import Int64

MINUTE_MS = 60_000
MINUTES = 6
"""The one that is running and five whole ones: no two changes within five minutes escape the window."""
PRICES_KEPT = 8
"""Most frequent prices of a minute that are remembered."""


class Tally(msgspec.Struct, array_like=True):
    """What happened within a time, counted."""

    moved: int = 0
    """Prices that changed, but for ordered moves."""
    repeated: int = 0
    """Of them those that were not the offer's first."""
    notable: int = 0
    """Of these the ones of more than a routine move."""
    distance_bp: int = 0
    """Sum of the sizes of repeated moves."""
    extreme: int = 0
    """Of all that moved, those of more than the largest move."""
    answered: int = 0
    """Answers of the catalog to price changes."""
    rejected: int = 0
    asked: int = 0
    """Answers of the model."""
    anomalous: int = 0
    """Of them those that are no number, or a price that the mask forbids."""
    reached: dict[int, int] = {}
    """How often each of the most frequent new prices was reached."""
    left: dict[int, int] = {}
    """The same of the prices before."""

    def __add__(self, other: Tally) -> Tally:
        """Count what both have counted."""
        return Tally(
            self.moved + other.moved,
            self.repeated + other.repeated,
            self.notable + other.notable,
            self.distance_bp + other.distance_bp,
            self.extreme + other.extreme,
            self.answered + other.answered,
            self.rejected + other.rejected,
            self.asked + other.asked,
            self.anomalous + other.anomalous,
            _together(self.reached, other.reached),
            _together(self.left, other.left),
        )


NOTHING = Tally()


class Window(msgspec.Struct):
    """The last minutes of a shard."""

    minutes: dict[int, Tally] = {}
    """By number of the minute, event time."""
    whole: Tally = msgspec.field(default_factory=Tally)
    """All of them together."""

    def move_on(self, now: int) -> None:
        """Forget what lies too far back.

        Args:
            now: Event time, ms; it does not go back.
        """
        oldest = now // MINUTE_MS - MINUTES
        if any(number <= oldest for number in self.minutes):
            self.minutes = {number: tally for number, tally in self.minutes.items() if number > oldest}
            self.whole = sum(self.minutes.values(), NOTHING)

    def add(self, tally: Tally, now: int) -> None:
        """Count what happens now."""
        self.move_on(now)
        minute = now // MINUTE_MS
        self.minutes[minute] = self.minutes.get(minute, NOTHING) + tally
        self.whole += tally


def frequencies(prices: Int64) -> dict[int, int]:
    """Count how often each of the most frequent of [n] prices occurs."""
    values, counts = np.unique(prices, return_counts=True)
    if len(values) > PRICES_KEPT:
        most = np.lexsort((values, -counts))[:PRICES_KEPT]
        values, counts = values[most], counts[most]
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _together(some: dict[int, int], others: dict[int, int]) -> dict[int, int]:
    """Add counts up, and keep those of the most frequent prices."""
    if not some or not others:
        return some or others
    counts = some | {price: some.get(price, 0) + count for price, count in others.items()}
    if len(counts) <= PRICES_KEPT:
        return counts
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:PRICES_KEPT])
