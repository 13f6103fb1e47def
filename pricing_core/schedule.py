"""When each offer is decided next: what events, decisions and cooldowns mean for its due time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pricing_core.agenda import Agenda
from pricing_core.decisions import HELD, Decisions
from pricing_core.offers import Offers, must_move, promotion_boundary
from pricing_core.policy_table import PolicyTable
from pricing_core.rules import CODE
from pricing_core.shards import ShardRows
from pricing_core.slots import Slots, SlotTable
from pricing_core.state import State
from schemas.columns import AppliedColumns, Bool, ClickColumns, Columns, CommandColumns, Int64, PolicyColumns

_BLOCKED = [CODE[name] for name in ("halted", "reducing", "paused", "paused_by_operator", "pending_acknowledgement")]
"""Holds that pass. An offer whose price must move is looked at again soon after one."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Event time, ms."""

    decision: int = 900_000
    """Least time between two decisions of an offer."""
    review: int = 21_600_000
    """An offer to which nothing happens is looked at again after this."""
    acknowledgement: int = 3_600_000
    """A change that is not answered within this is sent again."""


class Schedule:
    """Due times of the offers of all shards. A price that must move waits for no interval."""

    def __init__(self, state: State, policies: PolicyTable, slots: SlotTable, intervals: Intervals) -> None:
        self._state = state
        self._policies = policies
        self._slots = slots
        self._intervals = intervals
        self._queued = np.zeros(slots.capacity, np.bool_)
        self._agendas: dict[int, Agenda] = {}

    def open(self, shard: int) -> None:
        """Begin an empty shard."""
        self._agendas[shard] = Agenda(self._state.due_at, self._slots.rank, self._queued)

    def drop(self, shard: int, slots: Slots) -> None:
        """Forget a shard and its rows."""
        del self._agendas[shard]
        self._queued[slots] = False

    def restore(self, shard: int, slots: Slots) -> None:
        """Take over the due times that restored rows have."""
        self._agendas[shard].set(slots, self._state.due_at[slots])

    def after_events(self, touched: ShardRows, columns: Columns, now: Int64) -> None:
        """Make due what events of this kind matter to, as soon as intervals and cooldown allow.

        Clicks and the catalog's answers matter to nobody, unless a price must move now. A person's command matters at
        once.

        Args:
            touched: [m] offers.
            columns: Tell the kind.
            now: [m] event time of each offer's shard, ms.
        """
        slots = touched.slots
        if isinstance(columns, CommandColumns):
            self._bring_forward(touched, np.ones(len(slots), np.bool_), np.zeros_like(slots))
            return
        if isinstance(columns, PolicyColumns | AppliedColumns):
            self._bring_forward(touched, self.must_move(slots, now) | self._drifted(slots), np.zeros_like(slots))
        if isinstance(columns, PolicyColumns):
            begins = self._policies.promotion_from[slots]
            self._bring_forward(touched, begins > now, begins)
        if isinstance(columns, ClickColumns | AppliedColumns):
            return
        self._bring_forward(touched, self._state.due_at[slots] > now, self._soonest(slots))

    def wake(self, shard: int, slots: Slots, *, at_once: bool) -> None:
        """Make distinct rows of a shard due as soon as interval and cooldown allow; or at once."""
        at = np.zeros_like(slots) if at_once else self._soonest(slots)
        self._bring_forward(ShardRows({shard: slots}), np.ones(len(slots), np.bool_), at)

    def put_back(self, shard: int, slots: Slots, at: int) -> None:
        """Let rows that were taken be due at a time."""
        self._agendas[shard].set(slots, np.full(len(slots), at))

    def after_replay(self, touched: ShardRows) -> None:
        """Make due what has a policy and was never decided; all else keeps its time."""
        slots = touched.slots
        is_new = self._policies.present[slots] & (self._state.last_decided_at[slots] == 0)
        self._bring_forward(touched, is_new, np.zeros_like(slots))

    def after_decisions(self, due: ShardRows, offers: Offers, decisions: Decisions) -> None:
        """Look at decided offers again after the review interval, sooner for promotions and for blocked moves."""
        blocked = np.isin(decisions.code, _BLOCKED) & (offers.must != 0) & (decisions.outcome == HELD)
        soon = max(1, min(self._intervals.decision, self._intervals.review))  # at once would have no end
        again = offers.now + np.where(blocked, soon, self._intervals.review)
        again = np.minimum(again, promotion_boundary(offers.policy, offers.now))
        for shard, rows in due.parts():
            self._agendas[shard].set(due.slots[rows], again[rows])

    def take(self, shard: int, now: int, limit: int) -> Slots:
        """Take up to ``limit`` due offers. Those in their cooldown go back until it ends, without a record."""
        agenda, due = self._agendas[shard], [np.empty(0, np.int64)]
        while limit > 0:
            slots = agenda.take(now, limit, lambda before: self._search(shard, before))
            if not len(slots):
                break
            end = self._cooldown_end(slots)
            cooling = end > now
            if cooling.any():
                cooling &= ~self.must_move(slots, now)
                end = np.minimum(end, promotion_boundary(self._policies.take(slots), np.full(len(slots), now)))
            agenda.set(slots[cooling], end[cooling])
            due.append(slots[~cooling])
            limit -= len(due[-1])
        return np.concatenate(due)

    def _search(self, shard: int, before: int) -> Slots:
        used = self._slots.used_below
        return np.flatnonzero((self._state.due_at[:used] < before) & (self._slots.owner[:used] == shard))

    def _bring_forward(self, touched: ShardRows, chosen: Bool, at: Int64) -> None:
        """Make the chosen ones [m] of the touched offers due at the given times [m], unless they are due earlier."""
        sooner = chosen & (at < self._state.due_at[touched.slots])
        for shard, part in touched.parts() if sooner.any() else ():
            rows = sooner[part]
            self._agendas[shard].set(touched.slots[part][rows], at[part][rows])

    def _soonest(self, slots: Slots) -> Int64:
        """When rows may be decided again."""
        decided = self._state.last_decided_at[slots]
        interval = np.where(self._policies.present[slots], self._intervals.decision, self._intervals.review)
        return np.where(decided > 0, np.maximum(decided + interval, self._cooldown_end(slots)), 0)

    def _cooldown_end(self, slots: Slots) -> Int64:
        last_change = self._state.last_change_at[slots]
        return np.where(last_change > 0, last_change + self._policies.cooldown_ms[slots], 0)

    def _drifted(self, slots: Slots) -> Bool:
        """Whose change the catalog says to have applied, and has not: once, it is decided again without waiting."""
        waits = self._state.pending[slots] == 1
        drifted: Bool = (self._state.drifts[slots] == 1) & (self._state.last_change_at[slots] == 0) & ~waits
        return drifted

    def must_move(self, slots: Slots, now: Int64 | int) -> Bool:
        """Whether prices must move, or a person has said something, [n]."""
        times = np.broadcast_to(np.asarray(now, np.int64), slots.shape)
        moving = must_move(self._state.take(slots), self._policies.take(slots), times) != 0
        told: Bool = moving | (self._state.command[slots] != 0)
        return told
