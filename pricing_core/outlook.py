"""What the belief about an offer's demand expects of each candidate price: the planner under the Q-function.

Without a season's end a candidate is worth the profit of the next period, on average over all curves that may be
true; with one, what `planning.under_belief` says about stock and time. All gains are less that of the current price,
in units of the profit there (of 10 % of the price, if that is less), so that one network serves all offers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from pricing_core.decayed_demand import PRIOR_ELASTICITY
from pricing_core.demand import belief
from pricing_core.demand.belief import ELASTICITY_OF_CURVE, Posterior, Prior, Tally
from pricing_core.planning import exploration
from pricing_core.planning.under_belief import Situation, relative_demand, worth

PRIOR_UNITS_A_SHOPPER = 1.0 / 30.0
PRIOR_UNITS_A_DAY = 1.0
_PROBE = 0.05
"""The slope of demand is taken between prices so far below and above the current one, in ln price."""
_LEAST_UNITS = 1e-6
_LARGEST_MOVE = 0.5


class Standing(NamedTuple):
    """Where N offers stand. [N] float32; prices as multiples of the reference price."""

    log_price: Array
    """ln of the current price."""
    profit_slope: Array
    """a: unit profit at p is a·p - b."""
    profit_offset: Array
    """b / current price."""
    salvage_offset: Array
    """The same of a unit that would be left over otherwise: what it is worth then, and fees."""
    exposure: Array
    """Of a day, in the unit of the tally: shoppers, or days."""
    stock: Array
    """Units; inf if unlimited or unknown."""
    days_left: Array
    """Until the season ends; inf if it does not."""


class Outlook(NamedTuple):
    """What is expected of N offers with A candidates. float32."""

    gain: Array
    """[N, A] of profit over holding the price."""
    doubt: Array
    """[N, A] its standard deviation over the curves."""
    lesson: Array
    """[N, A] what a day at the candidate is worth for each day on which what it teaches is of use."""
    elasticity: Array
    """[N] mean of ln(elasticity at the reference price / prior elasticity)."""
    elasticity_spread: Array
    """[N] standard deviation of it."""
    slope: Array
    """[N] mean of -d ln demand / d ln price at the current price."""
    slope_spread: Array
    """[N]."""
    units: Array
    """[N] expected of a day at the current price."""


def prior_of(counts_shoppers: Array) -> Prior:
    """Believe this of N offers before anything is known; ``counts_shoppers`` [N]: whether exposure is impressions."""
    shape = jnp.full(counts_shoppers.shape, 1.0 / jnp.expm1(belief.UNKNOWN_LEVEL_SPREAD**2))
    units = jnp.where(counts_shoppers > 0, PRIOR_UNITS_A_SHOPPER, PRIOR_UNITS_A_DAY)
    return Prior(
        shape, shape / units, jnp.full_like(shape, PRIOR_ELASTICITY), jnp.full_like(shape, belief.ELASTICITY_SPREAD)
    )


def look_ahead(tally: Tally, prior: Prior, offers: Standing, log_ratio: Array, *, seasonal: bool) -> Outlook:
    """Say what is expected of the candidates.

    Args:
        tally: What was seen.
        prior: What was believed before.
        offers: Where they stand.
        log_ratio: [N, A] ln(candidate / current).
        seasonal: Whether stock and days left may be finite: the plan for them costs fifty times the rest.
    """
    held = belief.posterior(tally, prior)
    offers = offers._replace(log_price=jnp.clip(offers.log_price, -belief.FARTHEST, belief.FARTHEST))
    log_ratio = jnp.clip(log_ratio, -_LARGEST_MOVE, _LARGEST_MOVE)
    now, below, above, there = _curves(offers, log_ratio)
    level = held.weight * held.level
    units = jnp.maximum((level * now).sum(axis=1), _LEAST_UNITS)
    share = level / units[:, None]  # of the units at the current price, by curve, for each unit of relative demand
    mean = jnp.einsum("nj,nja->na", share, there)
    variance = jnp.einsum("nj,nja->na", share / jnp.maximum(now, belief.LEAST_DEMAND), there**2) - mean**2
    of_demand = jnp.einsum("nj,nja->na", share * held.level / units[:, None], there**2) / mean**2 - 1.0
    slope, slope_spread = _moments(held.weight, (_log(below) - _log(above)) / (2.0 * _PROBE))
    elasticity, elasticity_spread = _moments(held.weight, jnp.log(jnp.asarray(ELASTICITY_OF_CURVE) / PRIOR_ELASTICITY))
    margin, scale, daily = _margin(offers, log_ratio), _scale(offers), units * offers.exposure
    gain = (margin * mean - _margin(offers, jnp.zeros_like(log_ratio))) / scale
    if seasonal:
        limited = jnp.isfinite(offers.stock) & jnp.isfinite(offers.days_left)
        gain = jnp.where(limited[:, None], _seasonal_gain(held, offers, log_ratio, daily), gain)
    return Outlook(
        gain=gain,
        doubt=jnp.abs(margin) * jnp.sqrt(jnp.maximum(variance, 0.0)) / scale,
        lesson=exploration.lesson(daily[:, None], slope[:, None], slope_spread[:, None] ** 2, of_demand),
        elasticity=elasticity,
        elasticity_spread=elasticity_spread,
        slope=slope,
        slope_spread=slope_spread,
        units=daily,
    )


def _curves(offers: Standing, log_ratio: Array) -> tuple[Array, Array, Array, Array]:
    """Relative demand of each curve at the current price, below and above it, [N, J], and there, [N, J, A]."""
    probes = jnp.broadcast_to(jnp.asarray([0.0, -_PROBE, _PROBE]), (*log_ratio.shape[:1], 3))
    moves = jnp.concatenate([probes, log_ratio], axis=1)
    curves = relative_demand(jnp.exp(offers.log_price[:, None] + moves))
    return curves[:, :, 0], curves[:, :, 1], curves[:, :, 2], curves[:, :, 3:]


def _margin(offers: Standing, log_ratio: Array) -> Array:
    """Unit profit over the current price, [N, A]."""
    return offers.profit_slope[:, None] * jnp.exp(log_ratio) - offers.profit_offset[:, None]


def _scale(offers: Standing) -> Array:
    """Unit profit at the current price over that price, at least 10 % of what is left after tax, [N, 1]."""
    slope = offers.profit_slope
    return jnp.maximum(jnp.abs(slope - offers.profit_offset), 0.1 * slope)[:, None]


def _log(relative: Array) -> Array:
    return jnp.log(jnp.maximum(relative, belief.LEAST_DEMAND))


def _moments(weight: Array, values: Array) -> tuple[Array, Array]:
    mean = (weight * values).sum(axis=1)
    return mean, jnp.sqrt((weight * (values - mean[:, None]) ** 2).sum(axis=1))


def _seasonal_gain(held: Posterior, offers: Standing, log_ratio: Array, daily: Array) -> Array:
    """Gain over holding where a stock is to be sold until a day; what is left is then worth its salvage."""
    price = jnp.exp(offers.log_price)
    situation = Situation(
        list_price=jnp.ones_like(price),
        unit_cost=price * offers.salvage_offset / jnp.maximum(offers.profit_slope, 1e-3),
        exposure=offers.exposure,
        stock=jnp.where(jnp.isfinite(offers.stock), offers.stock, 1.0),
        periods_left=jnp.where(jnp.isfinite(offers.days_left), jnp.maximum(offers.days_left, 1.0), 1.0),
    )
    moves = jnp.concatenate([jnp.zeros_like(log_ratio[:, :1]), log_ratio], axis=1)
    value = worth(held, situation, price[:, None] * jnp.exp(moves))
    profit_of_a_unit = (offers.profit_slope / price)[:, None] / _scale(offers)
    return (value[:, 1:] - value[:, :1]) * profit_of_a_unit / jnp.maximum(daily, _LEAST_UNITS)[:, None]
