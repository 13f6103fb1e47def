"""The single product of Ferreira, Simchi-Levi & Wang (2018), Operations Research 66, 1586-1602.

Four prices, one shopper a period who buys with a probability that depends on the price, a stock of a quarter or half
a unit for each period, no cost, no restocking. The paper's retailer knows nothing but the four prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.planning.exact import bernoulli_tails, optimal_value, plan
from pricing_core.planning.linear_program import best_mixture
from pricing_core.simulator.bar.interface import History, Outcome, View
from pricing_core.simulator.bar.lots import Remainder
from pricing_core.simulator.bar.offers import Range, at, uniform

PRICES = (29.9, 34.9, 39.9, 44.9)
LIST_PRICE = 34.9
MEAN_ELASTICITY = 2.62
"""Over 1,851 published estimates (Bijmolt, van Heerde & Pieters 2005): what is known of a product of no category."""

Probabilities = tuple[Range, Range, Range, Range]
"""What the purchase probabilities at the four prices are drawn from; then they are sorted."""

TUNING: Probabilities = ((0.55, 0.95), (0.3, 0.8), (0.15, 0.5), (0.05, 0.25))
TEST: Probabilities = ((0.8, 0.8), (0.6, 0.6), (0.3, 0.3), (0.1, 0.1))
"""The paper's: all markets are alike, and differ in luck only."""


class Product(NamedTuple):
    """N markets."""

    probability: Array
    """float32 [N, 4], of a purchase in a period at each price: falling."""


@dataclass(frozen=True)
class Ferreira:
    """One kind for each season length and supply."""

    periods: int = 500
    """500 or 5,000 in the bar."""
    supply: float = 0.25
    """Units at the start for each period: 0.25 or 0.5."""
    probabilities: Probabilities = TEST

    @property
    def name(self) -> str:
        """With season and supply."""
        return f"ferreira_{self.periods}_{self.supply:g}"

    @property
    def family(self) -> int:
        """Offers are independent."""
        return 1

    @property
    def stock(self) -> int:
        """Units at the start."""
        return int(self.supply * self.periods)

    def sample(self, key: Array, n: int) -> Product:
        """Draw purchase probabilities."""
        drawn = [uniform(k, n, limits) for k, limits in zip(jax.random.split(key, 4), self.probabilities, strict=True)]
        return Product(jnp.sort(jnp.stack(drawn, axis=1), axis=1, descending=True))

    def history(self, _params: Product, _key: Array) -> History | None:
        """None: the season is the first."""
        return None

    def start(self, params: Product, _key: Array) -> Remainder:
        """Start with the full stock."""
        n = params.probability.shape[0]
        return Remainder(jnp.zeros((), jnp.int32), jnp.full(n, float(self.stock)))

    def view(self, params: Product, state: Remainder) -> View:
        """Show stock and deadline; of demand nothing is known."""
        n = params.probability.shape[0]
        return View(
            prices=jnp.broadcast_to(jnp.asarray(PRICES), (n, len(PRICES))),
            unit_cost=jnp.zeros(n),
            stock=state.stock,
            periods_left=jnp.full(n, float(self.periods)) - state.period,
            exposure=jnp.ones(n),
            list_price=jnp.full(n, LIST_PRICE),
            prior_units=jnp.full(n, jnp.nan),
            prior_elasticity=jnp.full(n, MEAN_ELASTICITY),
            rival_price=jnp.full(n, jnp.nan),
        )

    def step(self, params: Product, state: Remainder, price: Array, key: Array) -> tuple[Remainder, Outcome]:
        """Let one shopper come, who buys if luck is high enough and there is stock."""
        luck = jax.random.uniform(jax.random.fold_in(key, state.period), price.shape)
        asked = jnp.abs(price[:, None] - jnp.asarray(PRICES)).argmin(axis=1)
        bought = luck >= 1.0 - at(params.probability, asked)
        units = jnp.minimum(bought.astype(jnp.float32), state.stock)
        left = state.stock - units
        return Remainder(state.period + 1, left), Outcome(units, left <= 0.0, units * price)

    def optimum(self, params: Product) -> Array:
        """Solve the exact programme."""
        value = partial(optimal_value, jnp.asarray(PRICES), stock=self.stock, periods=self.periods)
        values: Array = jax.vmap(lambda chance: value(bernoulli_tails(chance)))(params.probability)
        return values[:, self.stock]

    def clairvoyant(self, params: Product) -> Callable[[Remainder], Array]:
        """Look the price up by periods and units left. The table takes some 10 MB a market at 5,000 periods."""
        solve = partial(plan, jnp.asarray(PRICES), stock=self.stock, periods=self.periods)
        best: Array = jax.vmap(lambda chance: solve(bernoulli_tails(chance)).best)(params.probability)

        def choose(state: Remainder) -> Array:
            return best[jnp.arange(best.shape[0]), self.periods - state.period, state.stock.astype(jnp.int32)]

        return choose

    def fluid_bound(self, params: Product) -> Array:
        """Profit if demand were its mean, [n]: what the paper compares with; the optimum lies below it."""
        solve = partial(best_mixture, jnp.asarray(PRICES), supply=jnp.asarray(self.supply))
        of_period: Array = jax.vmap(lambda mean: solve(mean=mean).value)(params.probability)
        return self.periods * of_period
