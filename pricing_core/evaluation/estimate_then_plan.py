"""Estimate, then plan: the belief of `demand.belief` and the closed form of `planning.planner`, without a network.

One set of constants for steady sellers and finite stock, cold starts and logs, offers of their own and families. What
prices followed is taken out of a log first (`demand.control_function`). A price is worth what it earns and what it
teaches (`planning.exploration`). Where a rival is seen, the answer to a new price comes a period later than the first
sales at it: what was sold before the answer tells nothing of the demand that lasts, so that the price is kept until
something was learned. The worker plans by the same functions (`pricing_core.outlook`).
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
    LEVEL_SPREAD,
    UNKNOWN_LEVEL_SPREAD,
    Period,
    Posterior,
    Prior,
    Tally,
)
from pricing_core.demand.bought_stock import counted_on
from pricing_core.demand.control_function import control
from pricing_core.demand.curves import ELASTICITY_OF_CURVE, FORM_OF_CURVE, LEAST_DEMAND
from pricing_core.demand.forms import demand
from pricing_core.evaluation import family_pricing
from pricing_core.evaluation.family_pricing import Families
from pricing_core.planning import exploration
from pricing_core.planning.under_belief import Plans, Situation, endless, of_season
from pricing_core.simulator.bar.interface import History, Outcome, View

DEVIATION_SPREAD = 0.1
"""Standard deviation of log demand at a price about every curve, in the season of a product of no category."""
SAME_PRICE = 1e-3
"""Prices are the same if their ratio is as near to 1 as this."""


class Memory(NamedTuple):
    """What is remembered of N offers."""

    tally: Tally
    prior: Prior
    families: Families | None
    """None where every offer is its own."""
    asked: Array
    """[N], price / list price of the last period."""


@dataclass(frozen=True)
class EstimateThenPlan:
    """A policy of the bar (`evaluation.bar.OnlinePolicy`)."""

    def begin(self, view: View, history: History | None, family: int) -> Memory:
        """Start from the prior, and from the log if there is one."""
        guessed = jnp.isfinite(view.prior_units)
        units = jnp.where(guessed, view.prior_units / view.exposure, 1.0)
        shape = 1.0 / jnp.expm1(jnp.where(guessed, LEVEL_SPREAD, UNKNOWN_LEVEL_SPREAD) ** 2)
        elasticity = belief.felt_elasticity(view.prior_elasticity, jnp.isfinite(view.rival_price))
        deviates = jnp.where(_limited(view) & ~guessed, DEVIATION_SPREAD**2, 0.0)
        prior = Prior(
            shape, shape / units, elasticity, jnp.full_like(units, ELASTICITY_SPREAD), _counted_on(view), deviates
        )
        tally = belief.empty(len(units))
        if history is not None:
            ratio = history.price / view.list_price
            found = control(jnp.log(ratio), jnp.log(history.cost), history.exposure, history.units)
            exposure = history.exposure * found.demand
            tally = belief.absorb(tally, prior, ratio, exposure, history.units, evidence=found.weight)
        families = None if family == 1 else family_pricing.begin(view, history, family)
        return Memory(tally, prior, families, jnp.ones_like(units))

    def decide(self, memory: Memory, view: View, key: Array) -> Array:
        """Choose the price that the plan values most."""
        held = belief.posterior(memory.tally, memory.prior)
        limited = _limited(view)
        unlimited = _steady(held, memory.tally.periods, view)
        families = memory.families
        if families is not None:
            jointly = family_pricing.decide(families, view, memory.tally.periods, key)
            unlimited = jnp.where(family_pricing.substitutes(families), jointly, unlimited)
        planned = jax.lax.cond(limited.any(), lambda: _in_season(held, view), lambda: unlimited)
        return jnp.where(limited, planned, unlimited)

    def learn(self, memory: Memory, view: View, price: Array, outcome: Outcome) -> Memory:
        """Take a period in. One without stock tells nothing, and one that ran out only the least of the demand."""
        ratio = price / view.list_price
        changed = jnp.abs(ratio / memory.asked - 1.0) > SAME_PRICE
        unanswered = changed & jnp.isfinite(view.rival_price) & ~_limited(view)
        exposure = jnp.where((view.stock > 0) & ~unanswered, view.exposure, 0.0)
        censored = jnp.isfinite(view.stock) & outcome.stocked_out
        period = Period(ratio, exposure, outcome.units, censored)
        families = memory.families
        if families is not None:
            alone = belief.log_predictive(memory.tally, memory.prior, period)
            families = family_pricing.learn(families, period, alone)
        return Memory(belief.observe(memory.tally, memory.prior, period), memory.prior, families, ratio)


def _counted_on(view: View) -> Array:
    """Level of each curve that the stock was bought for, [N, J]: see `demand.bought_stock`."""
    ratio = view.prices / view.list_price[:, None]
    form, elasticity = (jnp.asarray(part)[None, :, None] for part in (FORM_OF_CURVE, ELASTICITY_OF_CURVE))
    curves = jnp.maximum(demand(form, elasticity, ratio[:, None, :]), LEAST_DEMAND)
    margin = view.prices - view.unit_cost[:, None]
    return counted_on(curves, margin, view.stock, view.periods_left * view.exposure)


def _limited(view: View) -> Array:
    return jnp.isfinite(view.stock) & jnp.isfinite(view.periods_left)


def _steady(held: Posterior, periods: Array, view: View) -> Array:
    """Choose for a stock that never ends, index [N]: by the profit of a period, and what it teaches for later ones."""
    margin = view.prices - view.unit_cost[:, None]
    made = endless(held, view.exposure, view.prices / view.list_price[:, None], margin)
    return _best(made, view, exploration.horizon(periods))


def _in_season(held: Posterior, view: View) -> Array:
    """Choose for a stock that ends by a deadline, index [N]."""
    situation = Situation(view.list_price, view.unit_cost, view.exposure, view.stock, view.periods_left)
    left = jnp.where(_limited(view), view.periods_left, 1.0)
    return _best(of_season(held, situation, view.prices), view, exploration.horizon_of_season(left))


def _best(made: Plans, view: View, horizon: Array) -> Array:
    """Take the price that earns most with what it teaches for so many periods: index [N]."""
    best: Array = (made.worth + horizon[:, None] * made.saved(jnp.log(view.prices))).argmax(axis=1)
    return best
