"""The rules that a model has to beat, and the model itself, as functions from a look at the shops to prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core import rungs
from pricing_core.choose import best_legal, choose
from pricing_core.features import featurize, outlook, seen_of
from pricing_core.learning.shop import Shop, observe
from pricing_core.q_function import Params, values
from pricing_core.simulator.market import optimal_price

BEST_MARK_UP = 1.55
"""What a merchant would use who knows the mean elasticity of the simulated markets, multiple of break-even."""

Policy = Callable[[Shop, Array], Array]
"""Shops and luck (uniform float32 [N]) → prices float32 [N], minor units."""


def hold(shop: Shop, _luck: Array) -> Array:
    """Keep the price."""
    return shop.memory.price


def cost_plus(shop: Shop, _luck: Array) -> Array:
    """Go to 40 % above break-even, whatever happens."""
    return shop.markets.reference_price


def match_cheapest(shop: Shop, _luck: Array) -> Array:
    """Take the price of the cheapest rival in stock, not below 3 % above break-even; without rivals hold."""
    offered = jnp.where(shop.state.rivals.in_stock, shop.state.rivals.price, jnp.inf).min(axis=1)
    known = jnp.isfinite(offered) & (shop.merchant.shows_rivals > 0)
    return jnp.where(known, jnp.maximum(offered, shop.markets.floor), shop.memory.price)


def optimum(shop: Shop, _luck: Array) -> Array:
    """Know the demand and take the best price of each period, without limits on the step."""
    return optimal_price(shop.markets, shop.state)


def best_mark_up(shop: Shop, _luck: Array) -> Array:
    """Put the same mark-up on every offer: the one that suits this family of markets best, found by trying."""
    wanted = shop.markets.costs.break_even * BEST_MARK_UP
    return jnp.clip(wanted, shop.markets.floor, shop.markets.ceiling)


def planner(shop: Shop, _luck: Array) -> Array:
    """Take the candidate that earns most under the belief; the model without its network."""
    inputs, prices = observe(shop)
    return _taken(prices, best_legal(featurize(inputs).plan, inputs.legal))


def network(params: Params) -> Policy:
    """Take the candidate that the network's correction values most; the model without its planner."""

    def policy(shop: Shop, _luck: Array) -> Array:
        inputs, prices = observe(shop)
        return _taken(prices, best_legal(values(params, *featurize(inputs)).correction, inputs.legal))

    return policy


def model(params: Params, epsilon: float) -> Policy:
    """Decide as the engine does, each offer on its rung. Weights are data: another model compiles nothing anew."""
    return as_data(_by_model, params, epsilon)


def highest_rung(params: Params, epsilon: float) -> Policy:
    """Decide by the Q-function, whatever is known of an offer."""
    return as_data(_by_q, params, epsilon)


def as_data(policy: Callable[..., Array], *known: object) -> Policy:
    """Bind what is known, as leaves of a pytree: a compiled function takes the policy as an argument."""
    partial: Any = jax.tree_util.Partial
    bound: Policy = policy if isinstance(policy, partial) else partial(policy, *known)
    return bound


def _by_model(params: Params, epsilon: float | Array, shop: Shop, luck: Array) -> Array:
    inputs, prices = observe(shop)
    expected = outlook(inputs)
    q = values(params, *seen_of(inputs, expected)).system
    chance = rungs.Chance(luck, jnp.float32(epsilon))
    return _taken(prices, rungs.decide(shop.memory.rung, q, expected, inputs, chance).candidate)


def _by_q(params: Params, epsilon: float | Array, shop: Shop, luck: Array) -> Array:
    inputs, prices = observe(shop)
    chosen, _ = choose(values(params, *featurize(inputs)).system, inputs.legal, luck, epsilon)
    return _taken(prices, chosen)


def _taken(prices: Array, chosen: Array) -> Array:
    return jnp.take_along_axis(prices, chosen[:, None], axis=1)[:, 0]
