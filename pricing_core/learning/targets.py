"""The regression targets of deep Q-learning, and the loss.

Double Q-learning (van Hasselt, Guez & Silver 2016) with elapsed-time discount, the mask inside the maximum of
the target, and the exact expectation of the reward, which the simulator knows, for every candidate at once.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array


def discount(days: Array, half_life_days: float) -> Array:
    """Worth of the future after ``days``; 0 for a half-life of 0, which looks one period ahead only."""
    return jnp.exp2(-days / half_life_days) if half_life_days > 0 else jnp.zeros_like(days)


def weight(days: Array, half_life_days: float) -> Array:
    """Worth of a reward that flows during ``days``, in units of that of one day."""
    if half_life_days <= 0:
        return jnp.ones_like(days)
    return -jnp.expm1(-jnp.log(2.0) * days / half_life_days) / -jnp.expm1(-jnp.log(2.0) / half_life_days)


def double_q_target(reward: Array, discount_t: Array, q_t_online: Array, q_t_target: Array, legal_t: Array) -> Array:
    """Give reward + discount x Q_target(s', argmax over legal a' of Q_online(s', a')).

    Args:
        reward: [N], already weighted by its duration.
        discount_t: [N].
        q_t_online: [N, A] at the next state; chooses.
        q_t_target: [N, A] at the next state; values what was chosen.
        legal_t: bool [N, A] at the next state.
    """
    chosen = best_allowed(q_t_online, legal_t)[:, None]
    return reward + discount_t * jnp.take_along_axis(q_t_target, chosen, axis=1)[:, 0]


def best_allowed(q: Array, legal: Array) -> Array:
    """Index of the highest legal value, int [N], of any number of candidates in any order."""
    return jnp.where(legal, q, -jnp.inf).argmax(axis=1)


def loss(q_tm1: Array, target: Array, legal_tm1: Array, *, level_weight: float) -> Array:
    """Huber loss over the legal candidates, with level and differences weighted apart.

    The choice depends only on the differences between candidates, which are a hundred times smaller than the
    level of a state's value. Both are fitted, each on its own scale: the level is what the target bootstraps on.

    Args:
        q_tm1: [N, A].
        target: [N, A].
        legal_tm1: bool [N, A].
        level_weight: Weight of the level.
    """
    count = legal_tm1.sum(axis=1)
    error = jnp.where(legal_tm1, q_tm1 - target, 0.0)
    level = error.sum(axis=1) / count
    difference = jnp.where(legal_tm1, error - level[:, None], 0.0)
    differences = optax.losses.huber_loss(difference, delta=1.0).sum(axis=1) / count
    return jnp.mean(differences + level_weight * optax.losses.huber_loss(level, delta=1.0))
