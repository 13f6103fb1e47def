"""When a price beside the best one is worth what it costs: what it teaches about the slope of demand pays later.

About the best price, profit falls by a share of half the curvature κ times the square of the price's deviation d in
logarithms. Not to know the slope s = -d ln demand / d ln price, but with variance V, misplaces the best price by a
variance of V / κ², which costs V / (2 κ) of a period's profit. A period at deviation d, in which u units are sold, adds
u·d² to the precision 1 / V: over H periods that saves H·V²·u·d² / (2 κ), and it costs κ·d² / 2. The deviation cancels:

    explore while H · u · V² > κ²

With H in proportion to the time seen so far, V falls as the inverse root of time, and with it what exploration costs:
the order of the best possible (Keskin & Zeevi 2014, Operations Research 62).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

HORIZON = 0.2
"""Periods for which what is learned is thought to be of use, for each period seen."""
FAR = 0.1
"""A deviation in ln price counts no more than this."""
_LEAST = 0.5
"""The slope is taken to exceed 1 by so much, as it does at any best price above cost."""


def pays(periods: Array, units: Array, slope: Array, variance: Array) -> Array:
    """Say whether to try a price beside the best one, bool.

    Args:
        periods: Seen so far.
        units: Expected of a period at the best price.
        slope: s there; κ is taken for s·(s - 1), its value under constant elasticity.
        variance: V, of the belief about s.
    """
    curvature = slope * jnp.maximum(slope - 1.0, _LEAST)
    explores: Array = HORIZON * periods * units * variance**2 > curvature**2
    return explores


def lesson(units: Array, slope: Array, variance: Array, of_demand: Array) -> Array:
    """Give the share of a day's profit that a period at a price saves on each later one: V·u·W / (2 κ).

    W is the variance of the belief about ln demand at that price: V·d² at a deviation d from where it is known.

    Args:
        units: u, expected of a period.
        slope: s.
        variance: V.
        of_demand: W; what deviations beyond `FAR` would give counts no more.
    """
    curvature = slope * jnp.maximum(slope - 1.0, _LEAST)
    saved: Array = variance * units * jnp.minimum(of_demand, variance * FAR**2) / (2.0 * jnp.maximum(curvature, _LEAST))
    return saved
