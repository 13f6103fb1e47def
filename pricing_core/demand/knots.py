"""Prices at which the tally of an offer keeps what was seen, and how what lies between them is shared."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from pricing_core.demand import deviation

KNOT = 0.06
"""Distance of knots in ln(price / list price)."""
KNOTS = 21
PLACES = KNOT * (np.arange(KNOTS) - KNOTS // 2)
"""ln(price / list price) of each, [B]."""
FARTHEST = KNOT * (KNOTS // 2)
"""|ln(price / list price)| of the last one."""


def shares_of(x: Array) -> Array:
    """Share an observation at ln(price / list price) [N] among the knots, [N, B]; beyond the last it counts there.

    Lagrange's cubic of the four knots about it, so that demand and its logarithm are both interpolated closely; some
    shares are below 0. With linear shares the mean of demand exceeds what the mean of the logarithm says, most so for
    steep curves: sales at one price between two knots then spoke for a flat curve, ever louder.
    """
    position = _position(x)
    first = jnp.clip(jnp.floor(position) - 1.0, 0.0, KNOTS - 4.0)
    u = (position - first)[:, None]
    near = jnp.concatenate(
        [
            -(u - 1.0) * (u - 2.0) * (u - 3.0) / 6.0,
            u * (u - 2.0) * (u - 3.0) / 2.0,
            -u * (u - 1.0) * (u - 3.0) / 2.0,
            u * (u - 1.0) * (u - 2.0) / 6.0,
        ],
        axis=1,
    )
    place = (jnp.arange(KNOTS) - first[:, None]).astype(jnp.int32)
    shares = jnp.take_along_axis(near, jnp.clip(place, 0, 3), axis=1)
    return jnp.where((place >= 0) & (place <= 3), shares, 0.0)


def nearness(x: Array) -> Array:
    """Weigh knots for `deviation` by their distance from ln(price / list price), [...] → [..., B]."""
    return deviation.near(_position(x), KNOTS)


def _position(x: Array) -> Array:
    """ln(price / list price) in knots; beyond the last knot it is there."""
    return jnp.clip(x / KNOT + KNOTS // 2, 0.0, KNOTS - 1.0)
