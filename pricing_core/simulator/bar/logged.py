"""A long log of a steady market under a simple rule with some exploration; then there is time to do better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History
from pricing_core.simulator.bar.offers import (
    Offers,
    Range,
    at,
    logged,
    profit_table,
    random_prices,
    sample_offers,
)
from pricing_core.simulator.bar.unlimited import SPAN, UnlimitedMarket


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    units: Range
    """A period at the list price."""
    cost: Range
    """Unit cost / list price."""
    off: Range
    """How far the rule's price is from the best one, as a share of it, up or down."""
    explored: float
    """Share of the logged periods at a random price of the set."""
    log: int
    """Periods."""
    periods: int


TUNING = Ranges(
    elasticity=(1.4, 3.5), units=(4.0, 40.0), cost=(0.45, 0.65), off=(0.05, 0.25), explored=0.1, log=5000, periods=100
)
TEST = Ranges(
    elasticity=(1.5, 4.0), units=(5.0, 60.0), cost=(0.5, 0.7), off=(0.05, 0.25), explored=0.1, log=10_000, periods=100
)


class Ruled(NamedTuple):
    """N offers, and what the logging rule asked."""

    offers: Offers
    rule_price: Array
    """float32 [N]: a fixed mark-up on a steady cost, hence one price."""


@dataclass(frozen=True)
class Logged(UnlimitedMarket):
    """The optimum takes the best price; the rule to beat is `rule_price`."""

    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """The kind."""
        return "logged"

    @property
    def periods(self) -> int:
        """Decisions to play."""
        return self.ranges.periods

    def offers(self, params: Ruled, _period: Array) -> Offers:
        """Give the curves, which never change."""
        return params.offers

    def sample(self, key: Array, n: int) -> Ruled:
        """Draw offers, and for each a price of the set that is off the best one as the ranges say."""
        k_offers, k_rule = jax.random.split(key)
        r = self.ranges
        offers = sample_offers(k_offers, n, elasticity=r.elasticity, units=r.units, cost=r.cost, span=SPAN)
        best = at(offers.prices, profit_table(offers).argmax(axis=1))
        gap = jnp.abs(offers.prices / best[:, None] - 1.0)
        eligible = (gap >= r.off[0]) & (gap <= r.off[1])
        rule = jax.random.categorical(k_rule, jnp.where(eligible, 0.0, -jnp.inf))
        return Ruled(offers, at(offers.prices, rule))

    def rule_price(self, params: Ruled) -> Array:
        """Give the price of the rule that wrote the log, [N]."""
        return params.rule_price

    def history(self, params: Ruled, key: Array) -> History:
        """Log the rule, with its exploration."""
        k_random, k_explore, k_units = jax.random.split(key, 3)
        elsewhere = random_prices(params.offers, k_random, self.ranges.log)
        explores = jax.random.bernoulli(k_explore, self.ranges.explored, elsewhere.shape)
        return logged(params.offers, jnp.where(explores, elsewhere, params.rule_price), k_units)
