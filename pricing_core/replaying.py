"""The engine, told what to decide instead of asking its schedule: for decisions that were made before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pricing_core import offers as offer_views
from pricing_core.deciding import decide
from pricing_core.decisions import Decisions
from pricing_core.engine import PricingEngine
from pricing_core.ladder import Ladder
from pricing_core.offers import Offers
from pricing_core.recorded import Recorded
from pricing_core.shards import Moment, ShardRows
from pricing_core.valuation import Memory, Valuation, value
from schemas.binary import BinaryArray
from schemas.columns import Bool, Int64

_BENCH = 2**30
"""Shard in which recorded offers are put for the time of one call: behind all partitions of a topic."""


@dataclass(frozen=True, slots=True)
class Question:
    """n decisions to be made again."""

    recorded: Recorded
    now: Int64
    """[n] event time, ms."""
    active: Bool
    """[n] whether prices might change: the run mode."""
    uniform: NDArray[np.float32]
    """[n] what chance said."""
    sequence: Int64
    """[n] numbers of the decisions."""
    batch: int = 0
    """Rows of the compiled call that valued their candidates, see `valuation.Valuation`."""

    def __len__(self) -> int:
        return len(self.recorded)

    def repeated(self, times: int) -> Self:
        """Each of them ``times`` times, one behind the other."""
        columns: dict[str, Any] = {
            name: np.repeat(getattr(self, name), times) for name in ("now", "active", "uniform", "sequence")
        }
        return type(self)(recorded=self.recorded.repeated(times), batch=self.batch, **columns)

    def part(self, rows: slice) -> Self:
        """Look at some of them."""
        recorded = Recorded(self.recorded.rows[rows], self.recorded.policies[rows])
        columns = (self.now[rows], self.active[rows], self.uniform[rows], self.sequence[rows])
        return type(self)(recorded, *columns, self.batch)


class ReplayingEngine(PricingEngine):
    """Makes recorded decisions again, through the code that made them."""

    _batch = 0
    """What is decided now was asked in calls of so many rows."""

    def decide_again(self, question: Question, keys: BinaryArray | None = None) -> Decisions:
        """Decide offers as they were recorded. Nothing is left behind in the engine.

        Args:
            question: At most as many as there are free rows; the same offer may occur several times.
            keys: [n] for the answer only; numbers if not given.
        """
        n = len(question)
        places = BinaryArray.of(b"%d" % place for place in range(n))
        self.open_shard(_BENCH)
        self._batch = question.batch
        try:
            self.restore(_BENCH, places, question.recorded.rows, sequence=0)
            slots = self.known(_BENCH, places)
            self._policies.rows[slots] = question.recorded.policies
            offers = offer_views.view(self._state, self._policies, slots, question.now, question.active)
            self._complete(offers.state, slots)
            names = places if keys is None else keys
            return decide(offers, names, question.sequence, question.uniform, self._ask)
        finally:
            self.drop_shard(_BENCH)

    def _ask(self, offers: Offers, ladder: Ladder, chance: NDArray[np.float32]) -> Valuation:
        return value(self.model, Memory(self._sums, self._tallies), offers, ladder, chance, at_least=self._batch)

    def put(self, shard: int, keys: BinaryArray, recorded: Recorded) -> None:
        """Overwrite offers of an open shard, known or not, with what was recorded of them."""
        now = self._shards[shard].now
        self.restore(shard, keys, recorded.rows, sequence=self._shards[shard].sequence)
        self._shards[shard].now = now
        self._policies.rows[self.known(shard, keys)] = recorded.policies

    def know(self, shard: int, keys: BinaryArray) -> None:
        """Give rows to those offers of which nothing was heard yet."""
        _, created = self._slots.find(shard, keys)
        self._state.clear(created)

    def look_at(self, shard: int, keys: BinaryArray) -> Recorded:
        """Copy what a decision about known offers would depend on."""
        slots = self.known(shard, keys)
        rows = self._state.take(slots)
        self._complete(rows, slots)
        return Recorded(rows, self._policies.rows[slots])

    def decide_named(self, shard: int, keys: BinaryArray, moment: Moment, batch: int) -> Decisions:
        """Decide the given offers of a shard, in this order, due or not, and write down what was decided."""
        record = self._shards[shard]
        record.now, self._batch = max(moment.now, record.now), batch
        due = ShardRows({shard: self.known(shard, keys)})
        return self._decide(due, {shard: moment}).decisions

    def number_from(self, shard: int, sequence: int) -> None:
        """Let the next decision of a shard have the number behind ``sequence``."""
        self._shards[shard].sequence = sequence
