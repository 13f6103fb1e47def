"""Plan under a belief about demand: what each price is worth, on average over all that may be true.

For N offers. A finite stock is planned for scenarios, in each of which demand is known from the next period on
(Littman, Cassandra & Kaelbling 1995, Q-MDP); for a stock that never ends every curve is a scenario, and a period is
worth its profit. What the price of a period teaches for later ones comes on top (`exploration`). The worker
(`outlook`) and the policy of the bar (`evaluation.estimate_then_plan`) both plan by this.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.demand import deviation, knots
from pricing_core.demand.belief import Posterior
from pricing_core.demand.curves import CURVES, ELASTICITIES, ELASTICITY_OF_CURVE, FORM_OF_CURVE, LEAST_DEMAND, ON_KNOTS
from pricing_core.demand.deviation import Sold
from pricing_core.demand.forms import demand, of_each_form
from pricing_core.planning import exploration, planner
from pricing_core.planning.linear_program import best_mixture
from pricing_core.planning.planner import Curve

SCENARIOS = 12
"""Curves that stand for a belief; each comes with three levels."""
_ROOTS = (-(3.0**0.5), 0.0, 3.0**0.5)
_WEIGHTS = (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0)


class Situation(NamedTuple):
    """What a plan goes by besides the belief. [N] float32."""

    list_price: Array
    """At which the level of demand is meant."""
    unit_cost: Array
    """Of a unit sold; what is left at the deadline keeps it."""
    exposure: Array
    """Of a period."""
    stock: Array
    """Units; inf if unlimited."""
    periods_left: Array
    """inf if there is no deadline."""


class Plans(NamedTuple):
    """What N offers with A prices are worth in each of S scenarios. Offers come last: sums over scenarios are fast."""

    weight: Array
    """[S, N], sums to 1 over S."""
    gain: Array
    """[S, A, N] profit of the next period, less what the units sold would be worth later."""
    units: Array
    """[S, A, N] expected demand of the period."""

    @property
    def worth(self) -> Array:
        """[N, A] mean gain."""
        return exploration.mean(self.weight, self.gain).T

    def saved(self, log_price: Array) -> Array:
        """What a period at each price is expected to save in each later one, [N, A] at ln prices [N, A]."""
        return exploration.saved_by_trying(self.weight, self.gain, self.units, log_price.T).T


def endless(held: Posterior, exposure: Array, ratio: Array, margin: Array) -> Plans:
    """Plan for a stock that never ends: every curve is a scenario.

    Args:
        held: What is believed.
        exposure: [N] of a period.
        ratio: [N, A] price / list price.
        margin: [N, A] profit of a unit there.
    """
    elasticity = jnp.asarray(ELASTICITIES, jnp.float32)[:, None, None]
    curves = jnp.maximum(jnp.concatenate(of_each_form(elasticity, ratio.T)), LEAST_DEMAND)
    units = (held.level.T * exposure)[:, None] * curves
    return Plans(held.weight.T, units * margin.T, units)


def of_season(held: Posterior, situation: Situation, prices: Array) -> Plans:
    """Plan for scenarios at even quantiles of the belief, three levels of each, at prices [N, A].

    Where demand may deviate from every curve (`demand.deviation`), that of a scenario does, and with it its bid price.
    """
    curve, weight, index = scenarios(held, situation)
    stock, left, cost = (
        column[:, None, None] for column in (situation.stock, situation.periods_left, situation.unit_cost)
    )
    bid = planner.bid_price(curve, cost, stock, left)[..., None]
    wide = Curve(*(part[..., None] for part in curve))
    price = prices[:, None, None, :]
    units = wide.level * demand(wide.form, wide.elasticity, price / wide.list_price)
    if held.sold is not None:
        on_curve = units
        units *= _deviating(held.sold, curve, index, situation, prices).reshape(units.shape)
        margin, pace = prices - situation.unit_cost[:, None], stock / jnp.maximum(left, 1.0)
        bid = jnp.maximum(bid + _scarcity(units, margin, pace) - _scarcity(on_curve, margin, pace), 0.0)
    gain = planner.expected_sales(units, stock[..., None]) * (price - cost[..., None] - bid)
    n, a = prices.shape
    return Plans(weight.reshape(n, -1).T, *(jnp.moveaxis(part.reshape(n, -1, a), 0, -1) for part in (gain, units)))


def _deviating(sold: Sold, curve: Curve, index: Array, situation: Situation, prices: Array) -> Array:
    """Factor on the demand of scenarios at each price, [N, 3 S, A]: see `demand.deviation`."""
    n, s = index.shape
    nearness = knots.nearness(jnp.log(prices / situation.list_price[:, None]))
    on_knots = jnp.broadcast_to(jnp.asarray(ON_KNOTS)[index][:, :, None], (n, s, len(_ROOTS), knots.KNOTS))
    level = (curve.level / situation.exposure[:, None, None]).reshape(n, -1)
    factor = deviation.correction(sold, nearness, on_knots.reshape(n, -1, knots.KNOTS), level)
    return factor * deviation.unknown(sold, nearness, level.shape[1])


def _scarcity(units: Array, margin: Array, pace: Array) -> Array:
    """Bid price of the fluid relaxation in each scenario, [N, S, 3, 1]: what deviations do to the bid of a curve."""
    of_offer = jax.vmap(jax.vmap(best_mixture, (None, 0, None)), (None, 0, None))
    return jax.vmap(of_offer)(margin, units, pace[:, 0, 0]).bid_price[..., None]


def scenarios(held: Posterior, situation: Situation) -> tuple[Curve, Array, Array]:
    """Curves at even quantiles of the belief, in the order of forms and elasticities.

    Returns:
        Curves and their weights, [N, S, 3], and which of the belief's they are, int [N, S].
    """
    shape = (len(situation.stock), SCENARIOS, len(_ROOTS))
    quantiles = (jnp.arange(SCENARIOS) + 0.5) / SCENARIOS
    index = jax.vmap(jnp.searchsorted, (0, None))(jnp.cumsum(held.weight, axis=1), quantiles)
    index = jnp.minimum(index, CURVES - 1)
    k, mean = (jnp.take_along_axis(part, index, axis=1)[..., None] for part in (held.shape, held.level))
    # The cube root of a Gamma is nearly normal (Wilson & Hilferty 1931): Gauss-Hermite points of that.
    root = 1.0 - 1.0 / (9.0 * k) + jnp.asarray(_ROOTS) / (3.0 * jnp.sqrt(k))
    curve = Curve(
        jnp.broadcast_to(jnp.asarray(FORM_OF_CURVE)[index][..., None], shape),
        jnp.broadcast_to(jnp.asarray(ELASTICITY_OF_CURVE)[index][..., None], shape),
        mean * jnp.maximum(root, 0.05) ** 3 * situation.exposure[:, None, None],
        jnp.broadcast_to(situation.list_price[:, None, None], shape),
    )
    return curve, jnp.broadcast_to(jnp.asarray(_WEIGHTS) / SCENARIOS, shape), index
