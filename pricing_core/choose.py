"""From values to a move: masked argmax, or one of the nearly best with a known probability."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array

from pricing_core.features import HOLD, MOVES_BP

NEAR_BEST = 0.35
"""A candidate is nearly best if it loses at most this share of the distance between the best and the worst."""
NO_CHOICE = -1

# Equal values go to the smallest move: a network without an opinion holds the price.
_BY_SIZE = np.argsort(np.abs(np.arange(len(MOVES_BP)) - HOLD), kind="stable")


def choose(q: Array, legal: Array, uniform: Array, epsilon: float | Array) -> tuple[Array, Array]:
    """Choose a legal candidate per offer.

    With probability 1 - ε the legal candidate of the highest value, else one drawn evenly from the nearly best.
    The logged propensity is exact: (1 - ε)·[best] + ε / (number of nearly best)·[nearly best].

    Args:
        q: float32 [N, A].
        legal: bool [N, A].
        uniform: float32 [N] in [0, 1); decides whether and what to explore.
        epsilon: Share of exploring decisions; one for all, or [N].

    Returns:
        Chosen candidate int32 [N], its propensity float32 [N]; `NO_CHOICE` with propensity 0 where nothing is
        legal or the value of a legal candidate is not finite.
    """
    usable = jnp.any(legal, axis=1) & jnp.all(jnp.isfinite(q) | ~legal, axis=1)
    best = best_legal(q, legal)
    near = nearly_best(q, legal)
    count = jnp.maximum(near.sum(axis=1), 1)
    # uniform < ε explores; what is left of it, stretched to [0, 1), says which one.
    which = jnp.clip(jnp.floor(uniform / jnp.maximum(epsilon, 1e-9) * count), 0, count - 1)
    explored = jnp.argmax(jnp.cumsum(near, axis=1) == which[:, None] + 1, axis=1)
    chosen = jnp.where(uniform < epsilon, explored, best)
    is_near = jnp.take_along_axis(near, chosen[:, None], axis=1)[:, 0]
    propensity = (1.0 - epsilon) * (chosen == best) + epsilon / count * is_near
    return (
        jnp.where(usable, chosen, NO_CHOICE).astype(jnp.int32),
        jnp.where(usable, propensity, 0.0).astype(jnp.float32),
    )


def probabilities(q: Array, legal: Array, epsilon: float | Array) -> Array:
    """Probability with which `choose` takes each candidate, float32 [N, A]; arguments are those of `choose`.

    Rows without a choice are 0.
    """
    usable = jnp.any(legal, axis=1) & jnp.all(jnp.isfinite(q) | ~legal, axis=1)
    near = nearly_best(q, legal)
    greedy = jnp.arange(q.shape[1]) == best_legal(q, legal)[:, None]
    explored = near / jnp.maximum(near.sum(axis=1, keepdims=True), 1)
    return jnp.where(usable[:, None], (1.0 - epsilon) * greedy + epsilon * explored, 0.0)


def best_legal(q: Array, legal: Array) -> Array:
    """Index of the highest legal value, int32 [N]; of equal ones the smallest move."""
    masked = jnp.where(legal, q, -jnp.inf)[:, _BY_SIZE]
    return jnp.asarray(_BY_SIZE, jnp.int32)[jnp.argmax(masked, axis=1)]


def nearly_best(q: Array, legal: Array, share: float = NEAR_BEST) -> Array:
    """Legal candidates that lose at most a share of the distance from the best to the worst, bool [N, A]."""
    top = jnp.max(jnp.where(legal, q, -jnp.inf), axis=1, keepdims=True)
    bottom = jnp.min(jnp.where(legal, q, jnp.inf), axis=1, keepdims=True)
    return legal & (q >= top - share * (top - bottom))
