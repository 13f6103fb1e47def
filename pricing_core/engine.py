"""`PricingEngine`: the one door to the core. Columns in, `Decisions` out; no I/O, no clock, no Kafka.

A worker drives it with what it reads from its partitions; a notebook or a simulator drives the same code with
arrays. One engine holds the offers of several shards in one arena of fixed size.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pricing_core import acknowledgements, fold, price_window, valuation
from pricing_core import offers as offer_views
from pricing_core.agenda import Agenda
from pricing_core.deciding import decide
from pricing_core.decisions import CHANGED, HELD, Decisions, Resends, no_decisions
from pricing_core.draws import uniform
from pricing_core.grouping import Grouper, Groups
from pricing_core.intake import admit
from pricing_core.ladder import Ladder
from pricing_core.model_file import Model
from pricing_core.offers import Offers
from pricing_core.policy_table import PolicyTable
from pricing_core.rolling_sums import RollingSums
from pricing_core.slots import NO_SLOT, Slots, SlotTable
from pricing_core.state import TOTALS, DirtyRows, Rows, State, require_format
from schemas.codec import Reject
from schemas.columns import (
    AppliedColumns,
    ClickColumns,
    Columns,
    CompetitorColumns,
    Int64,
    InventoryColumns,
    OrderColumns,
    PolicyColumns,
    TickColumns,
)

_BLOCKED = frozenset({"halted", "paused", "pending_acknowledgement"})
"""Holds that pass. An offer whose price is out of bounds is looked at again soon after one."""


@dataclass(frozen=True, slots=True)
class Intervals:
    """Event time, ms."""

    decision: int = 900_000
    """Least time between two decisions of an offer."""
    review: int = 21_600_000
    """An offer to which nothing happens is looked at again after this."""
    acknowledgement: int = 3_600_000
    """A change that is not answered within this is sent again."""


class CapacityExceeded(ValueError):
    """A shard has more offers than there are free rows."""


@dataclass(slots=True)
class _Shard:
    agenda: Agenda
    sequence: int = 0
    now: int = 0
    pending: set[int] = field(default_factory=set)
    """Rows whose change is not answered yet."""


class PricingEngine:
    """Decides prices of the offers of the open shards."""

    def __init__(
        self, model: Model, *, capacity: int = 65_536, seed: int = 0, intervals: Intervals | None = None
    ) -> None:
        self.model = model
        self._seed = seed
        self._intervals = intervals or Intervals()
        self._slots = SlotTable(capacity)
        self._state = State(capacity)
        self._policies = PolicyTable(capacity)
        self._sums = RollingSums(capacity)
        self._group = Grouper(capacity)
        self._dirty = DirtyRows(capacity)
        self._queued = np.zeros(capacity, np.bool_)
        self._shards: dict[int, _Shard] = {}

    def warm_up(self) -> None:
        """Compile everything. Nothing compiles afterwards."""
        self._sums.warm_up()
        valuation.warm_up(self.model, self._sums)

    # Shards

    @property
    def shards(self) -> frozenset[int]:
        """Shards that are open."""
        return self._slots.shards

    def open_shard(self, shard: int) -> None:
        """Begin an empty shard."""
        self._slots.open(shard)
        self._shards[shard] = _Shard(Agenda(self._state.due_at, self._queued))

    def drop_shard(self, shard: int) -> None:
        """Forget a shard and everything about its offers."""
        del self._shards[shard]
        self._dirty.take(shard)
        slots = self._slots.drop(shard)
        self._queued[slots] = False
        self._state.clear(slots)
        self._policies.clear(slots)
        self._sums.clear(slots)

    def sequence(self, shard: int) -> int:
        """Number of the shard's last decision; 0 before the first."""
        return self._shards[shard].sequence

    def unknown_keys(self, shard: int, keys: list[bytes]) -> list[bytes]:
        """Return the distinct keys of which nothing was heard yet."""
        return self._slots.unknown(shard, keys)

    # Events

    def apply(self, shard: int, columns: Columns, *, due: bool = True) -> list[Reject]:
        """Fold a batch of events into the state of a shard.

        Args:
            shard: An open shard.
            columns: Events of one kind, in the order in which they were read.
            due: False repeats what was applied once already: no row becomes due or dirty by it, but for an offer
                that was never decided.

        Returns:
            The rows that the state refuses; all others are folded in.
        """
        if not len(columns) or isinstance(columns, TickColumns):
            return []
        slots, created = self._slots.find(shard, columns.keys)
        self._state.clear(created)
        columns, slots, rejects = admit(self._state, columns, slots)
        if len(columns):
            touched = self._fold(self._shards[shard], self._group(slots), columns)
            if due:
                self._dirty.mark(shard, touched)
                self._make_due(self._shards[shard], touched, columns)
            else:
                self._make_new_due(self._shards[shard], touched)
        return rejects

    def _fold(self, shard: _Shard, groups: Groups, columns: Columns) -> Slots:
        """Return the distinct rows that have changed."""
        match columns:
            case OrderColumns():
                fold.fold_orders(self._state, self._sums, groups, columns)
            case ClickColumns():
                fold.fold_clicks(self._state, self._sums, groups, columns)
            case CompetitorColumns():
                fold.fold_competitors(self._state, groups, columns)
            case InventoryColumns():
                fold.fold_inventory(self._state, groups, columns)
            case PolicyColumns():
                return fold.fold_policies(self._state, self._policies, groups, columns)
            case AppliedColumns():
                answered = fold.fold_applied(self._state, groups, columns, self._policies.list_price, shard.now)
                shard.pending.difference_update(answered.tolist())
            case _:
                raise TypeError(f"{type(columns).__name__} are no events")
        return groups.touched

    def _make_due(self, shard: _Shard, touched: Slots, columns: Columns) -> None:
        """Make due what events of this kind matter to, as soon as intervals and cooldown allow."""
        if isinstance(columns, PolicyColumns | AppliedColumns):
            outside = touched[self._is_out_of_bounds(touched)]
            shard.agenda.bring_forward(outside, np.zeros(len(outside), np.int64))
        if isinstance(columns, ClickColumns | AppliedColumns):
            return
        later = touched[self._state.due_at[touched] > shard.now]
        decided = self._state.last_decided_at[later]
        interval = np.where(self._policies.present[later], self._intervals.decision, self._intervals.review)
        at = np.where(decided > 0, np.maximum(decided + interval, self._cooldown_end(later)), 0)
        shard.agenda.bring_forward(later, at)

    def _make_new_due(self, shard: _Shard, touched: Slots) -> None:
        new = touched[self._policies.present[touched] & (self._state.last_decided_at[touched] == 0)]
        shard.agenda.bring_forward(new, np.zeros(len(new), np.int64))

    # Decisions

    def decide(self, shard: int, now: int, run_mode: str, *, limit: int = 1024) -> Decisions:
        """Decide the offers of a shard that are due, at most ``limit`` of them.

        Args:
            shard: An open shard.
            now: Event time, ms; it does not go back.
            run_mode: In any other than "ACTIVE" prices stay.
            limit: Fewer decisions than this mean that nothing else is due.
        """
        record = self._shards[shard]
        record.now = now = max(now, record.now)
        slots = self._take_due(shard, now, limit)
        if not len(slots):
            return no_decisions(now)
        offers = offer_views.view(self._state, self._policies, slots, now, run_mode)
        sequence = record.sequence + 1 + np.arange(len(slots))
        chance = uniform(self._seed, shard, sequence)
        decisions = decide(offers, self._slots.keys(slots), sequence, chance, self._ask)
        self._write_down(shard, offers, decisions)
        return decisions

    def overdue_acknowledgements(self, shard: int, now: int) -> Resends:
        """Return the changes of a shard that the catalog has not answered in time."""
        record = self._shards[shard]
        pending = np.sort(np.fromiter(record.pending, np.int64, len(record.pending)))
        sent, alarmed = acknowledgements.overdue(self._state, pending, now, self._intervals.acknowledgement)
        self._dirty.mark(shard, np.concatenate((sent, alarmed)))
        return acknowledgements.resends(self._state, self._policies, sent, self._slots.keys(sent), len(alarmed))

    def _ask(self, offers: Offers, ladder: Ladder, chance: NDArray[np.float32]) -> valuation.Valuation:
        return valuation.value(self.model, self._sums, offers, ladder, chance)

    def _take_due(self, shard: int, now: int, limit: int) -> Slots:
        """Take due offers from the agenda. Those in their cooldown go back until it ends, without a record."""
        agenda, due = self._shards[shard].agenda, [np.empty(0, np.int64)]
        while limit > 0:
            slots = agenda.take(now, limit, lambda before: self._search(shard, before))
            if not len(slots):
                break
            end = self._cooldown_end(slots)
            cooling = (end > now) & ~self._is_out_of_bounds(slots)
            agenda.set(slots[cooling], end[cooling])
            due.append(slots[~cooling])
            limit -= len(due[-1])
        return np.concatenate(due)

    def _search(self, shard: int, before: int) -> Slots:
        used = self._slots.used_below
        return np.flatnonzero((self._state.due_at[:used] < before) & (self._slots.owner[:used] == shard))

    def _cooldown_end(self, slots: Slots) -> Int64:
        last_change = self._state.last_change_at[slots]
        return np.where(last_change > 0, last_change + self._policies.cooldown_ms[slots], 0)

    def _is_out_of_bounds(self, slots: Slots) -> NDArray[np.bool_]:
        current = offer_views.current_price(self._state.price[slots], self._policies.list_price[slots])
        return offer_views.is_out_of_bounds(current, self._policies.low[slots], self._policies.high[slots])

    def _write_down(self, shard: int, offers: Offers, decisions: Decisions) -> None:
        """Let the state know what was decided, and when each offer is due again."""
        record, state, slots, now = self._shards[shard], self._state, offers.slots, offers.now
        record.sequence = int(decisions.sequence[-1])
        state.last_decided_at[slots] = now
        priced = offers.current > 0
        window = offers.bucket, offers.lowest, offers.highest
        changed = decisions.outcome == CHANGED
        window = price_window.rolled(*window, np.where(changed, decisions.price, offers.current), now)
        state.bucket[slots[priced]], state.lowest[slots[priced]], state.highest[slots[priced]] = (
            column[priced] for column in window
        )
        acknowledgements.expect(state, slots[changed], decisions, np.flatnonzero(changed))
        record.pending.update(slots[changed].tolist())
        blocked = offers.out_of_bounds & (decisions.outcome == HELD) & [code in _BLOCKED for code in decisions.code]
        wait = np.where(blocked, min(self._intervals.decision, self._intervals.review), self._intervals.review)
        record.agenda.set(slots, now + wait)
        self._dirty.mark(shard, slots)

    # The log

    def dirty_count(self, shard: int) -> int:
        """Return how many rows of a shard have changed since its last snapshot."""
        return self._dirty.count(shard)

    def snapshot(self, shard: int) -> tuple[list[bytes], Rows]:
        """Copy the rows of a shard that have changed since its last snapshot, with their keys."""
        slots = self._dirty.take(shard)
        rows = self._state.take(slots)
        rows["due_at"], rows["sums"] = self._state.due_at[slots], self._sums.take(slots)
        return self._slots.keys(slots), rows

    def restore(self, shard: int, keys: list[bytes], rows: Rows, *, sequence: int) -> None:
        """Fill an empty shard from the rows of its snapshots: the last one of every key.

        Raises:
            FormatError: A row was written by another version of this program.
            CapacityExceeded: There are not so many free rows.
        """
        require_format(rows)
        slots, _ = self._slots.find(shard, keys)
        if (slots == NO_SLOT).any():
            raise CapacityExceeded(f"shard {shard} has {len(keys)} offers, {self._slots.capacity} fit into the engine")
        record = self._shards[shard]
        record.sequence = sequence
        if not len(slots):
            return
        self._state.put(slots, rows)
        self._sums.put(slots, rows["sums"])
        record.agenda.set(slots, self._state.due_at[slots])
        record.pending.update(slots[self._state.pending[slots] == 1].tolist())
        record.now = int(self._state.last_decided_at[slots].max())

    def totals(self, shard: int) -> dict[bytes, dict[str, int]]:
        """Return the exact totals of every offer of a shard, by name. For verification: slow."""
        slots = self._slots.of(shard)
        rows = self._state.totals[slots].tolist()
        return {
            key: dict(zip(TOTALS, row, strict=True)) for key, row in zip(self._slots.keys(slots), rows, strict=True)
        }
