"""Short seasons of all sorts, cold: every market has its own stock, deadline, cost and pressure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
from jax import Array

from pricing_core.simulator.bar.lots import LotMarket, Lots, sample_lots
from pricing_core.simulator.bar.offers import Range


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    load: Range
    """Units demanded until the deadline at the best price of unlimited stock / stock."""
    cost: Range
    """Unit cost / list price."""
    deadline: tuple[int, int]
    stock: tuple[int, int]


TUNING = Ranges(elasticity=(1.3, 3.5), load=(0.5, 2.0), cost=(0.0, 0.3), deadline=(6, 24), stock=(3, 30))
TEST = Ranges(elasticity=(1.5, 4.0), load=(0.4, 2.5), cost=(0.0, 0.4), deadline=(8, 30), stock=(3, 40))


@dataclass(frozen=True)
class Short(LotMarket):
    """Nothing is the same in two markets."""

    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """The kind."""
        return "short"

    @property
    def periods(self) -> int:
        """The latest deadline."""
        return self.ranges.deadline[1]

    @property
    def most_stock(self) -> int:
        """The largest stock."""
        return self.ranges.stock[1]

    def sample(self, key: Array, n: int) -> Lots:
        """Draw stocks, deadlines and demand curves."""
        k_stock, k_deadline, k_lots = jax.random.split(key, 3)
        (low, high), (early, late) = self.ranges.stock, self.ranges.deadline
        stock = jax.random.randint(k_stock, (n,), low, high + 1)
        deadline = jax.random.randint(k_deadline, (n,), early, late + 1)
        return sample_lots(
            k_lots,
            stock,
            deadline,
            elasticity=self.ranges.elasticity,
            load=self.ranges.load,
            cost=self.ranges.cost,
        )
