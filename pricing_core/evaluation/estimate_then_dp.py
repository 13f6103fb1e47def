"""Estimate demand, take the estimate for the truth, and solve the exact dynamic programme of the stock that is left.

The textbook's certainty-equivalent control of a finite stock (Gallego & van Ryzin 1994, with the demand
that the plain belief of `log_linear` holds most likely). It neither hedges nor explores.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.evaluation import log_linear
from pricing_core.evaluation.log_linear import Belief
from pricing_core.planning.exact import plan, poisson_tails
from pricing_core.simulator.bar.interface import History, Outcome, View

_PLANS = 30
"""How often a long season is planned anew, at the most."""
_TIMES_THE_PACE = 4
"""Demand of a period, as a multiple of the stock a period, above which a plan need not tell one unit from another."""
_AT_LEAST = 8
"""The same in units, for a trickle."""


class Memory(NamedTuple):
    """What is remembered of N offers."""

    belief: Belief
    best: Array
    """int8 [N, T + 1, S + 1]: index of the price to ask, by periods and units left."""
    period: Array
    """int32 scalar: periods so far."""


@dataclass(frozen=True)
class EstimateThenDP:
    """A policy of the bar (`evaluation.bar.OnlinePolicy`) for offers with a finite stock and a deadline."""

    stock: int
    """Units S at most."""
    periods: int
    """Periods T at most."""

    def begin(self, view: View, history: History | None, _family: int) -> Memory:
        """Start from the prior and the log."""
        belief = log_linear.prior(view, history)
        return Memory(belief, self._solve(belief, view), jnp.zeros((), jnp.int32))

    def decide(self, memory: Memory, view: View, _key: Array) -> Array:
        """Look the price up."""
        left, stock = view.periods_left.astype(jnp.int32), view.stock.astype(jnp.int32)
        return memory.best[jnp.arange(len(stock)), left, stock].astype(jnp.int32)

    def learn(self, memory: Memory, view: View, price: Array, outcome: Outcome) -> Memory:
        """Take the sales in at their word, and plan anew if it is time."""
        belief = log_linear.update(memory.belief, view, price, outcome.units)
        period = memory.period + 1
        due = period % max(1, self.periods // _PLANS) == 0
        best = jax.lax.cond(due, lambda: self._solve(belief, view), lambda: memory.best)
        return Memory(belief, best, period)

    def _solve(self, belief: Belief, view: View) -> Array:
        most = min(self.stock, _AT_LEAST + _TIMES_THE_PACE * self.stock // self.periods)
        tails = jax.vmap(partial(poisson_tails, stock=most))(log_linear.expected_units(belief.mode, view))
        margin = view.prices - view.unit_cost[:, None]
        best: Array = jax.vmap(partial(plan, stock=self.stock, periods=self.periods))(margin, tails).best
        return best
