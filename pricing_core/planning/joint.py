"""The best prices of a family that shares its shoppers by a multinomial logit."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array

_ROUNDS = 8


def best_joint_prices(attraction: Array, margin: Array) -> Array:
    """Find the prices of K sets that together maximise Σ m_i·w_i / (1 + Σ w_i), exactly.

    A fractional programme (Dinkelbach 1967, Management Science 13): for a guess at the best profit of a shopper, the
    best prices maximise (m_i - guess)·w_i, each offer for itself, for a sale takes that much from the family; their
    profit is the next guess. It rises, faster than linearly, until it stays.

    Args:
        attraction: [K, A] w at each price, against 1 for buying nothing.
        margin: [K, A] of a unit.

    Returns:
        int32 [K], indices of prices.
    """

    def improve(_: int | Array, guess: tuple[Array, Array]) -> tuple[Array, Array]:
        chosen = ((margin - guess[0]) * attraction).argmax(axis=1).astype(jnp.int32)
        w, m = (jnp.take_along_axis(table, chosen[:, None], axis=1)[:, 0] for table in (attraction, margin))
        return (m * w).sum() / (1.0 + w.sum()), chosen

    nothing = (jnp.zeros(()), jnp.zeros(len(margin), jnp.int32))
    best: Array = jax.lax.fori_loop(0, _ROUNDS, improve, nothing)[1]
    return best
