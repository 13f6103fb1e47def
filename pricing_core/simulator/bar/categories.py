"""New offers: of the category something is known, of the offer nothing, and there is little time to learn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.offers import Offers, Range, sample_offers, uniform
from pricing_core.simulator.bar.unlimited import SPAN, UnlimitedMarket

CATEGORIES = 8


class Ranges(NamedTuple):
    """What markets are drawn from."""

    mean_elasticity: Range
    """Of the eight categories."""
    spread: float
    """Standard deviation of the elasticities in a category."""
    units: Range
    """A period at the list price."""
    cost: Range
    """Unit cost / list price."""
    periods: int


TUNING = Ranges(mean_elasticity=(1.8, 3.2), spread=0.4, units=(3.0, 30.0), cost=(0.5, 0.65), periods=40)
TEST = Ranges(mean_elasticity=(1.8, 3.8), spread=0.5, units=(2.0, 40.0), cost=(0.55, 0.7), periods=50)


@dataclass(frozen=True)
class Categories(UnlimitedMarket):
    """The prior mean of the elasticity is that of the offer's category."""

    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """The kind."""
        return "categories"

    @property
    def periods(self) -> int:
        """Decisions to play."""
        return self.ranges.periods

    def sample(self, key: Array, n: int) -> Offers:
        """Draw categories, then offers about them; no elasticity is below 1.1."""
        k_mean, k_category, k_own, k_offers = jax.random.split(key, 4)
        r = self.ranges
        of_category = uniform(k_mean, CATEGORIES, r.mean_elasticity)
        known = of_category[jax.random.randint(k_category, (n,), 0, CATEGORIES)]
        own = jnp.maximum(known + r.spread * jax.random.normal(k_own, (n,)), 1.1)
        offers = sample_offers(k_offers, n, elasticity=r.mean_elasticity, units=r.units, cost=r.cost, span=SPAN)
        return offers._replace(elasticity=own, prior_elasticity=known)
