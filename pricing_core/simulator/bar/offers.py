"""What the kinds share: offers with a known demand curve, and logs of what they sold."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.demand.forms import FORMS, demand
from pricing_core.simulator.bar.interface import History, View
from pricing_core.simulator.coupling import poisson_quantile

Range = tuple[float, float]
"""Lowest and highest value of a uniform draw."""

PRICES = 12
"""Prices that may be asked."""
PRIOR_SPREAD = 0.85
"""Log standard deviation of the merchant's guess at the units."""


class Offers(NamedTuple):
    """N offers whose demand depends on their own price only. [N] float32 unless said."""

    form: Array
    """int32, a code of `demand.forms`."""
    level: Array
    """Expected units a period at the list price."""
    elasticity: Array
    """At the list price."""
    list_price: Array
    unit_cost: Array
    prices: Array
    """[N, A] ascending."""
    prior_units: Array
    prior_elasticity: Array


def sample_offers(key: Array, n: int, *, elasticity: Range, units: Range, cost: Range, span: Range) -> Offers:
    """Draw offers of random form.

    Args:
        key: Consumed.
        n: How many.
        elasticity: Range of the elasticity at the list price; its middle is the prior mean.
        units: Range of the level, uniform in its logarithm.
        cost: Range of unit cost / list price.
        span: Lowest and highest price / list price; the others lie between in equal ratios.
    """
    k = jax.random.split(key, 6)
    level = log_uniform(k[1], n, units)
    list_price = money(k[3], n)
    return Offers(
        form=jax.random.randint(k[0], (n,), 0, len(FORMS)),
        level=level,
        elasticity=uniform(k[2], n, elasticity),
        list_price=list_price,
        unit_cost=list_price * uniform(k[4], n, cost),
        prices=price_set(list_price, span),
        prior_units=guess(k[5], level),
        prior_elasticity=jnp.full(n, (elasticity[0] + elasticity[1]) / 2.0),
    )


def price_set(list_price: Array, span: Range) -> Array:
    """Give the prices that may be asked: `PRICES` of equal ratios across the span of price / list price, [N, A]."""
    return list_price[:, None] * jnp.geomspace(*span, PRICES)


def uniform(key: Array, n: int, limits: Range) -> Array:
    """Draw n values between the limits."""
    return jax.random.uniform(key, (n,), minval=limits[0], maxval=limits[1])


def log_uniform(key: Array, n: int, limits: Range) -> Array:
    """Draw n values between the limits, uniform in their logarithm."""
    return limits[0] * (limits[1] / limits[0]) ** jax.random.uniform(key, (n,))


def money(key: Array, n: int) -> Array:
    """Draw n list prices: log-normal about 30, so that no policy lives on knowing the unit of money."""
    return 30.0 * jnp.exp(0.8 * jax.random.normal(key, (n,)))


def guess(key: Array, units: Array) -> Array:
    """Blur the truth as category knowledge does: log-normal about it, `PRIOR_SPREAD` wide."""
    return units * jnp.exp(PRIOR_SPREAD * jax.random.normal(key, units.shape))


def mean_units(offers: Offers, price: Array) -> Array:
    """Expected units a period at prices [..., N]."""
    return offers.level * demand(offers.form, offers.elasticity, price / offers.list_price)


def mean_profit(offers: Offers, price: Array) -> Array:
    """Expected profit a period at prices [..., N]."""
    return mean_units(offers, price) * (price - offers.unit_cost)


def profit_table(offers: Offers) -> Array:
    """Expected profit a period at every price that may be asked, [N, A]."""
    return mean_profit(offers, offers.prices.T).T


def at(table: Array, index: Array) -> Array:
    """Take one column of each row: [N, A], int [N] → [N]."""
    return jnp.take_along_axis(table, index[:, None], axis=1)[:, 0]


def unlimited_view(offers: Offers) -> View:
    """What is known of offers that are always in stock, count no shoppers and have no rivals."""
    endless, unknown = jnp.full_like(offers.level, jnp.inf), jnp.full_like(offers.level, jnp.nan)
    return View(
        prices=offers.prices,
        unit_cost=offers.unit_cost,
        stock=endless,
        periods_left=endless,
        exposure=jnp.ones_like(offers.level),
        list_price=offers.list_price,
        prior_units=offers.prior_units,
        prior_elasticity=offers.prior_elasticity,
        rival_price=unknown,
    )


def random_prices(offers: Offers, key: Array, periods: int) -> Array:
    """Draw a price of the set for each period, all equally likely: [periods, N]."""
    n, a = offers.prices.shape
    chosen = jax.random.randint(key, (periods, n), 0, a)
    return jnp.take_along_axis(offers.prices, chosen.T, axis=1).T


def logged(offers: Offers, price: Array, key: Array, shock: Array | float = 1.0, cost: Array | None = None) -> History:
    """Let offers sell at given prices, without limit, and log it.

    Args:
        offers: N.
        price: [L, N].
        key: Of the units.
        shock: [L, N], multiplies expected demand and is not logged.
        cost: [L, N] at the time; the present one if left out.
    """
    units = poisson_quantile(jax.random.uniform(key, price.shape), mean_units(offers, price) * shock)
    now = jnp.broadcast_to(offers.unit_cost, price.shape)
    return History(price, units, jnp.ones_like(price), now if cost is None else cost)
