"""The fluid relaxation of selling a stock by a deadline: a linear programme over the shares of time at each price.

    max Σ x_a·m_a·d_a   subject to   Σ x_a·d_a <= supply,   Σ x_a <= 1,   x >= 0

with margins m, mean demands d and supply = stock / periods left (Gallego & van Ryzin 1994; the programme
inside the Thompson sampling of Ferreira, Simchi-Levi & Wang 2018). Its value times the periods left is at least what
any policy can expect.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array


class Mixture(NamedTuple):
    """The solution for one offer."""

    value: Array
    """float32 scalar: profit a period."""
    share: Array
    """float32 [A] of the periods at each price. What is missing to 1: ask a price at which nobody buys."""
    bid_price: Array
    """float32 scalar: what one more unit of supply a period would be worth."""


def best_mixture(margin: Array, mean: Array, supply: Array) -> Mixture:
    """Solve the programme for one offer exactly.

    With two constraints a basic solution mixes at most two prices, one of which may be to sell nothing: all pairs
    are tried.

    Args:
        margin: float32 [A], price less unit cost.
        mean: float32 [A], expected demand a period.
        supply: float32 scalar, units a period; may be infinite.
    """
    a = margin.shape[0]
    demand, profit = jnp.append(mean, 0.0), jnp.append(margin * mean, 0.0)
    over, under = demand[:, None], demand[None, :]
    # The greatest share of the first price that supply allows; the second takes the rest.
    spare = jnp.where(over > under, (supply - under) / jnp.where(over > under, over - under, 1.0), 1.0)
    first = jnp.clip(spare, 0.0, 1.0)
    value = jnp.where(under <= supply, first * profit[:, None] + (1.0 - first) * profit[None, :], -jnp.inf)
    i, j = jnp.divmod(value.argmax(), a + 1)
    share = jnp.zeros(a + 1).at[i].add(first[i, j]).at[j].add(1.0 - first[i, j])
    scarce = (i != j) & (spare[i, j] < 1.0)
    worth = (profit[i] - profit[j]) / jnp.where(scarce, demand[i] - demand[j], 1.0)
    return Mixture(value.max(), share[:a], jnp.where(scarce, worth, 0.0))
