"""When a price beside the best one is worth what it costs: what it teaches pays later.

Not to know the demand costs, each period, the mean over what may be true of the best profit there, less the best of
the mean profits. Where the best log price is unknown with variance W, a price that moves it by a little costs in
proportion to the square, so that what not knowing costs is in proportion to W. A period at price a, in which u units
are expected, tells the log of demand there up to 1 / u, and through it the best price: linear regression of the one on
the other takes

    cov(best log price, ln demand at a)² / (W · (var(ln demand at a) + 1 / u))

off W, as a share. So much of what not knowing costs is saved in each later period. Where demand is ln m = l - s·x about
a well-known point, and the best price is linear in s, that is s's variance V times u·d² / (1 + V·u·d²) at distance d.
The rate is then that of the best possible, if periods to come are in proportion to the root of what explores (Keskin &
Zeevi 2014, Operations Research 62); the knowledge gradient of Frazier, Powell & Dayanik (2009) is the same idea.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

HORIZON = 40.0
"""Periods for which what is learned is thought to be of use, where nobody knows how long an offer is sold."""
GROWTH = 0.2
"""More of them for each period seen."""
SEASON_SHARE = 0.5
"""Of the periods left of a season: the other part is learned anyway, as the stock sells."""
FAMILY_HORIZON = 0.2
"""Periods for each period seen, for a family that is priced jointly."""
_LEAST = 0.5
"""The slope is taken to exceed 1 by so much, as it does at any best price above cost."""
_LEAST_UNITS = 1e-3
_LEAST_VARIANCE = 1e-9


def horizon(periods: Array) -> Array:
    """Give the periods for which to learn, for offers seen for so many."""
    return HORIZON + GROWTH * periods


def horizon_of_season(periods_left: Array) -> Array:
    """Give the same where a stock is to be sold within so many, the coming one included."""
    return SEASON_SHARE * jnp.maximum(periods_left - 1.0, 0.0)


def saved_by_trying(weight: Array, worth: Array, units: Array, log_price: Array) -> Array:
    """Give what one period at each price is expected to save in each later one, in the unit of ``worth``: [A, ...].

    Args:
        weight: [S, ...] of what may be true, sums to 1 over S.
        worth: [S, A, ...] expected profit of a period at each price.
        units: [S, A, ...] expected demand.
        log_price: [A, ...].
    """
    top = worth.max(axis=1)
    unknown = (weight * top).sum(axis=0) - mean(weight, worth).max(axis=0)
    target = jnp.where(worth >= top[:, None], log_price, -jnp.inf).max(axis=1)
    off = target - (weight * target).sum(axis=0)
    log_units = jnp.log(jnp.maximum(units, _LEAST_UNITS))
    away = log_units - mean(weight, log_units)
    told = mean(weight, away**2) + 1.0 / jnp.maximum(mean(weight, units), _LEAST_UNITS)
    together = mean(weight * off, away)
    return unknown * together**2 / (jnp.maximum((weight * off**2).sum(axis=0), _LEAST_VARIANCE) * told)


def mean(weight: Array, values: Array) -> Array:
    """Add up values [S, A, ...] by weights [S, ...]: [A, ...].

    As a product: on CPUs jaxlib 0.10.2 adds up ``(weight[:, None] * values).sum(axis=0)`` wrongly where there
    are more than 32,768 sums. A test would see it.
    """
    return jnp.einsum("s...,sa...->a...", weight, values)


def pays(periods: Array, units: Array, slope: Array, variance: Array) -> Array:
    """Say whether to try a price beside the best one in a family, bool: the same with all curvatures taken for κ.

    About the best price, profit falls by a share of half the curvature κ times the square of the price's deviation d in
    logarithms. Not to know the slope s = -d ln demand / d ln price, but with variance V, costs V / (2 κ) of a period's
    profit. A period at deviation d saves V²·u·d² / (2 κ) in each of H later ones, and costs κ·d² / 2. The deviation
    cancels: explore while H · u · V² > κ².

    Args:
        periods: Seen so far.
        units: u, expected of a period at the best price.
        slope: s there; κ is taken for s·(s - 1), its value under constant elasticity.
        variance: V, of the belief about s.
    """
    curvature = slope * jnp.maximum(slope - 1.0, _LEAST)
    explores: Array = FAMILY_HORIZON * periods * units * variance**2 > curvature**2
    return explores
