"""Estimate, then plan: the belief of `demand.belief` and the closed form of `planning.planner`, without a network.

One set of constants for steady sellers and finite stock, cold starts and logs, offers of their own and families. What
prices followed is taken out of a log first (`demand.control_function`). Prices beside the best one are tried where the
stock never ends, while what they teach pays (`planning.exploration`); with a finite stock nothing is tried: a Thompson
draw among prices worth at least 95 % of the best cost 0.5 to 1 point on the tuning markets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.demand import belief
from pricing_core.demand.belief import (
    ELASTICITY_SPREAD,
    LEAST_DEMAND,
    UNKNOWN_LEVEL_SPREAD,
    Period,
    Posterior,
    Prior,
    Tally,
)
from pricing_core.demand.control_function import control
from pricing_core.evaluation import family_pricing
from pricing_core.evaluation.family_pricing import Families
from pricing_core.planning import exploration
from pricing_core.planning.under_belief import Situation, relative_demand, worth
from pricing_core.simulator.bar.interface import History, Outcome, View

LEVEL_SPREAD = 0.9
"""Standard deviation of the log of the level about its guess."""


class Memory(NamedTuple):
    """What is remembered of N offers."""

    tally: Tally
    prior: Prior
    families: Families | None
    """None where every offer is its own."""


@dataclass(frozen=True)
class EstimateThenPlan:
    """A policy of the bar (`evaluation.bar.OnlinePolicy`)."""

    def begin(self, view: View, history: History | None, family: int) -> Memory:
        """Start from the prior, and from the log if there is one."""
        guessed = jnp.isfinite(view.prior_units)
        units = jnp.where(guessed, view.prior_units / view.exposure, 1.0)
        shape = 1.0 / jnp.expm1(jnp.where(guessed, LEVEL_SPREAD, UNKNOWN_LEVEL_SPREAD) ** 2)
        prior = Prior(shape, shape / units, view.prior_elasticity, jnp.full_like(units, ELASTICITY_SPREAD))
        tally = belief.empty(len(units))
        if history is not None:
            ratio = history.price / view.list_price
            found = control(jnp.log(ratio), jnp.log(history.cost), history.exposure, history.units)
            exposure = history.exposure * found.demand
            tally = belief.absorb(tally, prior, ratio, exposure, history.units, evidence=found.weight)
        return Memory(tally, prior, None if family == 1 else family_pricing.begin(view, history, family))

    def decide(self, memory: Memory, view: View, key: Array) -> Array:
        """Choose the price that the plan values most."""
        held = belief.posterior(memory.tally, memory.prior)
        limited = jnp.isfinite(view.stock) & jnp.isfinite(view.periods_left)
        unlimited = _steady(held, memory.tally.periods, view, key)
        families = memory.families
        if families is not None:
            jointly = family_pricing.decide(families, view, memory.tally.periods, key)
            unlimited = jnp.where(family_pricing.substitutes(families), jointly, unlimited)
        planned = jax.lax.cond(
            limited.any(), lambda: worth(held, _situation(view), view.prices).argmax(axis=1), lambda: unlimited
        )
        return jnp.where(limited, planned, unlimited)

    def learn(self, memory: Memory, view: View, price: Array, outcome: Outcome) -> Memory:
        """Take a period in. One without stock tells nothing, and one that ran out only the least of the demand."""
        exposure = jnp.where(view.stock > 0, view.exposure, 0.0)
        ratio = price / view.list_price
        censored = jnp.isfinite(view.stock) & outcome.stocked_out
        period = Period(ratio, exposure, outcome.units, censored)
        families = memory.families
        if families is not None:
            alone = belief.log_predictive(memory.tally, memory.prior, period)
            families = family_pricing.learn(families, period, alone)
        return Memory(belief.observe(memory.tally, memory.prior, period), memory.prior, families)


def _steady(held: Posterior, periods: Array, view: View, key: Array) -> Array:
    """Choose for a stock that never ends: the best price of a period, and prices beside it while that teaches enough.

    Where a rival is seen nothing is tried: the answer to a price comes later than the sales at it, and a price that
    was asked for one period would tell of a demand that does not last.
    """
    curves = relative_demand(view.prices / view.list_price[:, None])
    units = jnp.einsum("nj,nja->na", held.weight * held.level, curves)
    best = (units * (view.prices - view.unit_cost[:, None])).argmax(axis=1)
    above, below = jnp.minimum(best + 1, view.prices.shape[1] - 1), jnp.maximum(best - 1, 0)
    slopes = _slopes(curves, view.prices, below, above)
    slope = (held.weight * slopes).sum(axis=1)
    variance = (held.weight * (slopes - slope[:, None]) ** 2).sum(axis=1)
    sold = view.exposure * _at(units, best)
    explores = exploration.pays(periods, sold, slope, variance) & ~jnp.isfinite(view.rival_price)
    side = jnp.where(jax.random.bernoulli(key, 0.5, best.shape), above, below)
    return jnp.where(explores, side, best)


def _situation(view: View) -> Situation:
    return Situation(view.list_price, view.unit_cost, view.exposure, view.stock, view.periods_left)


def _slopes(curves: Array, prices: Array, below: Array, above: Array) -> Array:
    """Give -d ln demand / d ln price between two prices of the set, [N, J], of curves [N, J, A]."""
    low, high = (jnp.take_along_axis(curves, index[:, None, None], axis=2)[..., 0] for index in (below, above))
    fall = jnp.log(jnp.maximum(low, LEAST_DEMAND) / jnp.maximum(high, LEAST_DEMAND))
    return fall / jnp.log(_at(prices, above) / _at(prices, below))[:, None]


def _at(table: Array, index: Array) -> Array:
    return jnp.take_along_axis(table, index[:, None], axis=1)[:, 0]
