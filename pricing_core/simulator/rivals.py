"""Rivals with rules: static, following their cost, undercutting down to a floor, matching, wandering."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

RIVALS = 4
STATIC, COST_FOLLOWER, UNDERCUTTER, MATCHER, WANDERER = range(5)

_IN_STOCK_DAYS = 40.0
_OUT_OF_STOCK_DAYS = 3.0


class Rivals(NamedTuple):
    """What the rivals of N markets are. [N, R] float32 unless said."""

    present: Array
    """bool."""
    kind: Array
    """int32: `STATIC` ... `WANDERER`."""
    weight: Array
    """Attraction at the list price, where our own is about 0.5 and buying nowhere is 1."""
    list_price: Array
    floor: Array
    """Below it no rival goes; at least 2 % above our own break-even."""
    reactions_per_day: Array


class RivalState(NamedTuple):
    """Where they stand. [N, R]."""

    price: Array
    """float32, 0 where there is no rival."""
    in_stock: Array
    """bool."""
    walk: Array
    """float32, log drift of cost or mood."""


def sample(key: Array, break_even: Array, reference: Array) -> Rivals:
    """Draw up to four rivals a market, listed within some 8 % of the cost-plus price."""
    keys = jax.random.split(key, 6)
    shape = (reference.shape[0], RIVALS)
    listed = reference[:, None] * jnp.exp(0.08 * jax.random.normal(keys[0], shape))
    floor = break_even[:, None] * jax.random.uniform(keys[1], shape, minval=1.02, maxval=1.25)
    count = jax.random.randint(keys[2], (shape[0], 1), 0, RIVALS + 1)
    return Rivals(
        present=jnp.arange(RIVALS)[None, :] < count,
        kind=jax.random.randint(keys[3], shape, 0, 5),
        weight=jnp.exp(-1.2 + 0.7 * jax.random.normal(keys[4], shape)),
        list_price=jnp.round(jnp.maximum(listed, floor)),
        floor=floor,
        reactions_per_day=jax.random.uniform(keys[5], shape, minval=0.1, maxval=2.0),
    )


def initial(rivals: Rivals) -> RivalState:
    """Start at list prices, in stock."""
    return RivalState(
        price=jnp.where(rivals.present, rivals.list_price, 0.0),
        in_stock=rivals.present,
        walk=jnp.zeros_like(rivals.list_price),
    )


def move(rivals: Rivals, state: RivalState, our_price: Array, key: Array, dt_days: Array) -> RivalState:
    """Let a period pass: some rivals look and react, some run out of stock or come back.

    Args:
        rivals: Of N markets.
        state: Before.
        our_price: [N] that they see.
        key: Of this step.
        dt_days: [N] or scalar.
    """
    keys = jax.random.split(key, 3)
    shape = rivals.list_price.shape
    dt = jnp.broadcast_to(jnp.asarray(dt_days), our_price.shape)[:, None]
    walk = state.walk * jnp.exp(-dt / 30.0) + 0.015 * jnp.sqrt(dt) * jax.random.normal(keys[0], shape)
    reacts = jax.random.uniform(keys[1], shape) < -jnp.expm1(-dt * rivals.reactions_per_day)
    target = jnp.round(jnp.maximum(_target(rivals, state, our_price, walk), rivals.floor))
    u_stock = jax.random.uniform(keys[2], shape)
    runs_out = u_stock < -jnp.expm1(-dt / _IN_STOCK_DAYS)
    returns = u_stock < -jnp.expm1(-dt / _OUT_OF_STOCK_DAYS)
    return RivalState(
        price=jnp.where(rivals.present, jnp.where(reacts, target, state.price), 0.0),
        in_stock=rivals.present & jnp.where(state.in_stock, ~runs_out, returns),
        walk=walk,
    )


def _target(rivals: Rivals, state: RivalState, our_price: Array, walk: Array) -> Array:
    """Where each would like to be, by kind, [N, R]."""
    ours = jnp.broadcast_to(our_price[:, None], rivals.list_price.shape)
    by_kind = (
        rivals.list_price,
        rivals.list_price * jnp.exp(walk),
        jnp.minimum(0.99 * jnp.minimum(ours, _cheapest_other(rivals, state)), 1.1 * rivals.list_price),
        jnp.minimum(ours, 1.15 * rivals.list_price),
        rivals.list_price * jnp.exp(3.0 * walk),
    )
    return jnp.select([rivals.kind == kind for kind in range(len(by_kind))], list(by_kind))


def _cheapest_other(rivals: Rivals, state: RivalState) -> Array:
    """Lowest price among the other rivals in stock, [N, R]; infinite where there is none."""
    offered = jnp.where(rivals.present & state.in_stock, state.price, jnp.inf)
    others = jnp.where(jnp.eye(RIVALS, dtype=bool), jnp.inf, offered[:, None, :])
    return others.min(axis=-1)
