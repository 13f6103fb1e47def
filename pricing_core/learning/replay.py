"""A replay memory on the device: the last C steps of N markets, and n-step transitions drawn from them."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array


class Row(NamedTuple):
    """One step of N markets: what was seen, what was done, and what came of it."""

    observation: Array
    """float32 [N, O], before the action."""
    allowed: Array
    """bool [N, A], before the action."""
    action: Array
    """int32 [N]."""
    reward: Array
    """float32 [N]."""
    discount: Array
    """float32 [N] on what follows; 0 if nothing does."""
    last: Array
    """bool [N], the row after this one shows the end of an episode, whose own action has no effect."""
    void: Array
    """bool [N], this row shows the end of an episode: its action had no effect."""


class Replay(NamedTuple):
    """A ring of rows."""

    rows: Row
    """Each leaf with C rows in front."""
    added: Array
    """int32 scalar, rows ever added."""


class Transition(NamedTuple):
    """An n-step transition. [B]."""

    o_tm1: Array
    """float32 [B, O]."""
    a_tm1: Array
    """int32."""
    r_t: Array
    """float32, discounted sum of the rewards on the way."""
    discount_t: Array
    """float32 on the value at the end of the way."""
    o_t: Array
    """float32 [B, O]."""
    allowed_t: Array
    """bool [B, A]."""
    weight: Array
    """float32, 0 for what is no transition: the step between two episodes."""


def empty(row: Row, capacity: int) -> Replay:
    """Make room for ``capacity`` rows like ``row``."""
    return Replay(
        jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape), leaf.dtype), row), jnp.zeros((), jnp.int32)
    )


def add(replay: Replay, row: Row) -> Replay:
    """Add a row in the place of the oldest."""
    at = replay.added % replay.rows.reward.shape[0]
    rows = jax.tree.map(lambda kept, new: jax.lax.dynamic_update_index_in_dim(kept, new, at, 0), replay.rows, row)
    return Replay(rows, replay.added + 1)


def sample(replay: Replay, key: Array, batch: int, horizon: int) -> Transition:
    """Draw transitions, all equally likely, with repetition.

    The way of a transition ends early with its episode. Its end is seen from the row after its last, so the youngest
    ``horizon`` rows are never drawn: there must be more than that.

    Args:
        replay: At least ``horizon`` + 1 rows.
        key: Consumed.
        batch: How many.
        horizon: Steps of a transition, at most.
    """
    rows = replay.rows
    capacity, n = rows.reward.shape
    k_row, k_market = jax.random.split(key)
    oldest = jnp.maximum(replay.added - capacity, 0)
    first = jax.random.randint(k_row, (batch,), oldest, replay.added - horizon)
    market = jax.random.randint(k_market, (batch,), 0, n)
    start = (first % capacity, market)
    reward, discount, steps = jnp.zeros(batch), jnp.ones(batch), jnp.zeros(batch, jnp.int32)
    going = jnp.ones(batch, bool)
    for ahead in range(horizon):
        here = ((first + ahead) % capacity, market)
        reward += jnp.where(going, discount * rows.reward[here], 0.0)
        discount = jnp.where(going, discount * rows.discount[here], discount)
        steps += going
        going &= ~rows.last[here]
    end = ((first + steps) % capacity, market)
    return Transition(
        o_tm1=rows.observation[start],
        a_tm1=rows.action[start],
        r_t=reward,
        discount_t=discount,
        o_t=rows.observation[end],
        allowed_t=rows.allowed[end],
        weight=1.0 - rows.void[start],
    )
