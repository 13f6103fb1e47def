"""Lowest and highest price in effect in each of the last buckets of event time: what the daily limit looks at.

Five buckets of six hours cover the last 24 to 30 hours, so that no two prices in effect within 24 hours escape.
"""

from __future__ import annotations

import numpy as np

from pricing_core.slots import Slots
from pricing_core.state import WINDOW, State
from schemas.columns import Int64

BUCKET_MS = 6 * 3_600_000


def rolled(
    bucket: Int64, lowest: Int64, highest: Int64, current: Int64, now: Int64 | int
) -> tuple[Int64, Int64, Int64]:
    """Move windows on to ``now``: ``current`` was in effect in all buckets since the last one, and is now.

    Args:
        bucket: [n] number of the last bucket of each window.
        lowest: [n, WINDOW], bucket b in place b modulo WINDOW.
        highest: As lowest.
        current: [n] price in effect since, greater than 0.
        now: [n] or one event time, ms. A time before the last bucket counts as in it.

    Returns:
        The same three, moved on.
    """
    last = np.maximum(bucket, now // BUCKET_MS)
    place = np.arange(WINDOW)
    number = last[:, None] - (last[:, None] - place) % WINDOW  # of the bucket that belongs in each place
    fresh = number > bucket[:, None]
    present = number == last[:, None]
    price = current[:, None]
    lowest = np.where(fresh, price, np.where(present, np.minimum(lowest, price), lowest))
    highest = np.where(fresh, price, np.where(present, np.maximum(highest, price), highest))
    return last, lowest, highest


def note(state: State, slots: Slots, before: Int64, after: Int64, now: Int64) -> None:
    """Put a change of price into the windows of distinct offers.

    Args:
        state: Where the windows are.
        slots: [n] offers.
        before: [n] price in effect until now.
        after: [n] price in effect from now on.
        now: [n] event time, ms.
    """
    window = state.bucket[slots], state.lowest[slots], state.highest[slots]
    window = rolled(*rolled(*window, before, now), after, now)
    state.bucket[slots], state.lowest[slots], state.highest[slots] = window
