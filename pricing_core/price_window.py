"""Lowest and highest price in effect in each of the last buckets of event time.

Five buckets of six hours cover the last 24 to 30 hours: no two prices in effect within 24 hours escape the daily limit.
Eleven buckets of three days hold the lowest prices of the last 30 to 33 days, from which a reduction is announced
(98/6/EC, Art. 6a(2): of "a period of time not shorter than 30 days"). A low price may thus count for up to three days
longer than it must; it never counts for less.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np

from pricing_core.slots import Slots
from pricing_core.state import MONTH, WINDOW, Rows, State
from schemas.columns import Int64
from schemas.compiled import kernel

BUCKET_MS = 6 * 3_600_000
LONGER = 12
"""A bucket of the month is as long as so many of the day."""
MONTH_MS = 30 * 86_400_000
"""The law asks for the prices of so long a time."""


class Window(NamedTuple):
    """Prices lately in effect of n offers."""

    bucket: Int64
    """[n] number of the last short bucket."""
    lowest: Int64
    """[n, WINDOW] bucket b in place b modulo WINDOW."""
    highest: Int64
    """As lowest."""
    month_lowest: Int64
    """[n, MONTH] long bucket b in place b modulo MONTH."""
    priced_since: Int64
    """[n] event time of the first price, ms; 0: none yet."""

    @classmethod
    def of(cls, rows: Rows) -> Self:
        """Copy from state rows [n]."""
        return cls(*(rows[name].copy() for name in cls._fields))

    def take(self, rows: Int64) -> Self:
        """Keep the given rows."""
        return type(self)(*(column[rows] for column in self))

    def put(self, state: State, slots: Slots) -> None:
        """Write to the rows of distinct offers [n]."""
        for name, column in zip(self._fields, self, strict=True):
            getattr(state, name)[slots] = column


def warm_up() -> None:
    """Compile the loop."""
    widths = (), (WINDOW,), (WINDOW,), (MONTH,), ()
    rolled(Window(*(np.zeros((1, *width), np.int64) for width in widths)), np.ones(1, np.int64), 0)


def rolled(window: Window, current: Int64, now: Int64 | int) -> Window:
    """Move windows on to ``now``: ``current`` was in effect in all buckets since the last one, and is now.

    Args:
        window: Of n offers; not changed.
        current: [n] price in effect since, greater than 0.
        now: [n] or one event time, ms. A time before the last bucket counts as in it.
    """
    moved = Window(*(column.copy() for column in window))
    times = np.array(np.broadcast_to(np.asarray(now, np.int64), current.shape))
    _roll(moved, np.ascontiguousarray(current, np.int64), times)
    return moved


@kernel
def _roll(window: Any, current: Any, now: Any) -> None:
    lowest, highest, month_lowest = window.lowest, window.highest, window.month_lowest
    for i in range(len(current)):
        price, before, last = current[i], window.bucket[i], max(window.bucket[i], now[i] // BUCKET_MS)
        window.bucket[i] = last
        for number in range(max(before + 1, last - WINDOW + 1), last + 1):
            lowest[i, number % WINDOW] = highest[i, number % WINDOW] = price
        lowest[i, last % WINDOW] = min(lowest[i, last % WINDOW], price)
        highest[i, last % WINDOW] = max(highest[i, last % WINDOW], price)
        before, last = before // LONGER, last // LONGER
        for number in range(max(before + 1, last - MONTH + 1), last + 1):
            month_lowest[i, number % MONTH] = price
        month_lowest[i, last % MONTH] = min(month_lowest[i, last % MONTH], price)
        if window.priced_since[i] == 0 and price > 0:
            window.priced_since[i] = now[i]


def note(state: State, slots: Slots, before: Int64, after: Int64, now: Int64) -> None:
    """Put a change of price into the windows of distinct offers.

    Args:
        state: Where the windows are.
        slots: [n] offers.
        before: [n] price in effect until now.
        after: [n] price in effect from now on.
        now: [n] event time, ms.
    """
    window = Window(*(getattr(state, name)[slots] for name in Window._fields))
    rolled(rolled(window, before, now), after, now).put(state, slots)
