"""What the kinds with a finite stock and a deadline share: the sales, and the exact plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.planning.exact import Plan, expected_gain, plan, poisson_tails
from pricing_core.simulator.bar.interface import History, Outcome, View
from pricing_core.simulator.bar.offers import (
    Offers,
    Range,
    at,
    guess,
    mean_units,
    profit_table,
    sample_offers,
    uniform,
    unlimited_view,
)
from pricing_core.simulator.coupling import poisson_quantile

SPAN = (0.5, 2.0)
"""Lowest and highest price / list price."""


class Lots(NamedTuple):
    """N offers, each with a stock to sell by a deadline."""

    offers: Offers
    stock: Array
    """int32 [N], units at the start."""
    deadline: Array
    """int32 [N], periods."""


class Remainder(NamedTuple):
    """Where N lots stand."""

    period: Array
    """int32 scalar: periods so far."""
    stock: Array
    """float32 [N]."""


def sample_lots(
    key: Array, stock: Array, deadline: Array, *, elasticity: Range, load: Range, cost: Range = (0.0, 0.0)
) -> Lots:
    """Draw offers whose demand is in a given proportion to their stock.

    Args:
        key: Consumed.
        stock: int32 [N].
        deadline: int32 [N].
        elasticity: See `offers.sample_offers`, as for ``cost``.
        load: Range of the units that would be demanded until the deadline at the best price of unlimited stock, as a
            multiple of the stock.
        cost: Range of unit cost / list price.
    """
    k_offers, k_load, k_guess = jax.random.split(key, 3)
    n = stock.shape[0]
    offers = sample_offers(k_offers, n, elasticity=elasticity, units=(1.0, 1.0), cost=cost, span=SPAN)
    unhurried = at(offers.prices, profit_table(offers).argmax(axis=1))
    level = uniform(k_load, n, load) * stock / (deadline * mean_units(offers, unhurried))
    return Lots(offers._replace(level=level, prior_units=guess(k_guess, level)), stock, deadline)


@dataclass(frozen=True)
class LotMarket:
    """A kind with a finite stock and a deadline, without restocking; demand is Poisson about a steady curve.

    A unit that is sold earns price less cost; what is left at the deadline is worth its cost.
    """

    @property
    def family(self) -> int:
        """Offers are independent."""
        return 1

    @property
    def periods(self) -> int:
        """The latest deadline."""
        raise NotImplementedError

    @property
    def most_stock(self) -> int:
        """The largest stock."""
        raise NotImplementedError

    def history(self, _params: Lots, _key: Array) -> History | None:
        """None, as a rule."""
        return None

    def start(self, params: Lots, _key: Array) -> Remainder:
        """Start with the full stock."""
        return Remainder(jnp.zeros((), jnp.int32), params.stock.astype(jnp.float32))

    def view(self, params: Lots, state: Remainder) -> View:
        """Show stock and deadline."""
        left = jnp.maximum(params.deadline - state.period, 0).astype(jnp.float32)
        return unlimited_view(params.offers)._replace(stock=state.stock, periods_left=left)

    def step(self, params: Lots, state: Remainder, price: Array, key: Array) -> tuple[Remainder, Outcome]:
        """Sell what is demanded and there; nothing after the deadline."""
        luck = jax.random.uniform(jax.random.fold_in(key, state.period), price.shape)
        open_ = state.period < params.deadline
        demanded = jnp.where(open_, poisson_quantile(luck, mean_units(params.offers, price)), 0.0)
        units = jnp.minimum(demanded, state.stock)
        left = state.stock - units
        profit = units * (price - params.offers.unit_cost)
        return Remainder(state.period + 1, left), Outcome(units, left <= 0.0, profit)

    def optimum(self, params: Lots) -> Array:
        """Solve the programme of each lot."""
        value = self._plans(params).value
        return value[jnp.arange(value.shape[0]), params.deadline, params.stock]

    def clairvoyant(self, params: Lots) -> Callable[[Remainder], Array]:
        """Look the price up by periods and units left."""
        best = self._plans(params).best
        return lambda state: best[(jnp.arange(best.shape[0]), *_where(params, state))].astype(jnp.int32)

    def shortfall(self, params: Lots) -> Callable[[Remainder, Array], Array]:
        """Value a price by what it gives away, exactly: see `interface.PlannedMarket`."""
        value = self._plans(params).value
        tails = partial(poisson_tails, stock=self.most_stock)

        def of_lot(table: Array, left: Array, stock: Array, margin: Array, mean: Array) -> Array:
            after = table[jnp.maximum(left - 1, 0)]
            gained = expected_gain(margin[None], tails(mean[None]), after)[0, stock]
            return jnp.where(left > 0, table[left, stock] - after[stock] - gained, 0.0)

        def given_away(state: Remainder, price: Array) -> Array:
            margin, mean = price - params.offers.unit_cost, mean_units(params.offers, price)
            return jax.vmap(of_lot)(value, *_where(params, state), margin, mean)

        return given_away

    def _plans(self, params: Lots) -> Plan:
        offers, most = params.offers, self.most_stock
        tails = jax.vmap(partial(poisson_tails, stock=most))(mean_units(offers, offers.prices.T).T)
        margin = offers.prices - offers.unit_cost[:, None]
        plans: Plan = jax.vmap(partial(plan, stock=most, periods=self.periods))(margin, tails)
        return plans


def _where(params: Lots, state: Remainder) -> tuple[Array, Array]:
    """Periods and units left, int32 [N] each."""
    return jnp.maximum(params.deadline - state.period, 0), state.stock.astype(jnp.int32)
