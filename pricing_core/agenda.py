"""Which offers of a shard are to be looked at next, without searching all of them at every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pricing_core.slots import Slots
from pricing_core.state import NEVER
from schemas.columns import Bool, Int64

LOOK_AHEAD_MS = 60_000
"""The whole shard is searched once in so much event time; what comes due until then is kept at hand."""


class Agenda:
    """Due offers of one shard.

    ``due_at`` [capacity] is the truth. ``_near`` holds all rows that are due before ``_horizon`` and not yet in
    ``_ready``, possibly twice; ``queued`` [capacity] marks the rows in ``_ready``. Of rows due at the same time the
    one of the lower ``rank`` [capacity] comes first.
    """

    def __init__(self, due_at: Int64, rank: NDArray[np.uint32], queued: Bool) -> None:
        self._due_at = due_at
        self._rank = rank
        self._queued = queued
        self._ready: deque[Slots] = deque()
        self._near: list[Slots] = []
        self._horizon = -NEVER

    def set(self, slots: Slots, at: Int64) -> None:
        """Make distinct rows due at the given times, earlier or later."""
        self._due_at[slots] = at
        near = slots[at < self._horizon]
        if len(near):
            self._near.append(near)

    def take(self, now: int, limit: int, search: Callable[[int], Slots]) -> Slots:
        """Remove and return up to ``limit`` rows that are due; the caller gives each a new time.

        Args:
            now: Event time, ms.
            limit: Most rows wanted.
            search: Returns all rows of the shard that are due before a time.
        """
        if now >= self._horizon:
            self._horizon = now + LOOK_AHEAD_MS
            found = search(self._horizon)
            self._near = [found[~self._queued[found]]]
        self._promote(now)
        return self._pop(limit)

    def _promote(self, now: int) -> None:
        """Move what is due by now from near to ready, earliest first."""
        if not any(map(len, self._near)):
            return
        near = np.concatenate(self._near)
        near = near[~self._queued[near]]
        due = self._due_at[near] <= now
        self._near = [near[~due & (self._due_at[near] < self._horizon)]]
        ready = np.unique(near[due])
        if len(ready):
            self._queued[ready] = True
            self._ready.append(ready[np.lexsort((self._rank[ready], self._due_at[ready]))])

    def _pop(self, limit: int) -> Slots:
        taken: list[Slots] = []
        while self._ready and limit > 0:
            chunk = self._ready.popleft()
            taken.append(chunk[:limit])
            if len(chunk) > limit:
                self._ready.appendleft(chunk[limit:])
            limit -= len(taken[-1])
        slots = np.concatenate(taken) if taken else np.empty(0, np.int64)
        self._queued[slots] = False
        return slots
