"""What a stock with a deadline says about demand: who bought it counted on selling about that much by then.

For each demand curve there is a level at which the stock would just be sold by the deadline at the price that is best
without a limit. Buyers know their category, so the true level is taken to be log-normal about that, `SPREAD` wide. It
is a second opinion beside the guess at the units, and an informative one: a curve on which the two agree is more likely
to be the right one. Newsvendors order in proportion to the demand they expect (Arrow, Harris & Marschak 1951,
Econometrica 19); here the order is read backwards.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

SPREAD = 0.5
"""Standard deviation of the log of the true level about the one that the stock was bought for."""


class Start(NamedTuple):
    """What is believed of J curves before the first sale: a Gamma of the level, and a weight."""

    shape: Array
    """[N, 1] of the level, the same for all curves."""
    rate: Array
    """[N, J]."""
    log_weight: Array
    """[N, J], up to a constant."""


def counted_on(relative_demand: Array, margin: Array, stock: Array, exposure: Array) -> Array:
    """Give the level at which each curve would just sell the stock, units for a unit of exposure, [N, J].

    Args:
        relative_demand: [N, J, A] of each curve at each price, to that at the list price; > 0.
        margin: [N, A], price less unit cost.
        stock: [N] units; inf if unlimited.
        exposure: [N] of all periods until the deadline; inf if there is none.

    Returns:
        nan where there is no stock to be sold by a deadline.
    """
    limited = jnp.isfinite(stock) & jnp.isfinite(exposure) & (stock > 0.0) & (exposure > 0.0)
    best = (relative_demand * margin[:, None, :]).argmax(axis=2, keepdims=True)
    sold = jnp.take_along_axis(relative_demand, best, axis=2)[..., 0]
    return jnp.where(limited[:, None], (stock / exposure)[:, None] / sold, jnp.nan)


def with_stock(start: Start, level: Array) -> Start:
    """Take in what the stock says of the level, [N, J] from `counted_on`; where it is nan, nothing.

    The Gamma of the guess is taken for the log-normal of the same mean and relative variance, the product of the two
    log-normals for a Gamma again.
    """
    there = jnp.isfinite(level)
    guess, variance = jnp.log(start.shape / start.rate), jnp.log1p(1.0 / start.shape)
    counted = jnp.where(there, jnp.log(level), guess)
    trust = jnp.where(there, variance / (variance + SPREAD**2), 0.0)
    mean = guess + trust * (counted - guess)
    shape = 1.0 / jnp.expm1(variance * (1.0 - trust[:, :1]))
    rate = shape / jnp.exp(mean)
    agreement = -0.5 * (counted - guess) ** 2 / (variance + SPREAD**2)
    # The likelihood of the sales comes without the normaliser of the Gamma, which now differs from curve to curve.
    return Start(shape, rate, start.log_weight + agreement + shape * jnp.log(rate))
