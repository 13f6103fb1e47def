"""The engine, told what to decide instead of asking its schedule: for decisions that were made before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from pricing_core import offers as offer_views
from pricing_core.breaker import withhold
from pricing_core.deciding import decide
from pricing_core.decisions import Decisions, Permit
from pricing_core.engine import PricingEngine
from pricing_core.ladder import Ladder
from pricing_core.offers import Offers
from pricing_core.recorded import Recorded
from pricing_core.run_modes import OfferModes
from pricing_core.shards import ShardRows
from pricing_core.valuation import Memory, Valuation, value
from schemas.binary import BinaryArray
from schemas.columns import Bool, Int8, Int64

_BENCH = 2**30
"""Shard in which recorded offers are put for the time of one call: behind all partitions of a topic."""


class Withheld(NamedTuple):
    """What the breaker has said to n decisions, [n] each."""

    stopped: Bool
    limit: Int64
    value: Int64
    """The two are said of those that it has stopped."""

    def at(self, rows: Int64 | slice) -> Withheld:
        """Look at some of them, or repeat them."""
        return Withheld(self.stopped[rows], self.limit[rows], self.value[rows])


@dataclass(frozen=True, slots=True)
class Question:
    """n decisions to be made again."""

    recorded: Recorded
    now: Int64
    """[n] event time, ms."""
    mode: Int8
    """[n] run modes: numbers of `run_modes.MODES`."""
    scope: Int8
    """[n] who had set them: numbers of `run_modes.SCOPES`."""
    uniform: NDArray[np.float32]
    """[n] what chance said."""
    sequence: Int64
    """[n] numbers of the decisions."""
    batch: int = 0
    """Rows of the compiled call that valued their candidates, see `valuation.Valuation`."""
    withheld: Withheld | None = None
    """Which of them the breaker has stopped; None: none."""

    def __len__(self) -> int:
        return len(self.recorded)

    def repeated(self, times: int) -> Self:
        """Each of them ``times`` times, one behind the other."""
        columns: dict[str, Any] = {
            name: np.repeat(getattr(self, name), times) for name in ("now", "mode", "scope", "uniform", "sequence")
        }
        withheld = None if self.withheld is None else self.withheld.at(np.repeat(np.arange(len(self)), times))
        return type(self)(recorded=self.recorded.repeated(times), batch=self.batch, withheld=withheld, **columns)

    def part(self, rows: slice) -> Self:
        """Look at some of them."""
        recorded = Recorded(self.recorded.rows[rows], self.recorded.policies[rows])
        columns = (self.now[rows], self.mode[rows], self.scope[rows], self.uniform[rows], self.sequence[rows])
        withheld = None if self.withheld is None else self.withheld.at(rows)
        return type(self)(recorded, *columns, self.batch, withheld)


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
            modes = OfferModes(question.mode, question.scope)
            offers = offer_views.view(self._state, self._policies, slots, question.now, modes)
            self._complete(offers.state, slots)
            names = places if keys is None else keys
            decisions = decide(offers, names, question.sequence, question.uniform, self._ask)
            _withhold_again(decisions, question.withheld)
            return decisions
        finally:
            self.drop_shard(_BENCH)

    def _ask(self, offers: Offers, ladder: Ladder, chance: NDArray[np.float32]) -> Valuation:
        return value(self.model, Memory(self._sums, self._tallies), offers, ladder, chance, at_least=self._batch)

    def _look_at_families(self, due: ShardRows, offers: Offers) -> None:
        """What was known of other members then is part of what was recorded."""

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

    def decide_named(self, shard: int, keys: BinaryArray, question: Question) -> Decisions:
        """Decide the given offers of a shard, in this order, due or not, and write down what was decided.

        Args:
            shard: An open shard.
            keys: [n] of its offers.
            question: [n] time, run modes and batch; the rows are those of the shard.
        """
        record = self._shards[shard]
        record.now, self._batch = max(int(question.now[0]), record.now), question.batch
        due = ShardRows({shard: self.known(shard, keys)})
        permit: Permit = lambda decided: _withhold_again(decided.decisions, question.withheld)  # noqa: E731
        return self._decide(due, OfferModes(question.mode, question.scope), permit).decisions

    def number_from(self, shard: int, sequence: int) -> None:
        """Let the next decision of a shard have the number behind ``sequence``."""
        self._shards[shard].sequence = sequence


def _withhold_again(decisions: Decisions, withheld: Withheld | None) -> None:
    if withheld is not None:
        rows = np.flatnonzero(withheld.stopped)
        withhold(decisions, rows, withheld.limit[rows], withheld.value[rows])
