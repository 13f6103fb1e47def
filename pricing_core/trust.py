"""What the state remembers of offers' rungs (`rungs`) and of changes of their demand, and what it adds up to."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pricing_core.decisions import Decisions
from pricing_core.rolling_sums import DAY_MS
from pricing_core.rungs import RUNGS
from pricing_core.slots import Slots, SlotTable
from pricing_core.state import State

LATELY_MS = 7 * DAY_MS
"""So long an offer counts as one that sells after its last order, and as one whose demand has changed after that."""


class Changing(NamedTuple):
    """Offers of a shard that sell."""

    offers: int
    changed: int
    """Those of them whose demand has changed lately."""


class Trust:
    """Rungs and changes of all offers of an engine."""

    def __init__(self, state: State, slots: SlotTable) -> None:
        self._state, self._slots = state, slots
        self._counts = np.zeros(len(RUNGS), np.int64)

    def by_rung(self, offers: int) -> dict[str, int]:
        """How many of all offers, known to be so many, stand on each rung; without a decision it is the lowest."""
        above: list[int] = self._counts[1:].tolist()
        return dict(zip(RUNGS, (offers - sum(above), *above), strict=True))

    def restored(self, slots: Slots) -> None:
        """Count rows that have come."""
        self._counts += np.bincount(self._state.rung[slots], minlength=len(RUNGS))

    def dropped(self, slots: Slots) -> None:
        """Count them no more."""
        self._counts -= np.bincount(self._state.rung[slots], minlength=len(RUNGS))

    def after_decisions(self, slots: Slots, decisions: Decisions) -> None:
        """Write down on which rungs distinct offers stand, and whose demand was found to have changed."""
        state, considered = self._state, slots[decisions.considered]
        self.dropped(considered)
        state.rung[considered] = decisions.rung[decisions.considered]
        self.restored(considered)
        found = decisions.demand > 0
        state.demand_changed_at[slots[found]] = decisions.now[found]

    def changing(self, shard: int, now: int) -> Changing:
        """See how many offers of a shard have other demand at an event time, ms, than they had."""
        slots = self._slots.of(shard)
        sells = self._state.last_order[slots] > now - LATELY_MS
        changed_at = self._state.demand_changed_at[slots]
        lately = sells & (changed_at > 0) & (changed_at > now - LATELY_MS)
        return Changing(int(sells.sum()), int(lately.sum()))
