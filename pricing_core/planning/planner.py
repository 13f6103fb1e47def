"""Which price a known demand curve asks for, in closed form: the worth of a unit of a stock that ends by a deadline.

Where demand is ``a·exp(-b·p)`` per unit of time, the expected profit of x units until a deadline is
``ln(Σ_{i<=x} load^i / i!) / b`` (Gallego & van Ryzin 1994), the load being the demand until then at the price that is
best without a limit. The next unit is then worth ``-ln(1 - B(x, load)) / b``, B being Erlang's loss formula: its bid
price. Any other curve is replaced by the exponential that touches it at the price that the bid price asks for; that
price is found by bisection. Without a limit the bid price is 0 and what is left is the monopoly price.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaincc, gammaln, ndtr

from pricing_core.demand.forms import CONSTANT_ELASTICITY, EXPONENTIAL, LINEAR, demand

ROUNDS = 14
_HIGHEST = 4.0
"""In list prices: no price is looked for beyond it."""
_LOWEST = 0.25
_MANY = 60.0
"""From so many units on a normal distribution stands for the Poisson."""
_TINY = 1e-30


class Curve(NamedTuple):
    """A demand that is taken for known. All broadcast; float32 but for the form."""

    form: Array
    """int, see `demand.forms`."""
    elasticity: Array
    """At the list price."""
    level: Array
    """Units a period at the list price."""
    list_price: Array


def log_admission(stock: Array, load: Array) -> Array:
    """Return ln(1 - B(x, load)) of Erlang's loss formula: ln of F(x - 1) / F(x), F being Poisson's with mean load."""
    log_pmf = stock * jnp.log(jnp.maximum(load, _TINY)) - load - gammaln(stock + 1.0)
    log_cdf = jnp.log(jnp.maximum(_poisson_cdf(stock, load), _TINY))
    blocked = jnp.exp(jnp.minimum(log_pmf - log_cdf, 0.0))
    # Far above the stock both vanish; there 1 / B - 1 = x / load + x·(x - 1) / load² + ... is nearly geometric.
    series = stock / jnp.maximum(load - stock + 1.0, _TINY)
    heavy = load > stock + 8.0 * jnp.sqrt(stock + 1.0)
    safe = jnp.maximum(jnp.where(heavy, series, 1.0), _TINY)
    return jnp.where(heavy, jnp.log(safe / (1.0 + safe)), jnp.log1p(-jnp.minimum(blocked, 1.0 - 1e-6)))


def expected_sales(mean: Array, stock: Array) -> Array:
    """E[min(D, x)] of a Poisson demand D with the given mean and a stock x (inf if unlimited)."""
    x = jnp.minimum(stock, 1e6)
    few, rate = _few(x, mean)
    below = gammaincc(jnp.maximum(few, 1.0), rate)  # P(D <= x - 1)
    further = jnp.where(few >= 2.0, gammaincc(jnp.maximum(few - 1.0, 1.0), rate), 0.0)
    exact = mean * further + x * (1.0 - below)
    spread = jnp.sqrt(jnp.maximum(mean, 1e-6))
    z = (x - mean) / spread
    density = jnp.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    sold = jnp.where(x > _MANY, mean - spread * (density - z * ndtr(-z)), exact)
    return jnp.where(x >= 1.0, jnp.clip(sold, 0.0, jnp.minimum(mean, x)), 0.0)


def sensitivity(curve: Curve, price: Array) -> Array:
    """Give -d ln demand / d price."""
    e, ratio = curve.elasticity, price / curve.list_price
    left = jnp.maximum(1.0 - e * (ratio - 1.0), 1e-3)
    falls = jnp.select(
        [curve.form == EXPONENTIAL, curve.form == CONSTANT_ELASTICITY, curve.form == LINEAR],
        [e + 0.0 * ratio, e / ratio, e / left],
        2.0 * e * jax.nn.sigmoid(2.0 * e * (ratio - 1.0)),
    )
    return falls / curve.list_price


def bid_price(curve: Curve, unit_cost: Array, stock: Array, periods_left: Array) -> Array:
    """Give what the next unit of stock is worth if demand is known; 0 where stock or time are unlimited.

    Args:
        curve: Demand; broadcasts with what follows.
        unit_cost: Of a unit sold.
        stock: Units; inf if unlimited.
        periods_left: inf if there is no deadline.

    Returns:
        Money, >= 0.
    """
    limited = jnp.isfinite(stock) & jnp.isfinite(periods_left)
    x, left = jnp.where(limited, stock, 1.0), jnp.where(limited, periods_left, 1.0)
    low = jnp.log(jnp.maximum(unit_cost, _LOWEST * curve.list_price)) + 0.0 * x
    high = jnp.log(_HIGHEST * curve.list_price) + 0.0 * x

    def worth(price: Array) -> Array:
        steepness = sensitivity(curve, price)
        sold = curve.level * demand(curve.form, curve.elasticity, price / curve.list_price)
        # The exponential through (price, demand): its demand at the price that is best without a limit.
        load = sold * jnp.exp(jnp.clip(steepness * (price - unit_cost) - 1.0, -20.0, 20.0)) * left
        return -log_admission(x, load) / steepness

    def halve(_: int | Array, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = 0.5 * (low + high)
        price = jnp.exp(middle)
        asked = unit_cost + 1.0 / sensitivity(curve, price) + jnp.where(limited, worth(price), 0.0)
        return jnp.where(price < asked, middle, low), jnp.where(price < asked, high, middle)

    shape = jnp.broadcast_shapes(low.shape, x.shape, left.shape, curve.elasticity.shape, curve.level.shape)
    bounds = jnp.broadcast_to(low, shape), jnp.broadcast_to(high, shape)
    low, high = jax.lax.fori_loop(0, ROUNDS, halve, bounds)
    price = jnp.exp(0.5 * (low + high))
    bid: Array = jnp.where(limited, worth(price), 0.0)
    return bid


def _poisson_cdf(x: Array, mean: Array) -> Array:
    """P(D <= x), x a real number; by a normal's where all are large (Wilson & Hilferty's cube root)."""
    few, rate = _few(x, mean)
    k = x + 1.0
    normal = ndtr(-((jnp.maximum(mean, _TINY) / k) ** (1.0 / 3.0) - (1.0 - 1.0 / (9.0 * k))) * 3.0 * jnp.sqrt(k))
    cdf: Array = jnp.where(x > _MANY, normal, gammaincc(few + 1.0, rate))
    return cdf


def _few(x: Array, mean: Array) -> tuple[Array, Array]:
    """Stocks and means for the exact formula; where a normal takes its place, numbers with which it is done at once."""
    many = x > _MANY
    return jnp.where(many, 1.0, x), jnp.where(many, 1.0, mean)
