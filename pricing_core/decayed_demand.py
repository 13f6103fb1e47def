"""Point estimates from decayed sums: elasticity, pace, surprise. For one offer; callers `vmap`."""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

HALF_LIVES_DAYS = (1.0, 7.0, 30.0)
STATISTICS = ("impressions", "clicks", "units", "impressions_x", "impressions_xx", "units_x")
"""Decayed sums, in order; x = ln(price in effect / reference price)."""
PRIOR_ELASTICITY = 2.5
PRIOR_INFORMATION = 1.5
"""Weight of the prior, in the unit of `Elasticity.information`: a standard deviation of about 0.8."""
_MAX_ELASTICITY = 10.0


class Elasticity(NamedTuple):
    """Estimate of the price elasticity of demand (positive: demand ~ price ** -value)."""

    value: Array
    information: Array
    """Fisher information of the data: units sold x variance of ln price over exposure."""


def elasticity(sums: Array) -> Elasticity:
    """Estimate the elasticity of one offer from the sums of one half-life.

    For Poisson demand k·exp(-ε·x) per impression and x normal over impressions, the mean of x over units
    is m - ε·v (exponential tilting), with m and v its mean and variance over impressions: the estimate is
    ε = (m - x̄_units) / v with Fisher information units·v. A normal prior is added in closed form.

    Args:
        sums: [K] `STATISTICS` of one half-life.
    """
    impressions, _, units, x1, _, units_x = sums
    shown = jnp.maximum(impressions, 1e-6)
    mean = x1 / shown
    information = units * variance(sums)
    evidence = units * mean - units_x
    # Without impressions there is no exposure to compare with: the prior stays.
    evidence = jnp.where(impressions > 0, evidence, 0.0)
    # ε = (units·m - Σ units·x + τ·ε0) / (units·v + τ)
    value = (evidence + PRIOR_INFORMATION * PRIOR_ELASTICITY) / (information + PRIOR_INFORMATION)
    return Elasticity(jnp.clip(value, 0.0, _MAX_ELASTICITY), information)


def planned_gain(log_ratio: Array, slope: Array, offset: Array, epsilon: Array) -> Array:
    """Profit at a candidate less profit at the current price, in units of the latter (at least 10 % of the price).

    ((a·e^r - o)·e^(-ε·r) - (a - o)) / max(|a - o|, a/10)
    """
    now = slope - offset
    then = (slope * jnp.exp(log_ratio) - offset) * jnp.exp(-epsilon * log_ratio)
    return (then - now) / jnp.maximum(jnp.abs(now), 0.1 * slope)


def variance(sums: Array) -> Array:
    """Variance of x over impressions."""
    shown = jnp.maximum(sums[0], 1e-6)
    return jnp.where(sums[0] > 0, jnp.maximum(sums[4] / shown - (sums[3] / shown) ** 2, 0.0), 0.0)


def log_conversion(sums: Array) -> Array:
    """ln((units + 1) / (impressions + 30)), from 1/30; 0 without impressions."""
    return jnp.where(sums[0] > 0, jnp.log((sums[2] + 1.0) / (sums[0] + 30.0)) + math.log(30.0), 0.0)


def pace(sums: Array, days_known: Array, h: int, statistic: int = 2) -> Array:
    """Units (or another statistic) a day: the decayed sum over the decayed number of days that the offer is known."""
    half_life = HALF_LIVES_DAYS[h]
    days = half_life / math.log(2.0) * (1.0 - jnp.exp2(-days_known / half_life))
    return sums[h, statistic] / jnp.maximum(days, 0.25)


def surprise(fast: Array, slow: Array, epsilon: Array) -> Array:
    """Recent units against what the long memory expects at the recent prices."""
    drift = fast[3] / jnp.maximum(fast[0], 1e-6) - slow[3] / jnp.maximum(slow[0], 1e-6)
    expected = fast[0] * slow[2] / jnp.maximum(slow[0], 1e-6) * jnp.exp(-epsilon * jnp.clip(drift, -1.0, 1.0))
    return jnp.where((fast[0] > 0) & (slow[0] > 0), jnp.log((fast[2] + 1.0) / (expected + 1.0)), 0.0)
