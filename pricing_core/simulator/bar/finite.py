"""A given stock, a deadline, no restocking and no cost (Gallego & van Ryzin 1994): cold, or with a log of sales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History
from pricing_core.simulator.bar.lots import LotMarket, Lots, sample_lots
from pricing_core.simulator.bar.offers import Range, logged, random_prices


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    load: Range
    """Units demanded until the deadline at the best price of unlimited stock / stock."""
    deadline: int


TUNING = Ranges(elasticity=(1.3, 3.5), load=(0.5, 1.7), deadline=30)
TEST = Ranges(elasticity=(1.5, 4.0), load=(0.6, 2.0), deadline=40)


@dataclass(frozen=True)
class Finite(LotMarket):
    """The same stock in every market."""

    stock: int = 10
    """5, 10, 20 or 40 units in the bar."""
    log: int = 0
    """Periods of unlimited stock at random prices of the set that are logged before the first decision."""
    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """With the stock, and whether there is a log."""
        return f"finite_{'logged' if self.log else 'cold'}_{self.stock}"

    @property
    def periods(self) -> int:
        """The deadline."""
        return self.ranges.deadline

    @property
    def most_stock(self) -> int:
        """The stock."""
        return self.stock

    def sample(self, key: Array, n: int) -> Lots:
        """Draw demand curves."""
        stock, deadline = jnp.full(n, self.stock), jnp.full(n, self.ranges.deadline)
        return sample_lots(key, stock, deadline, elasticity=self.ranges.elasticity, load=self.ranges.load)

    def history(self, params: Lots, key: Array) -> History | None:
        """Log sales of unlimited stock, or nothing."""
        if self.log == 0:
            return None
        k_price, k_units = jax.random.split(key)
        return logged(params.offers, random_prices(params.offers, k_price, self.log), k_units)
