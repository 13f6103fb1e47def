"""What demand at a price may differ from every curve: a product of no category fits into no form.

Log demand at a price is taken to be that of a curve plus a deviation, normal with a variance v, which is much the same
at prices within `REACH` and another one beyond. For n expected units about a price the deviation is known up to
1 / (1 / v + n), so that

- what is sold at one price counts for its curves as 1 / (1 + v·n) of the units: no more than 1 / v units in all,
- a curve's demand at a price is corrected by (1 + v·sold) / (1 + v·expected), the mean of a Gamma factor of mean 1 and
  variance v given Poisson sales,
- in scenarios that may be true the demand at a price differs by what is left, a factor of variance v / (1 + v·sold).

A Gaussian process about a parametric mean (O'Hagan 1978, Journal of the Royal Statistical Society B 40), by the sums
that a belief keeps.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

REACH = 0.8
"""Standard deviation of the weights of what was sold at prices near by, in knots."""


class Sold(NamedTuple):
    """What was sold at which knot, of offers whose demand may deviate. B knots; leading axes of any shape."""

    exposure: Array
    """[..., B]."""
    units: Array
    """[..., B]."""
    variance: Array
    """[...] of the deviation's logarithm; 0 where there is none."""


def near(position: Array, knots: int) -> Array:
    """Weigh knots by their distance from positions in knots, [...] → [..., B]; 1 at none."""
    return jnp.exp(-0.5 * ((position[..., None] - jnp.arange(knots)) / REACH) ** 2)


def counts(units: Array, variance: Array) -> Array:
    """Share of the evidence at each knot that counts for the curves: [..., B], [...] → [..., B]."""
    knots = units.shape[-1]
    about = jnp.maximum(units @ near(jnp.arange(knots, dtype=jnp.float32), knots), 0.0)
    return 1.0 / (1.0 + variance[..., None] * about)


def correction(sold: Sold, nearness: Array, curves: Array, level: Array) -> Array:
    """Give the factor on demand at A prices for S curves, [..., S, A].

    Args:
        sold: Of offers [...].
        nearness: [..., A, B] of the prices (`near`).
        curves: [..., S, B] relative demand at the knots.
        level: [..., S] of the curves.
    """
    variance = sold.variance[..., None, None]
    expected = jnp.einsum("...ab,...b,...sb->...sa", nearness, sold.exposure, curves) * level[..., None]
    known = 1.0 + variance * _about(sold, nearness)[..., None, :]
    return known / (1.0 + variance * jnp.maximum(expected, 0.0))


def unknown(sold: Sold, nearness: Array, scenarios: int) -> Array:
    """Draw the factor of mean 1 by which scenarios differ from the correction, [..., S, A]: the same draws every time.

    Args:
        sold: See `correction`.
        nearness: See `correction`.
        scenarios: S.
    """
    draws = np.random.default_rng(0).standard_normal((scenarios, nearness.shape[-1])).astype(np.float32)
    field = jnp.einsum("...ab,sb->...sa", nearness, draws) / jnp.linalg.norm(nearness, axis=-1)[..., None, :]
    variance = sold.variance[..., None]
    left = (variance / (1.0 + variance * _about(sold, nearness)))[..., None, :]
    return jnp.exp(jnp.sqrt(left) * field - 0.5 * left)


def _about(sold: Sold, nearness: Array) -> Array:
    """Units sold about each price, [..., A]."""
    return jnp.maximum(jnp.einsum("...ab,...b->...a", nearness, sold.units), 0.0)
