"""Estimate, then plan: the belief of `demand.belief` and the closed form of `planning.planner`, without a network.

One set of constants for steady sellers and finite stock, cold starts and logs, offers of their own and families. What
prices followed is taken out of a log first (`demand.control_function`). A price is worth what it earns and what it
teaches (`planning.exploration`). Where a rival is seen, the answer to a new price comes a period later than the first
sales at it: the price is kept until then, and what was sold before the answer tells nothing of the demand that lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.demand import belief, deviation, knots
from pricing_core.demand.belief import (
    CURVES,
    ELASTICITY_OF_CURVE,
    FORM_OF_CURVE,
    LEAST_DEMAND,
    ON_KNOTS,
    Period,
    Posterior,
    Prior,
    Tally,
)
from pricing_core.demand.bought_stock import counted_on
from pricing_core.demand.control_function import control
from pricing_core.demand.deviation import Sold
from pricing_core.demand.forms import demand
from pricing_core.evaluation import family_pricing
from pricing_core.evaluation.family_pricing import Families
from pricing_core.planning import exploration, planner
from pricing_core.planning.linear_program import best_mixture
from pricing_core.planning.planner import Curve
from pricing_core.simulator.bar.interface import History, Outcome, View

LEVEL_SPREAD = 0.9
"""Standard deviation of the log of the level about its guess."""
UNKNOWN_LEVEL_SPREAD = 2.0
"""The same where nobody has a guess."""
ELASTICITY_SPREAD = 0.28
"""The same of an elasticity about its category's."""
ANSWERED = 0.75
"""What rivals' answers leave of an elasticity, where a rival is seen."""
DEVIATION_SPREAD = 0.1
"""Standard deviation of log demand at a price about every curve, in the season of a product of no category."""
SEASON_SHARE = 0.5
"""Of what a try would save in the rest of a season: the other part is learned anyway, as the stock sells."""
SAME_PRICE = 1e-3
"""Prices are the same if their ratio is as near to 1 as this."""
SCENARIOS = 12
"""Curves that stand for a belief; each comes with three levels."""
_ROOTS = (-(3.0**0.5), 0.0, 3.0**0.5)
_WEIGHTS = (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0)


class Memory(NamedTuple):
    """What is remembered of N offers."""

    tally: Tally
    prior: Prior
    families: Families | None
    """None where every offer is its own."""
    asked: Array
    """[N], price / list price of the last period."""
    unanswered: Array
    """bool [N]: that price was a new one, and a rival is seen who has not answered it yet."""


@dataclass(frozen=True)
class EstimateThenPlan:
    """A policy of the bar (`evaluation.bar.OnlinePolicy`)."""

    def begin(self, view: View, history: History | None, family: int) -> Memory:
        """Start from the prior, and from the log if there is one."""
        guessed = jnp.isfinite(view.prior_units)
        units = jnp.where(guessed, view.prior_units / view.exposure, 1.0)
        shape = 1.0 / jnp.expm1(jnp.where(guessed, LEVEL_SPREAD, UNKNOWN_LEVEL_SPREAD) ** 2)
        elasticity = view.prior_elasticity * jnp.where(jnp.isfinite(view.rival_price), ANSWERED, 1.0)
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
        return Memory(tally, prior, families, jnp.ones_like(units), jnp.zeros_like(guessed))

    def decide(self, memory: Memory, view: View, key: Array) -> Array:
        """Choose the price that the plan values most."""
        held = belief.posterior(memory.tally, memory.prior)
        limited = _limited(view)
        asked = jnp.abs(view.prices - (memory.asked * view.list_price)[:, None]).argmin(axis=1)
        unlimited = jnp.where(memory.unanswered, asked, _steady(held, memory.tally.periods, view))
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
        return Memory(belief.observe(memory.tally, memory.prior, period), memory.prior, families, ratio, unanswered)


def _counted_on(view: View) -> Array:
    """Level of each curve that the stock was bought for, [N, J]: see `demand.bought_stock`."""
    curves = _relative_demand(view)
    margin = view.prices - view.unit_cost[:, None]
    return counted_on(curves, margin, view.stock, view.periods_left * view.exposure)


def _relative_demand(view: View) -> Array:
    """Demand of each curve at each price, to that at the list price: [N, J, A]."""
    ratio = view.prices / view.list_price[:, None]
    form, elasticity = (jnp.asarray(part)[None, :, None] for part in (FORM_OF_CURVE, ELASTICITY_OF_CURVE))
    return jnp.maximum(demand(form, elasticity, ratio[:, None, :]), LEAST_DEMAND)


def _limited(view: View) -> Array:
    return jnp.isfinite(view.stock) & jnp.isfinite(view.periods_left)


def _steady(held: Posterior, periods: Array, view: View) -> Array:
    """Choose for a stock that never ends, index [N]: by the profit of a period, and what it teaches for later ones."""
    units = (held.level * view.exposure[:, None])[:, :, None] * _relative_demand(view)
    worth = units * (view.prices - view.unit_cost[:, None])[:, None, :]
    return _best(held.weight, worth, units, view, exploration.horizon(periods))


def _best(weight: Array, worth: Array, units: Array, view: View, horizon: Array) -> Array:
    """Take the price that earns most with what it teaches for so many periods: [N], of weights [N, S], [N, S, A]."""
    saved = jax.vmap(exploration.saved_by_trying)(weight, worth, units, jnp.log(view.prices))
    best: Array = (jnp.einsum("ns,nsa->na", weight, worth) + horizon[:, None] * saved).argmax(axis=1)
    return best


def _in_season(held: Posterior, view: View) -> Array:
    """Choose for a stock that ends by a deadline, index [N].

    A price earns the profit of a period less what the units sold would be worth later: the mean over scenarios, in
    each of which demand is known from the next period on (Littman, Cassandra & Kaelbling 1995, Q-MDP).
    """
    curve, weight, index = _scenarios(held, view)
    stock, left, cost = (column[:, None, None] for column in (view.stock, view.periods_left, view.unit_cost))
    bid = planner.bid_price(curve, cost, stock, left)[..., None]
    wide = Curve(*(part[..., None] for part in curve))
    price = view.prices[:, None, None, :]
    units = wide.level * demand(wide.form, wide.elasticity, price / wide.list_price)
    n, prices = view.prices.shape
    if held.sold is not None:
        on_curve = units
        units *= _deviating(held.sold, curve, index, view).reshape(units.shape)
        pace = stock / jnp.maximum(left, 1.0)
        bid = jnp.maximum(bid + _scarcity(units, view, pace) - _scarcity(on_curve, view, pace), 0.0)
    gain = planner.expected_sales(units, stock[..., None]) * (price - cost[..., None] - bid)
    gain, units = (part.reshape(n, -1, prices) for part in (gain, units))
    remaining = jnp.where(_limited(view), jnp.maximum(view.periods_left - 1.0, 0.0), 0.0)
    return _best(weight.reshape(n, -1), gain, units, view, SEASON_SHARE * remaining)


def _deviating(sold: Sold, curve: Curve, index: Array, view: View) -> Array:
    """Factor on the demand of scenarios at each price, [N, 3 S, A]: see `demand.deviation`."""
    n, s = index.shape
    nearness = knots.nearness(jnp.log(view.prices / view.list_price[:, None]))
    on_knots = jnp.broadcast_to(jnp.asarray(ON_KNOTS)[index][:, :, None], (n, s, len(_ROOTS), knots.KNOTS))
    level = (curve.level / view.exposure[:, None, None]).reshape(n, -1)
    factor = deviation.correction(sold, nearness, on_knots.reshape(n, -1, knots.KNOTS), level)
    return factor * deviation.unknown(sold, nearness, level.shape[1])


def _scarcity(units: Array, view: View, pace: Array) -> Array:
    """Bid price of the fluid relaxation in each scenario, [N, S, 3, 1]: what deviations do to the bid of a curve."""
    margin = view.prices - view.unit_cost[:, None]
    of_offer = jax.vmap(jax.vmap(best_mixture, (None, 0, None)), (None, 0, None))
    return jax.vmap(of_offer)(margin, units, pace[:, 0, 0]).bid_price[..., None]


def _scenarios(held: Posterior, view: View) -> tuple[Curve, Array, Array]:
    """Curves at even quantiles of the belief, in the order of forms and elasticities.

    Returns:
        Curves and their weights, [N, S, 3], and which of the belief's they are, int [N, S].
    """
    shape = (len(view.stock), SCENARIOS, len(_ROOTS))
    quantiles = (jnp.arange(SCENARIOS) + 0.5) / SCENARIOS
    index = jax.vmap(jnp.searchsorted, (0, None))(jnp.cumsum(held.weight, axis=1), quantiles)
    index = jnp.minimum(index, CURVES - 1)
    k, mean = (jnp.take_along_axis(part, index, axis=1)[..., None] for part in (held.shape, held.level))
    # The cube root of a Gamma is nearly normal (Wilson & Hilferty 1931): Gauss-Hermite points of that.
    root = 1.0 - 1.0 / (9.0 * k) + jnp.asarray(_ROOTS) / (3.0 * jnp.sqrt(k))
    curve = Curve(
        jnp.broadcast_to(jnp.asarray(FORM_OF_CURVE)[index][..., None], shape),
        jnp.broadcast_to(jnp.asarray(ELASTICITY_OF_CURVE)[index][..., None], shape),
        mean * jnp.maximum(root, 0.05) ** 3 * view.exposure[:, None, None],
        jnp.broadcast_to(view.list_price[:, None, None], shape),
    )
    return curve, jnp.broadcast_to(jnp.asarray(_WEIGHTS) / SCENARIOS, shape), index
