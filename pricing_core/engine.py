"""`PricingEngine`: the one door to the core. Columns in, `Decisions` out; no I/O, no clock, no Kafka.

A worker drives it with what it reads from its partitions; a notebook or a simulator drives the same code with
arrays. One engine holds the offers of several shards in one arena of fixed size.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pricing_core import acknowledgements, commands, periods, price_window, valuation
from pricing_core import offers as offer_views
from pricing_core.arena import Arena
from pricing_core.deciding import decide
from pricing_core.decisions import CHANGED, DecidedTogether, Decisions, Permit, Resends, no_decisions, permit_all
from pricing_core.demand.packing import WIDTH
from pricing_core.draws import uniform
from pricing_core.families import Families
from pricing_core.fold import fold
from pricing_core.grouping import Grouper
from pricing_core.intake import admit
from pricing_core.ladder import Ladder
from pricing_core.model_file import Model
from pricing_core.offers import Offers
from pricing_core.policy_table import PolicyTable
from pricing_core.rolling_sums import RollingSums
from pricing_core.run_modes import OfferModes, RunModes
from pricing_core.schedule import Intervals, Schedule
from pricing_core.shards import Moment, ShardRecord, ShardRows
from pricing_core.slots import CapacityExceeded, Slots, SlotTable
from pricing_core.state import TOTALS, DirtyRows, Rows, State, require_format, take_memory
from pricing_core.trust import Trust
from schemas.binary import BinaryArray
from schemas.codec import Reject
from schemas.columns import AppliedColumns, Columns, Int64, TickColumns

__all__ = ["CapacityExceeded", "Intervals", "Moment", "PricingEngine"]


class PricingEngine:
    """Decides prices of the offers of the open shards.

    Columns come from `schemas.codec`, or from arrays that somebody has::

        engine = PricingEngine(load_model(), seed=7)
        engine.warm_up()
        engine.open_shard(0)
        engine.apply(0, policies)
        refused = engine.apply(0, orders)
        decisions = engine.decide(0, now, "ACTIVE")

    A later model may be assigned to ``model`` between two calls; nothing compiles anew.
    """

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
        self._tallies = Arena(capacity, (WIDTH,))
        self._group = Grouper(capacity)
        self._dirty, self.trust = DirtyRows(capacity), Trust(self._state, self._slots)
        self._schedule = Schedule(self._state, self._policies, self._slots, self._intervals)
        self._shards: dict[int, ShardRecord] = {}
        self.families = Families(self._state, self._policies, self._slots, self._schedule)
        """Who drives several engines lets them hear each other here; one alone says `heard_all`."""

    def warm_up(self) -> None:
        """Compile everything, and take the memory for all offers. Nothing compiles afterwards."""
        SlotTable.warm_up()
        PolicyTable.warm_up()
        price_window.warm_up()
        for rows in (self._state.rows, self._policies.rows):
            take_memory(rows)
        for arena in (self._sums, self._tallies):
            arena.warm_up()
        valuation.warm_up(self.model, valuation.Memory(self._sums, self._tallies))

    @property
    def shards(self) -> frozenset[int]:
        """Shards that are open."""
        return self._slots.shards

    def open_shard(self, shard: int) -> None:
        """Begin an empty shard."""
        self._slots.open(shard)
        self._schedule.open(shard)
        self._shards[shard] = ShardRecord()
        self.families.open(shard)

    def drop_shard(self, shard: int) -> None:
        """Forget a shard and everything about its offers."""
        del self._shards[shard]
        self._dirty.take(shard)
        slots = self._slots.drop(shard)
        self.trust.dropped(slots)
        self._schedule.drop(shard, slots)
        self.families.drop(shard)
        self._policies.clear(slots)
        for arena in (self._sums, self._tallies):
            arena.clear(slots)

    @property
    def device_bytes(self) -> int:
        """Memory that the state takes on the device."""
        return int(self._sums.device.nbytes + self._tallies.device.nbytes)

    def sequence(self, shard: int) -> int:
        """Number of the shard's last decision; 0 before the first."""
        return self._shards[shard].sequence

    def offer_count(self, shard: int) -> int:
        """Return how many offers a shard knows."""
        return self._slots.count(shard)

    def known(self, shard: int, keys: BinaryArray) -> Slots:
        """Return the row of each key; `slots.NO_SLOT` where nothing was heard of it yet."""
        return self._slots.known(shard, keys)

    def apply(self, shard: int, columns: Columns, *, due: bool = True) -> list[Reject]:
        """Fold a batch of events into the state of a shard; returns the rows that the state refuses.

        Args:
            shard: An open shard.
            columns: Events of one kind, in the order in which they were read.
            due: False repeats what was applied already: no row becomes due or dirty but one that was never decided.
        """
        return self.apply_together({shard: columns}, due=due)[shard]

    def apply_together(self, parts: Mapping[int, Columns], *, due: bool = True) -> dict[int, list[Reject]]:
        """Fold batches of several shards, all of one kind, as `apply` does each: a fold costs as much as many rows."""
        rejects: dict[int, list[Reject]] = {shard: [] for shard in parts}
        kept: list[Columns] = []
        slots: dict[int, Slots] = {}
        for shard, columns in parts.items():
            if len(columns) and not isinstance(columns, TickColumns):
                found, created = self._slots.find(shard, columns.keys)
                self._state.clear(created)
                left, slots[shard], rejects[shard] = admit(self._state, columns, found)
                kept.append(left)
        rows = ShardRows(slots)
        if len(rows):
            self._fold(rows, type(kept[0]).joined(kept), due=due)
        return rejects

    def _fold(self, rows: ShardRows, columns: Columns, *, due: bool) -> None:
        groups = self._group(rows.slots)
        changed, answered = fold(self._state, self._policies, self._sums, groups, columns, now=self._now(rows))
        for shard in rows.shards if len(answered) else ():
            self._shards[shard].pending.difference_update(answered.tolist())
        touched = ShardRows.split(changed, rows.shards, self._slots.owner)
        self.families.after_events(touched, columns)
        if not due:
            self._schedule.after_replay(touched)
            return
        self._schedule.after_events(touched, columns, self._now(touched))
        for shard, part in touched.parts():
            self._dirty.mark(shard, touched.slots[part])

    def _now(self, rows: ShardRows) -> Int64:
        """Event time of each row's shard, [n]."""
        return rows.spread(np.array([self._shards[shard].now for shard in rows.shards], np.int64))

    def decide(self, shard: int, now: int, run_mode: str, *, limit: int = 1024) -> Decisions:
        """Decide the offers of a shard that are due, as `decide_together`, in one of `run_modes.MODES` for all."""
        return self.decide_together({shard: Moment(now, RunModes.everywhere(run_mode))}, limit=limit).decisions

    def decide_together(
        self, moments: Mapping[int, Moment], *, limit: int = 1024, permit: Permit = permit_all
    ) -> DecidedTogether:
        """Decide the due offers of several shards as each would have alone: one call of the model for all.

        Args:
            moments: Of open shards.
            limit: Fewer decisions than this in all mean that nothing else is due, but `families.waiting`.
            permit: Asked before anything is written down.
        """
        due = self._take_due(moments, limit)
        if not len(due):
            return DecidedTogether(no_decisions(), {})
        return self._decide(due, self._run_modes(due, moments), permit)

    def _run_modes(self, rows: ShardRows, moments: Mapping[int, Moment]) -> OfferModes:
        return rows.run_modes(moments, self._slots.keys(rows.slots), self._policies.category[rows.slots])

    def _decide(self, due: ShardRows, modes: OfferModes, permit: Permit) -> DecidedTogether:
        sequence = due.numbered(np.array([self._shards[shard].sequence for shard in due.shards]))
        chance = uniform(self._seed, due.spread(np.array(due.shards)), sequence)
        offers = offer_views.view(self._state, self._policies, due.slots, self._now(due), modes)
        self._complete(offers.state, due.slots)
        self._look_at_families(due, offers)
        decisions = decide(offers, self._slots.keys(due.slots), sequence, chance, self._ask)
        decided = DecidedTogether(decisions, dict(due.parts()))
        permit(decided)
        self._write_down(due, offers, decisions)
        return decided

    def _look_at_families(self, due: ShardRows, offers: Offers) -> None:
        self.families.look(due, offers.policy)

    def _take_due(self, moments: Mapping[int, Moment], limit: int) -> ShardRows:
        slots: dict[int, Slots] = {}
        self.families.waiting = False
        for shard, moment in moments.items():
            record = self._shards[shard]
            record.now = max(moment.now, record.now)
            slots[shard] = self.families.take(shard, record.now, limit)
            limit -= len(slots[shard])
        return ShardRows(slots)

    def pending_count(self, shard: int) -> int:
        """Changes of a shard that the catalog has not answered yet."""
        return len(self._shards[shard].pending)

    def drifted(self, shard: int, answers: AppliedColumns) -> Int64:
        """Return which answers say applied and show another price than was told; asked before they are folded."""
        return acknowledgements.drifted(self._state, self._slots.known(shard, answers.keys), answers)

    def overdue_acknowledgements(self, shard: int, moment: Moment) -> Resends:
        """Return the changes of a shard that the catalog has not answered in time, where prices may move."""
        state, keys = self._state, self._slots.keys
        pending = acknowledgements.pending(state, self._policies, self._shards[shard].pending)
        modes = self._run_modes(ShardRows({shard: pending}), {shard: moment})
        pending = pending[acknowledgements.may_be_sent(state, pending, modes.mode)]
        sent, given_up = acknowledgements.overdue(state, pending, moment.now, self._intervals.acknowledgement)
        self._dirty.mark(shard, np.concatenate((sent, given_up)))
        return acknowledgements.resends(state, self._policies, sent, keys(sent), keys(given_up))

    def _ask(self, offers: Offers, ladder: Ladder, chance: NDArray[np.float32]) -> valuation.Valuation:
        return valuation.value(self.model, valuation.Memory(self._sums, self._tallies), offers, ladder, chance)

    def _write_down(self, due: ShardRows, offers: Offers, decisions: Decisions) -> None:
        """Let the state know what was decided, and when each offer is due again."""
        state, slots, now = self._state, offers.slots, offers.now
        state.last_decided_at[slots], state.loop[slots] = now, decisions.loops
        priced = np.flatnonzero(offers.current > 0)
        changed = decisions.outcome == CHANGED
        price = np.where(changed, decisions.price, offers.current)
        price_window.rolled(offers.window, price, now).take(priced).put(state, slots[priced])
        periods.after_decisions(state, offers, decisions.considered, price)
        self.trust.after_decisions(slots, decisions)
        acknowledgements.expect(state, slots[changed], decisions, np.flatnonzero(changed))
        commands.after_decisions(state, slots, decisions)
        self._schedule.after_decisions(due, offers, decisions)
        for shard, rows in due.parts():
            record = self._shards[shard]
            record.sequence = int(decisions.sequence[rows][-1])
            record.pending.update(slots[rows][changed[rows]].tolist())
            self._dirty.mark(shard, slots[rows])
            self.families.stir(shard, slots[rows][changed[rows]])

    def dirty_count(self, shard: int) -> int:
        """Return how many rows of a shard have changed since its last snapshot."""
        return self._dirty.count(shard)

    def snapshot(self, shard: int) -> tuple[BinaryArray, Rows]:
        """Copy the rows of a shard that have changed since its last snapshot, with their keys."""
        slots = self._dirty.take(shard)
        rows = self._state.take(slots)
        self._complete(rows, slots)
        return self._slots.keys(slots), rows

    def _complete(self, rows: Rows, slots: Slots) -> None:
        """Add to copied rows what lies elsewhere."""
        rows["due_at"], rows["sums"] = self._state.due_at[slots], self._sums.take(slots)
        rows["tally"] = self._tallies.take(slots)

    def restore(self, shard: int, keys: BinaryArray, rows: Rows, *, sequence: int) -> None:
        """Fill an empty shard from the rows of its snapshots: the last one of every key.

        Raises:
            FormatError: A row was written by another version of this program.
            CapacityExceeded: There are not so many free rows.
        """
        require_format(rows)
        slots, record = self._slots.find_all(shard, keys), self._shards[shard]
        record.sequence = sequence
        if not len(slots):
            return
        self._state.put(slots, rows)
        self._sums.put(slots, rows["sums"])
        self._tallies.put(slots, rows["tally"])
        self._schedule.restore(shard, slots)
        self.trust.restored(slots)
        record.pending.update(slots[self._state.pending[slots] == 1].tolist())
        record.now = int(self._state.last_decided_at[slots].max())

    def totals(self, shard: int) -> dict[bytes | None, dict[str, int]]:
        """Return the exact totals of every offer of a shard, by name. For verification: slow."""
        slots = self._slots.of(shard)
        named = (dict(zip(TOTALS, row, strict=True)) for row in self._state.totals[slots].tolist())
        return dict(zip(self._slots.keys(slots), named, strict=True))
