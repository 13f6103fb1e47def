"""The same market four times, with the same luck: under the applied prices and under three rules to compare with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pricing_core.simulator.market import (
    Markets,
    MarketState,
    Outcome,
    initial_state,
    optimal_price,
    sample_markets,
    step,
    with_other_shoppers,
)
from schemas.policies import OfferPolicy
from streams.market.events import Int64, Period
from streams.market.truth import Sales

RULES = ("applied", "hold", "match_cheapest", "optimum")
APPLIED, HOLD, MATCH_CHEAPEST, OPTIMUM = range(len(RULES))
RIVAL_NAMES = ("Aldona", "Bergmann", "Cornelis", "Dufour")
DAY_MS = 86_400_000


class Drawn(NamedTuple):
    """N markets and where they stand at the start; NumPy arrays."""

    markets: Markets
    state: MarketState


def draw(seed: int, n: int, price_sensitivity: float = 1.0) -> Drawn:
    """Draw ``n`` markets, whose shoppers react to prices so many times as strongly as those that models train on."""
    # jitted as a whole: one compilation instead of a hundred small ones
    markets, state = jax.jit(_draw, static_argnums=1)(jax.random.key(seed), n, price_sensitivity)
    return Drawn(*jax.tree.map(np.asarray, (markets, state)))


def _draw(key: Array, n: int, price_sensitivity: Array) -> tuple[Markets, MarketState]:
    markets = _reacting(sample_markets(key, n), price_sensitivity)
    return markets, initial_state(markets)


def _reacting(markets: Markets, price_sensitivity: float | Array) -> Markets:
    demand = markets.demand
    return markets._replace(demand=demand._replace(kappa=demand.kappa * price_sensitivity))


class Limits(NamedTuple):
    """Absolute bounds of N offers, whole minor units as float32 [N]."""

    lowest: Array
    highest: Array


class Fixed(NamedTuple):
    """What does not change while the markets run."""

    markets: Markets
    limits: Limits
    luck: Array
    """Random key, the same for all copies."""


class Worlds:
    """Four copies of N markets. Rivals react, so each copy has its own."""

    def __init__(
        self, drawn: Drawn, policies: Sequence[OfferPolicy], seed: int, price_sensitivity: float = 1.0
    ) -> None:
        lowest = [max(policy.floor, policy.map_price or 0) for policy in policies]
        limits = Limits(jnp.asarray(lowest, jnp.float32), jnp.asarray([p.ceiling for p in policies], jnp.float32))
        self.start_price = np.array([policy.list_price for policy in policies], np.int64)
        self._fixed = Fixed(drawn.markets, limits, jax.random.key(seed))
        self._others, self._price_sensitivity = jax.random.key(seed + 1), price_sensitivity
        self._states = jax.tree.map(lambda leaf: np.stack([leaf] * len(RULES)), drawn.state)
        self._prices = np.stack([self.start_price.astype(np.float32)] * len(RULES))

    def warm_up(self) -> None:
        """Compile, so that the first period does not have to."""
        _advance(self._fixed, self._states, self._prices, np.float32(0.1))

    def change_regime(self) -> None:
        """From now on other shoppers come, in all copies."""
        others = _reacting(with_other_shoppers(self._others, self._fixed.markets), self._price_sensitivity)
        self._fixed = self._fixed._replace(markets=others)

    def advance(self, applied: Int64, start: int, end: int) -> tuple[Period, dict[str, Sales]]:
        """Let ``[start, end)`` pass, ms, with ``applied`` prices, minor units [N].

        Returns:
            What happened in the market of the applied prices, and what each rule charged and sold.
        """
        charged = np.array(self._prices)
        charged[APPLIED] = applied
        dt_days = np.float32((end - start) / DAY_MS)
        self._states, self._prices, outcomes = _advance(self._fixed, self._states, charged, dt_days)
        seen = jax.tree.map(lambda leaf: np.asarray(leaf[APPLIED]), outcomes)
        prices, units = charged.astype(np.int64), _whole(outcomes.units)
        sales = {rule: Sales(prices[i], units[i]) for i, rule in enumerate(RULES)}
        return _period(applied, start, end, seen), sales


@jax.jit
def _advance(fixed: Fixed, states: MarketState, prices: Array, dt_days: Array) -> tuple[MarketState, Array, Outcome]:
    """One period of all copies, and the prices of the rules for the next."""
    markets, limits, luck = fixed
    states, outcomes = jax.vmap(lambda state, price: step(markets, state, price, luck, dt_days))(states, prices)
    cheapest = _cheapest(outcomes.rival_prices[MATCH_CHEAPEST], outcomes.rival_in_stock[MATCH_CHEAPEST])
    matched = jnp.where(jnp.isfinite(cheapest), cheapest, prices[MATCH_CHEAPEST])
    best = jnp.round(optimal_price(markets, jax.tree.map(lambda leaf: leaf[OPTIMUM], states)))
    prices = prices.at[MATCH_CHEAPEST].set(jnp.clip(matched, *limits)).at[OPTIMUM].set(jnp.clip(best, *limits))
    return states, prices, outcomes


def _cheapest(prices: Array, in_stock: Array) -> Array:
    """Lowest price of a rival in stock, [N]; infinite where there is none."""
    return jnp.where(in_stock & (prices > 0), prices, jnp.inf).min(axis=1)


def _period(applied: Int64, start: int, end: int, outcome: Outcome) -> Period:
    return Period(
        start=start,
        end=end,
        price=applied,
        impressions=_whole(outcome.impressions),
        clicks=_whole(outcome.clicks),
        units=_whole(outcome.units),
        on_hand=_whole(outcome.on_hand),
        rival_price=_whole(outcome.rival_prices),
        rival_in_stock=np.asarray(outcome.rival_in_stock),
    )


def _whole(values: Array) -> Int64:
    return np.asarray(np.rint(values), np.int64)
