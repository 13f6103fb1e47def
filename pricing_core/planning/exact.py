"""The exact dynamic programme for a finite stock that is sold by a deadline, without restocking.

With t periods and s units left, V_0 = 0 and V_t(0) = 0, and a period sells min(D, s):

    V_t(s) = max over prices p of  E[(p - c)·min(D_p, s) + V_{t-1}(s - min(D_p, s))]

(Bellman 1957; in continuous time Gallego & van Ryzin 1994). What is left at the deadline is worth its
cost: sold units earn p - c, others nothing. For one offer; `vmap` at the call site.

It is computed as a gain over V_{t-1}(s), unit by unit: the k-th unit is sold with probability P(D >= k), earns p - c
and costs the value of having it later. Thousands of periods then add no rounding to what a stock is worth already.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammainc


class Plan(NamedTuple):
    """What to do in every state. [T + 1, S + 1], by periods and units left."""

    value: Array
    """float32: expected profit until the deadline."""
    best: Array
    """int8: index of the price to ask. Row 0 and column 0 mean nothing."""


def poisson_tails(mean: Array, stock: int) -> Array:
    """Probabilities of at least 1 ... ``stock`` units: float32 [A] means of Poisson demand → [A, stock]."""
    return gammainc(jnp.arange(1.0, stock + 1), mean[:, None])


def bernoulli_tails(probability: Array) -> Array:
    """Probability of at least 1 unit, of which there is never more: float32 [A] → [A, 1]."""
    return probability[:, None]


@partial(jax.jit, static_argnames=("stock", "periods"))
def plan(margin: Array, tails: Array, *, stock: int, periods: int) -> Plan:
    """Solve the programme and keep its tables.

    Args:
        margin: float32 [A], price less unit cost.
        tails: float32 [A, K], probability that at least 1 ... K units are demanded in a period. K is ``stock``, or
            less where more than K units are never demanded.
        stock: Units S at most.
        periods: Periods T at most.
    """

    def period(value: Array, _: None) -> tuple[Array, Plan]:
        of_price = expected_gain(margin, tails, value)
        grown = value + of_price.max(axis=0)
        return grown, Plan(grown, of_price.argmax(axis=0).astype(jnp.int8))

    _, rows = jax.lax.scan(period, jnp.zeros(stock + 1), length=periods)
    return Plan(*(jnp.pad(table, ((1, 0), (0, 0))) for table in rows))


@partial(jax.jit, static_argnames=("stock", "periods"))
def optimal_value(margin: Array, tails: Array, *, stock: int, periods: int) -> Array:
    """Give the last row of the value table only, float32 [S + 1]: long horizons need no room for the tables.

    Args: see `plan`.
    """

    def period(_: int | Array, value: Array) -> Array:
        return value + expected_gain(margin, tails, value).max(axis=0)

    value: Array = jax.lax.fori_loop(0, periods, period, jnp.zeros(stock + 1))
    return value


def expected_gain(margin: Array, tails: Array, value: Array) -> Array:
    """Take one step of the recursion: what each price adds to V_{t-1}, float32 [S + 1] → [A, S + 1].

    Args:
        margin: See `plan`, as for ``tails``.
        tails: As said.
        value: V_{t-1}.
    """
    left = jnp.arange(value.shape[0])[:, None] - jnp.arange(tails.shape[1])[None, :]  # before the k-th unit goes
    there = left >= 1
    worth = jnp.diff(value, prepend=0.0)  # of the last of s units
    product = partial(jnp.matmul, precision=jax.lax.Precision.HIGHEST)
    expected_sales = product(tails, there.T.astype(jnp.float32))
    return margin[:, None] * expected_sales - product(tails, jnp.where(there, worth[left], 0.0).T)
