"""Which price a known demand asks for, in closed form: the bid price of finite stock, and the value of a period.

Where demand is ``a·exp(-α·p)`` per unit of time, the expected profit of x units until a deadline is
``ln(Σ_{i<=x} ρ^i / i!) / α`` (Gallego & van Ryzin 1994, eq. 6), ρ being the demand until then at the price that is best
without a limit. The next unit is then worth ``-ln(1 - B(x, ρ)) / α``, B being Erlang's loss formula. Any other curve is
replaced by the exponential that touches it at the price that the bid price asks for, a few times over.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaincc, gammaln

ROUNDS = 4
_TINY = 1e-30


def log_blocking(stock: Array, load: Array) -> Array:
    """Return ln(1 - B(x, ρ)) of Erlang's loss formula, x a real number >= 0: ln of F(x - 1; ρ) / F(x; ρ), Poisson."""
    log_pmf = stock * jnp.log(jnp.maximum(load, _TINY)) - load - gammaln(stock + 1.0)
    log_cdf = jnp.log(jnp.maximum(gammaincc(stock + 1.0, load), _TINY))
    blocked = jnp.exp(jnp.minimum(log_pmf - log_cdf, 0.0))
    return jnp.log1p(-jnp.minimum(blocked, 1.0 - 1e-6))


def expected_sales(mean: Array, stock: Array) -> Array:
    """E[min(D, x)] of a Poisson demand D and stock x (may be inf)."""
    x = jnp.where(jnp.isfinite(stock), stock, 1e6)
    below = gammaincc(jnp.maximum(x, 1.0), mean)  # P(D <= x - 1)
    further = jnp.where(x >= 2.0, gammaincc(jnp.maximum(x - 1.0, 1.0), mean), 0.0)  # P(D <= x - 2)
    limited = mean * further + x * (1.0 - below)
    limited = jnp.where(x >= 1.0, jnp.minimum(limited, jnp.minimum(mean, x)), 0.0)
    return jnp.where(jnp.isfinite(stock) & (x < 1e4), limited, jnp.minimum(mean, x))


def bid_price(prices: Array, demand: Array, unit_cost: Array, stock: Array, periods_left: Array) -> Array:
    """Value of the next unit of stock, for demand that is known.

    Args:
        prices: [..., A] ascending.
        demand: [..., A] units a period at each, falling.
        unit_cost: [...].
        stock: [...] units; inf if unlimited: the bid price is 0.
        periods_left: [...].

    Returns:
        [...] money of the prices.
    """
    bid = jnp.zeros_like(stock)
    limited = jnp.isfinite(stock) & jnp.isfinite(periods_left)
    x, left = jnp.where(limited, stock, 1.0), jnp.where(limited, periods_left, 1.0)
    log_demand = jnp.log(jnp.maximum(demand, _TINY))
    slope = -jnp.gradient(log_demand, axis=-1) / jnp.gradient(prices, axis=-1)
    for _ in range(ROUNDS):
        margin = prices - unit_cost[..., None] - bid[..., None]
        best = jnp.argmax(jnp.where(margin > 0, margin * demand, -1.0), axis=-1)[..., None]
        sensitivity = jnp.maximum(jnp.take_along_axis(slope, best, axis=-1)[..., 0], 1e-6)
        at = jnp.take_along_axis(log_demand, best, axis=-1)[..., 0]
        price = jnp.take_along_axis(prices, best, axis=-1)[..., 0]
        # the exponential through (price, demand): its demand at the best unlimited price is a·exp(-α·c - 1)
        load = jnp.exp(at + sensitivity * (price - unit_cost) - 1.0) * left
        bid = jnp.where(limited, -log_blocking(x, load) / sensitivity, 0.0)
    return bid
