"""What the kinds with unlimited stock and independent offers share: Poisson sales about a curve that may move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History, Outcome, View
from pricing_core.simulator.bar.offers import Offers, mean_profit, mean_units, profit_table, unlimited_view
from pricing_core.simulator.coupling import poisson_quantile

SPAN = (0.65, 1.95)
"""Lowest and highest price / list price: the best prices of costs of 45-70 % and elasticities of 1.5-4 lie inside,
but for the flattest curves of constant elasticity.
"""


@dataclass(frozen=True)
class UnlimitedMarket:
    """A kind whose offers never run out and have no deadline. State is the number of periods so far, int32 scalar."""

    @property
    def family(self) -> int:
        """Offers are independent."""
        return 1

    @property
    def periods(self) -> int:
        """Decisions to play."""
        raise NotImplementedError

    def offers(self, params: Any, _period: Array) -> Offers:
        """Give the demand curves of a period; as a rule they never change."""
        steady: Offers = params
        return steady

    def history(self, _params: Any, _key: Array) -> History | None:
        """None, as a rule."""
        return None

    def start(self, _params: Any, _key: Array) -> Array:
        """Start at period 0."""
        return jnp.zeros((), jnp.int32)

    def view(self, params: Any, state: Array) -> View:
        """Show what stands on the offers."""
        return unlimited_view(self.offers(params, state))

    def step(self, params: Any, state: Array, price: Array, key: Array) -> tuple[Array, Outcome]:
        """Sell what is demanded. Profit is the expectation."""
        offers = self.offers(params, state)
        luck = jax.random.uniform(jax.random.fold_in(key, state), price.shape)
        units = poisson_quantile(luck, mean_units(offers, price))
        return state + 1, Outcome(units, jnp.zeros(price.shape, bool), mean_profit(offers, price))

    def optimum(self, params: Any) -> Array:
        """Add up the best expected profit of each period."""

        def add(period: int | Array, total: Array) -> Array:
            return total + profit_table(self.offers(params, jnp.asarray(period))).max(axis=1)

        nothing = jnp.zeros_like(self.offers(params, jnp.zeros((), jnp.int32)).level)
        total: Array = jax.lax.fori_loop(0, self.periods, add, nothing)
        return total

    def clairvoyant(self, params: Any) -> Callable[[Array], Array]:
        """Take the best price of the period."""
        return lambda state: profit_table(self.offers(params, state)).argmax(axis=1)
