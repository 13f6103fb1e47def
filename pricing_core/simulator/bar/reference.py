"""Shoppers who remember: a price above what they are used to costs more sales than one below it brings.

Demand is the curve times exp(gain·x) for x = (ref - price) / list >= 0, exp(loss·x) below, loss > gain > 0; the
reference price is an exponentially smoothed average of past prices (Popescu & Wu 2007, Operations Research 55).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pricing_core.simulator.bar.interface import History, Outcome, View
from pricing_core.simulator.bar.offers import (
    Offers,
    Range,
    mean_profit,
    mean_units,
    sample_offers,
    uniform,
    unlimited_view,
)
from pricing_core.simulator.bar.unlimited import SPAN
from pricing_core.simulator.coupling import poisson_quantile

_GRID = np.linspace(*SPAN, 256, dtype=np.float32)
"""Reference price / list price, where the programme knows its value; linear in between."""


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    """Of the curve: what a lasting change of the price does. The reference effect comes on top at first."""
    units: Range
    """A period at the list price."""
    cost: Range
    """Unit cost / list price."""
    gain: Range
    aversion: Range
    """loss / gain."""
    memory: Range
    """Weight of the old reference price."""
    periods: int


TUNING = Ranges(
    elasticity=(1.4, 3.5),
    units=(4.0, 40.0),
    cost=(0.45, 0.6),
    gain=(0.2, 0.8),
    aversion=(1.2, 2.0),
    memory=(0.8, 0.92),
    periods=160,
)
TEST = Ranges(
    elasticity=(1.5, 4.0),
    units=(5.0, 60.0),
    cost=(0.5, 0.65),
    gain=(0.3, 1.0),
    aversion=(1.1, 2.0),
    memory=(0.85, 0.95),
    periods=200,
)


class Remembered(NamedTuple):
    """N offers and their shoppers' memory. [N] float32."""

    offers: Offers
    gain: Array
    loss: Array
    memory: Array


class Memory(NamedTuple):
    """Where N markets stand."""

    period: Array
    """int32 scalar: periods so far."""
    reference: Array
    """float32 [N], / list price."""


@dataclass(frozen=True)
class Reference:
    """The optimum is a dynamic programme over a grid of reference prices."""

    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """The kind."""
        return "reference"

    @property
    def family(self) -> int:
        """Offers are independent."""
        return 1

    @property
    def periods(self) -> int:
        """Decisions to play."""
        return self.ranges.periods

    def sample(self, key: Array, n: int) -> Remembered:
        """Draw offers and memories."""
        k_offers, k_gain, k_aversion, k_memory = jax.random.split(key, 4)
        r = self.ranges
        gain = uniform(k_gain, n, r.gain)
        return Remembered(
            sample_offers(k_offers, n, elasticity=r.elasticity, units=r.units, cost=r.cost, span=SPAN),
            gain,
            gain * uniform(k_aversion, n, r.aversion),
            uniform(k_memory, n, r.memory),
        )

    def history(self, _params: Remembered, _key: Array) -> History | None:
        """None."""
        return None

    def start(self, params: Remembered, _key: Array) -> Memory:
        """Shoppers are used to the list price."""
        return Memory(jnp.zeros((), jnp.int32), jnp.ones_like(params.gain))

    def view(self, params: Remembered, _state: Memory) -> View:
        """Show what stands on the offers: the reference price is nowhere to be seen."""
        return unlimited_view(params.offers)

    def step(self, params: Remembered, state: Memory, price: Array, key: Array) -> tuple[Memory, Outcome]:
        """Sell what is demanded, and be remembered. Profit is the expectation."""
        luck = jax.random.uniform(jax.random.fold_in(key, state.period), price.shape)
        ratio = price / params.offers.list_price
        mean = mean_units(params.offers, price) * _effect(params, state.reference, ratio)
        outcome = Outcome(
            units=poisson_quantile(luck, mean),
            stocked_out=jnp.zeros(price.shape, bool),
            profit=mean * (price - params.offers.unit_cost),
        )
        return Memory(state.period + 1, _smoothed(params, state.reference, ratio)), outcome

    def optimum(self, params: Remembered) -> Array:
        """Value of the programme at the start."""
        worth = _worth(params, self.periods)
        start = self.start(params, jax.random.key(0)).reference
        return jax.vmap(_value_of_prices)(params, worth[:, 1], start).max(axis=1)

    def clairvoyant(self, params: Remembered) -> Callable[[Memory], Array]:
        """Weigh profit now against the value of the reference price that it leaves."""
        worth = _worth(params, self.periods)

        def choose(state: Memory) -> Array:
            return jax.vmap(_value_of_prices)(params, worth[:, state.period + 1], state.reference).argmax(axis=1)

        return choose


def _worth(params: Remembered, periods: int) -> Array:
    """Best profit from period t on by reference price on the grid, float32 [N, T + 1, G]."""

    def of_offer(offer: Remembered) -> Array:
        def period(after: Array, _: None) -> tuple[Array, Array]:
            before = jax.vmap(_value_of_prices, (None, None, 0))(offer, after, jnp.asarray(_GRID)).max(axis=1)
            return before, before

        _, rows = jax.lax.scan(period, jnp.zeros_like(_GRID), length=periods)
        return jnp.pad(rows[::-1], ((0, 1), (0, 0)))

    return jax.vmap(of_offer)(params)


def _value_of_prices(offer: Remembered, after: Array, reference: Array) -> Array:
    """Value of each price of one offer, [A]: profit now, and what comes after it by the grid, [G]."""
    prices, ratio = offer.offers.prices, offer.offers.prices / offer.offers.list_price
    profit = mean_profit(offer.offers, prices) * _effect(offer, reference, ratio)
    return profit + jnp.interp(_smoothed(offer, reference, ratio), _GRID, after)


def _effect(params: Remembered, reference: Array, ratio: Array) -> Array:
    """Factor on demand where shoppers expect ``reference`` and find ``ratio``, both price / list price."""
    surprise = reference - ratio
    return jnp.exp(jnp.where(surprise > 0.0, params.gain, params.loss) * surprise)


def _smoothed(params: Remembered, reference: Array, ratio: Array) -> Array:
    return params.memory * reference + (1.0 - params.memory) * ratio
