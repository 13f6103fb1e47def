"""Families across shards: what is known of the prices of an offer's siblings, here and elsewhere.

The members in a shard are known directly; of those in other shards each shard says the lowest and the highest price.
What a shard hears counts for it like that of any other worker, even if that shard is here, too: so shards decide
together as each would alone. A price that is on its way to the catalog counts like one that is in effect.

Within a shard no two members of a family are decided at once: the second one sees what became of the first. Shards take
turns by event time, unless a price must move: if two moved at one time, one up and one down, both would come back, and
both go away again, for ever. Turns need nobody's leave, and clocks differ: two shards may still move at one time, each
by what it knows; by one move each, and whoever hears of it is due again.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pricing_core.offers import current_price
from pricing_core.policy_table import IMPOSSIBLE, PolicyTable
from pricing_core.schedule import Schedule
from pricing_core.shards import ShardRows
from pricing_core.slots import Slots, SlotTable
from pricing_core.state import State
from schemas.columns import NONE, AppliedColumns, Bool, Columns, Int64, PolicyColumns
from schemas.currencies import ALPHA_CODES
from schemas.offer_keys import channels_and_skus


class Prices(NamedTuple):
    """Of the members of a family that one looks at; minor units."""

    lowest: int
    highest: int
    members: int


TURN_MS = 6_000
"""How long the turn of a shard lasts: longer than from tick to tick, and than it takes to be heard. Event time."""
_GOLDEN = 0x9E3779B97F4A7C15
"""Multiples of it are spread evenly: a shard that is looked at now and then has its turn now and then, too."""
NOBODY = Prices(IMPOSSIBLE, 0, 0)
UNKNOWN = Prices(IMPOSSIBLE, 0, NONE)
"""A shard has said something that nobody understands."""


class Families:
    """The members in the open shards, and what was heard of the others. Costs nothing while no policy has a family."""

    def __init__(
        self,
        state: State,
        policies: PolicyTable,
        slots: SlotTable,
        schedule: Schedule,
    ) -> None:
        self._state = state
        self._policies = policies
        self._slots = slots
        self._schedule = schedule
        self._family_of: dict[int, tuple[int, int]] = {}
        """Shard and family of each row that is a member."""
        self._members: dict[int, dict[int, set[int]]] = {}
        """Rows by shard and family."""
        self._stirred: dict[int, set[int]] = {}
        """Families of each shard whose prices may have changed since the shard was asked."""
        self._said: dict[int, dict[int, Prices]] = {}
        """Last answer of each shard, by family."""
        self._heard: dict[int, dict[int, Prices]] = {}
        """By family and shard."""
        self._beyond: dict[int, dict[int, Prices]] = {}
        """What was heard of all shards but one, by family and that shard, as far as it was asked for."""
        self.complete = False
        """Whether all shards were heard. Until then no member's price moves, unless it must."""
        self.waiting = False
        """Whether members are due that were not taken, because of a sibling."""

    # Members here

    def open(self, shard: int) -> None:
        """Begin an empty shard. What others have heard of it may be of families that are gone."""
        self._members[shard], self._said[shard] = {}, {}
        self._stirred[shard] = {family for family, heard in self._heard.items() if shard in heard}

    def drop(self, shard: int) -> None:
        """Forget the members in a shard."""
        for rows in self._members.pop(shard).values():
            for row in rows:
                del self._family_of[row]
        del self._stirred[shard], self._said[shard]

    def place(self, shard: int, slots: Slots) -> None:
        """The policies of distinct rows have changed."""
        families = self._policies.family[slots]
        if not self._family_of and not families.any():
            return
        members, stirred = self._members[shard], self._stirred[shard]
        for row, family in zip(slots.tolist(), families.tolist(), strict=True):
            _, before = self._family_of.pop(row, (shard, 0))
            if before:
                members[before].discard(row)
                stirred.add(before)
            if family:
                self._family_of[row] = shard, family
                members.setdefault(family, set()).add(row)
                stirred.add(family)

    def after_events(self, touched: ShardRows, columns: Columns) -> None:
        """Events of this kind have changed some rows."""
        note = self.place if isinstance(columns, PolicyColumns) else self.stir
        for shard, part in touched.parts() if isinstance(columns, PolicyColumns | AppliedColumns) else ():
            note(shard, touched.slots[part])

    def stir(self, shard: int, slots: Slots) -> None:
        """The prices of some rows may have changed."""
        if self._family_of:
            self._stirred[shard].update(np.unique(self._policies.family[slots]).tolist())
            self._stirred[shard].discard(0)

    def take(self, shard: int, now: int, limit: int) -> Slots:
        """Take due offers of a shard: of each family whose turn it is the first member; the others stay due.

        Fewer than the limit mean that nothing else is due, but for siblings if `waiting`.
        """
        if not self._family_of:
            return self._schedule.take(shard, now, limit)
        parts = [np.empty(0, np.int64)]
        while limit > 0 and len(taken := self._schedule.take(shard, now, limit)):
            parts.append(self._in_turn(shard, taken, now))
            limit -= len(parts[-1])
        return self._one_of_each(shard, np.concatenate(parts), now)

    def _one_of_each(self, shard: int, slots: Slots, now: int) -> Slots:
        families = self._policies.family[slots]
        members = np.flatnonzero(families)
        later = np.delete(members, np.unique(families[members], return_index=True)[1])
        if not len(later):
            return slots
        self._schedule.put_back(shard, slots[later], now)
        self.waiting = True
        return np.delete(slots, later)

    def _in_turn(self, shard: int, slots: Slots, now: int) -> Slots:
        """Keep what is no member, must move, or belongs to a family whose turn it is; the others wait for the next."""
        families = self._policies.family[slots]
        waits = np.isin(families, [f for f in np.unique(families).tolist() if f and not self._has_turn(shard, f, now)])
        if waits.any():
            waits &= ~self._schedule.must_move(slots, now)
            self._schedule.put_back(shard, slots[waits], (now // TURN_MS + 1) * TURN_MS)
        return slots[~waits]

    def _has_turn(self, shard: int, family: int, now: int) -> bool:
        shards = sorted(self._heard.get(family, {}).keys() | {shard})
        return shards[((now // TURN_MS * _GOLDEN & 2**64 - 1) >> 32) % len(shards)] == shard

    def look(self, due: ShardRows, policy: NDArray[np.void]) -> None:
        """Write what is known of the siblings of rows [n] into their policies [n]."""
        rows = np.flatnonzero(policy["family"]) if self._family_of else np.empty(0, np.int64)
        if not len(rows):
            return
        shards = due.spread(np.array(due.shards))[rows].tolist()
        families = policy["family"][rows].tolist()
        here = self._prices_here(zip(shards, families, strict=True), but=due.slots[rows])
        there = np.array([self._elsewhere(*each) for each in zip(shards, families, strict=True)])
        known = (there[:, 2] != NONE) & self.complete
        count = np.where(known, here[:, 2] + there[:, 2], NONE)
        policy["family_low"][rows] = np.where(count > 0, np.minimum(here[:, 0], there[:, 0]), NONE)
        policy["family_high"][rows] = np.where(count > 0, np.maximum(here[:, 1], there[:, 1]), NONE)
        policy["family_count"][rows] = count

    def changed(self, shard: int) -> dict[int, Prices]:
        """Families of whose prices in a shard the others do not know yet; of no members if they are to forget it."""
        stirred = self._stirred[shard]
        if not stirred:
            return {}
        found: dict[int, Prices] = {}
        for family in sorted(stirred):
            prices = self._prices_of(shard, family)
            said = self._said[shard].get(family)
            if prices != (said or NOBODY) or (said is None and shard in self._heard.get(family, ())):
                found[family] = self._said[shard][family] = prices
                self._wake(shard, [family])
        stirred.clear()
        return found

    def terms(self, shard: int, family: int) -> tuple[str, str]:
        """Channel and currency of a family that has members in a shard."""
        row = np.array([min(self._members[shard][family])])
        channels, _ = channels_and_skus(self._slots.keys(row))
        return (channels[0] or b"").decode("ascii"), ALPHA_CODES[int(self._policies.currency[row[0]])]

    # Shards elsewhere

    def hear(self, family: int, shard: int, prices: Prices) -> None:
        """Take over what a shard says; of no members if it has none any more. Whom it concerns is due again."""
        heard = self._heard.setdefault(family, {})
        if heard.get(shard, NOBODY) == prices:
            return
        self._beyond.pop(family, None)
        heard[shard] = prices
        if prices == NOBODY:
            del heard[shard]
        elif family not in self._said.get(shard, {family}):  # by the owner before: it may be gone by now
            self._stirred[shard].add(family)
        for other in self._members.keys() - {shard}:
            self._wake(other, [family])

    def heard_all(self) -> None:
        """All that shards have said until now was heard: what had to wait for it is due at once."""
        self.complete = True
        for shard, families in self._members.items():
            self._wake(shard, families, at_once=True)

    def out_of_touch(self) -> None:
        """What shards say is not heard any more: until it is again no member's price moves, unless it must."""
        self.complete = False

    def restored(self, shard: int) -> None:
        """A shard is here as its last owner left it: its members have not heard what was said meanwhile."""
        self._wake(shard, self._members[shard])

    def _wake(self, shard: int, families: Iterable[int], *, at_once: bool = False) -> None:
        for family in families:
            rows = self._members[shard].get(family)
            if rows:
                self._schedule.wake(shard, np.array(sorted(rows)), at_once=at_once)

    # Prices

    def _elsewhere(self, shard: int, family: int) -> Prices:
        beyond = self._beyond.setdefault(family, {})
        if shard not in beyond:
            beyond[shard] = self._together_without(shard, family)
        return beyond[shard]

    def _together_without(self, shard: int, family: int) -> Prices:
        others = [prices for of, prices in self._heard.get(family, {}).items() if of != shard]
        if not others or UNKNOWN in others:
            return UNKNOWN if others else NOBODY
        lowest, highest, members = zip(*others, strict=True)
        return Prices(min(lowest), max(highest), sum(members))

    def _prices_of(self, shard: int, family: int) -> Prices:
        if not self._members[shard].get(family):
            return NOBODY
        return Prices(*self._prices_here([(shard, family)], but=np.array([NONE]))[0].tolist())

    def _prices_here(self, families: Iterable[tuple[int, int]], *, but: Slots) -> Int64:
        """Lowest, highest and number of the prices of the members in each shard, without one row each, [k, 3]."""
        groups = [self._members[shard][family] for shard, family in families]
        sizes = np.array([len(group) for group in groups])
        slots, starts = np.fromiter(chain.from_iterable(groups), np.int64), np.cumsum(sizes) - sizes
        lowest, highest, known = self._spans(slots)
        known &= slots != np.repeat(but, sizes)
        return np.stack(
            [
                np.minimum.reduceat(np.where(known, lowest, NOBODY.lowest), starts),
                np.maximum.reduceat(np.where(known, highest, NOBODY.highest), starts),
                np.add.reduceat(known.astype(np.int64), starts),
            ],
            axis=1,
        )

    def _spans(self, slots: Slots) -> tuple[Int64, Int64, Bool]:
        """Lower and higher one of the prices in effect and on their way, [k]; whether the currency is the policy's."""
        state, policies = self._state, self._policies
        current = current_price(state.price[slots], policies.list_price[slots])
        told = np.where(state.pending[slots] == 1, state.decided_price[slots], current)
        same: Bool = state.currency[slots] == policies.currency[slots]
        return np.minimum(current, told), np.maximum(current, told), same
