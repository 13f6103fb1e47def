"""Demand that changes: all at once at an unknown time, or slowly all the time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.offers import Offers, Range, sample_offers, uniform
from pricing_core.simulator.bar.unlimited import SPAN, UnlimitedMarket


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    units: Range
    """A period at the list price, at the start."""
    cost: Range
    """Unit cost / list price."""
    jump: float
    """Largest factor by which the level jumps, up or down."""
    level_walk: float
    """Standard deviation of the log level's step in a period."""
    elasticity_walk: float
    """The same for the elasticity."""
    periods: int


TUNING = Ranges(
    elasticity=(1.4, 3.5),
    units=(4.0, 40.0),
    cost=(0.45, 0.65),
    jump=1.7,
    level_walk=0.025,
    elasticity_walk=0.012,
    periods=180,
)
TEST = Ranges(
    elasticity=(1.5, 4.0),
    units=(5.0, 60.0),
    cost=(0.5, 0.7),
    jump=2.0,
    level_walk=0.02,
    elasticity_walk=0.01,
    periods=240,
)


class Moving(NamedTuple):
    """N offers whose curve moves. The offers hold the start."""

    offers: Offers
    level: Array
    """float32 [T, N]."""
    elasticity: Array
    """float32 [T, N]."""


@dataclass(frozen=True)
class Drifting(UnlimitedMarket):
    """The optimum knows the curve of every period and takes its best price."""

    regime: bool = True
    """Level and elasticity jump once, in the middle 60 % of the time; else both walk."""
    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """By the way of changing."""
        return "drifting_regime" if self.regime else "drifting_walk"

    @property
    def periods(self) -> int:
        """Decisions to play."""
        return self.ranges.periods

    def sample(self, key: Array, n: int) -> Moving:
        """Draw offers and the whole path of their curves."""
        k_offers, k_path = jax.random.split(key)
        r = self.ranges
        offers = sample_offers(k_offers, n, elasticity=r.elasticity, units=r.units, cost=r.cost, span=SPAN)
        return self._jump(offers, k_path) if self.regime else self._walk(offers, k_path)

    def offers(self, params: Moving, period: Array) -> Offers:
        """Give the curve of a period."""
        return params.offers._replace(level=params.level[period], elasticity=params.elasticity[period])

    def _jump(self, offers: Offers, key: Array) -> Moving:
        n = offers.level.shape[0]
        k_time, k_level, k_elasticity = jax.random.split(key, 3)
        jumped_at = uniform(k_time, n, (0.2, 0.8)) * self.periods
        after = jnp.arange(self.periods)[:, None] >= jumped_at
        factor = self.ranges.jump ** uniform(k_level, n, (-1.0, 1.0))
        redrawn = uniform(k_elasticity, n, self.ranges.elasticity)
        return Moving(
            offers,
            offers.level * jnp.where(after, factor, 1.0),
            jnp.where(after, redrawn, offers.elasticity),
        )

    def _walk(self, offers: Offers, key: Array) -> Moving:
        steps = jax.random.normal(key, (2, self.periods, offers.level.shape[0]))
        level, elasticity = jnp.cumsum(steps, axis=1)
        return Moving(
            offers,
            offers.level * jnp.exp(self.ranges.level_walk * level),
            offers.elasticity * jnp.exp(self.ranges.elasticity_walk * elasticity),
        )
