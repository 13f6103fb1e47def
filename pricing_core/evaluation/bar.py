"""Play the markets of the bar: the share of a known optimum that a policy earns online, from events alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History, Market, Outcome, PlannedMarket, View


class OnlinePolicy(Protocol):
    """A policy that learns while it decides: hashable, its methods pure. Memory is its own pytree."""

    def begin(self, view: View, history: History | None, family: int) -> Any:
        """Give the memory before the first decision.

        Args:
            view: What is known before it.
            history: The log, if there is one.
            family: Offers of a family; they are consecutive.
        """
        ...

    def decide(self, memory: Any, view: View, key: Array) -> Array:
        """Choose: index int [N] into ``view.prices``."""
        ...

    def learn(self, memory: Any, view: View, price: Array, outcome: Outcome) -> Any:
        """Take a period in: the view before it, the price [N] asked, and what came of it."""
        ...


@partial(jax.jit, static_argnames=("market", "policy"))
def earned(market: Market, policy: OnlinePolicy, params: Any, key: Array) -> Array:
    """Let a policy decide from the first period to the last.

    Args:
        market: The kind.
        policy: Sees views, the log and outcomes, never the params.
        params: Of n markets, from ``market.sample``.
        key: Of log, market and policy. With the same key all policies have the same log and luck.

    Returns:
        float32 [T, n], profit of each period.
    """
    profit = _play(market, policy, params, key, lambda _state, _price, outcome: outcome.profit)
    return _of_families(market, profit)


@partial(jax.jit, static_argnames=("market", "policy"))
def given_away(market: PlannedMarket, policy: OnlinePolicy, params: Any, key: Array) -> Array:
    """Play as `earned` does, but score each price by what it gives away, before anybody buys.

    Args: see `earned`.

    Returns:
        float32 [T, n] >= 0. The expected sum of a market is what the policy earns less than the optimum; it has a
        small part of the noise of the profit.
    """
    shortfall = market.shortfall(params)
    lost = _play(market, policy, params, key, lambda state, price, _outcome: shortfall(state, price))
    return _of_families(market, lost)


@partial(jax.jit, static_argnames="market")
def earned_by_clairvoyant(market: Market, params: Any, key: Array) -> Array:
    """Let who knows the demand play the plan behind the optimum, with the luck of `earned`: float32 [T, n]."""
    _, k_start, k_market, _ = jax.random.split(key, 4)
    choose = market.clairvoyant(params)

    def period(state: Any, _: None) -> tuple[Any, Array]:
        state, outcome = market.step(params, state, _price(market.view(params, state), choose(state)), k_market)
        return state, outcome.profit

    _, profit = jax.lax.scan(period, market.start(params, k_start), length=market.periods)
    return _of_families(market, profit)


@partial(jax.jit, static_argnames=("market", "policy"))
def play(market: Market, policy: OnlinePolicy, params: Any, key: Array) -> Array:
    """Score a policy by what it earned.

    Args: see `earned`.

    Returns:
        float32 [n], profit as a share of the optimum's expected profit. Where the stock is finite a lucky market may
        exceed 1; the mean over markets may not, but for noise.
    """
    share: Array = earned(market, policy, params, key).sum(axis=0) / market.optimum(params)
    return share


@partial(jax.jit, static_argnames=("market", "policy"))
def play_without_luck(market: PlannedMarket, policy: OnlinePolicy, params: Any, key: Array) -> Array:
    """Score a policy by what its prices gave away.

    Args: see `earned`.

    Returns:
        float32 [n], 1 less what was given away as a share of the optimum: never above 1. The mean is that of `play`,
        with a small part of its noise.
    """
    share: Array = 1.0 - given_away(market, policy, params, key).sum(axis=0) / market.optimum(params)
    return share


@partial(jax.jit, static_argnames="market")
def play_clairvoyant(market: Market, params: Any, key: Array) -> Array:
    """Score who knows the demand as `play` does: float32 [n], near 1."""
    share: Array = earned_by_clairvoyant(market, params, key).sum(axis=0) / market.optimum(params)
    return share


def _play(
    market: Market,
    policy: OnlinePolicy,
    params: Any,
    key: Array,
    score: Callable[[Any, Array, Outcome], Array],
) -> Array:
    """Score each period by (state before, price, outcome) → [N]: [T, N]."""
    k_history, k_start, k_market, k_policy = jax.random.split(key, 4)
    start = market.start(params, k_start)
    memory = policy.begin(market.view(params, start), market.history(params, k_history), market.family)

    def period(carry: tuple[Any, Any], t: Array) -> tuple[tuple[Any, Any], Array]:
        state, memory = carry
        view = market.view(params, state)
        price = _price(view, policy.decide(memory, view, jax.random.fold_in(k_policy, t)))
        after, outcome = market.step(params, state, price, k_market)
        return (after, policy.learn(memory, view, price, outcome)), score(state, price, outcome)

    _, scores = jax.lax.scan(period, (start, memory), jnp.arange(market.periods))
    return scores


def _price(view: View, chosen: Array) -> Array:
    return jnp.take_along_axis(view.prices, chosen[:, None], axis=1)[:, 0]


def _of_families(market: Market, of_offers: Array) -> Array:
    """Add up the offers of each family: [T, n · family] → [T, n]."""
    return of_offers.reshape(len(of_offers), -1, market.family).sum(axis=2)
