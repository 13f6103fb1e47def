"""What a family of offers that may take shoppers from one another sells: a multinomial logit, estimated as it sells.

A shopper buys offer i with probability w_i / (1 + Σ w_j), w_i = exp(a_i - b_i·(p_i / list_i - 1)) (McFadden 1974); the
1 stands for buying nothing. With the K offers' appeals a and log sensitivities ln b in one vector x, the belief is a
normal about its mode; each period moves the mode by Newton's method and adds its Fisher information (the iterated
extended Kalman filter; for counts Fahrmeir 1992, Journal of the American Statistical Association 87). Written for one
family: callers `vmap`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

APPEAL_SPREAD = 0.9
"""Standard deviation of an appeal about the guess at it."""
UNKNOWN_APPEAL_SPREAD = 2.0
"""The same where nobody has a guess."""
SENSITIVITY_SPREAD = 0.3
"""Standard deviation of a log sensitivity about its category's."""
SHARE = 0.1
"""Of the shoppers, that an offer is thought to sell to where nobody has a guess."""
OUTSIDE = 0.3
"""At least so large a share of the shoppers is thought to buy nothing at the list prices."""
_STEPS = 3
"""Of Newton's method, a period."""
_LONGEST_STEP = 0.7


class Choice(NamedTuple):
    """Belief about a family of K offers. float32."""

    mode: Array
    """[2 K]: appeals, log sensitivities."""
    precision: Array
    """[2 K, 2 K], inverse of the covariance."""
    traffic: Array
    """Shoppers for each unit of exposure: 1 where they are counted, else a guess."""


def guess(share: Array, elasticity: Array, counted: Array) -> Choice:
    """Believe what is known of a category.

    Args:
        share: [K] units for each unit of exposure at the list price; nan where nobody has a guess.
        elasticity: [K] at the list price.
        counted: bool, whether the exposure counts shoppers; else it is a number that is proportional to theirs.
    """
    guessed = jnp.isfinite(share)
    units = jnp.where(guessed, share, SHARE)
    possible = jnp.maximum(units.sum() / (1.0 - OUTSIDE), 1.0)
    traffic = jnp.where(counted, 1.0, possible)
    of_shoppers = units / possible
    appeal = jnp.log(of_shoppers / (1.0 - of_shoppers.sum()))
    sensitivity = jnp.log(elasticity / (1.0 - of_shoppers))
    spread = jnp.where(guessed, APPEAL_SPREAD, UNKNOWN_APPEAL_SPREAD)
    precision = jnp.concatenate([spread**-2, jnp.full_like(share, SENSITIVITY_SPREAD**-2)])
    return Choice(jnp.concatenate([appeal, sensitivity]), jnp.diag(precision), traffic)


def attraction(mode: Array, ratio: Array) -> Array:
    """Weight w of each offer against buying nothing, [K, ...] at prices / list prices [K, ...]."""
    appeal, log_sensitivity = (part.reshape(-1, *[1] * (ratio.ndim - 1)) for part in jnp.split(mode, 2))
    return jnp.exp(appeal - jnp.exp(log_sensitivity) * (ratio - 1.0))


def observe(choice: Choice, ratio: Array, exposure: Array, units: Array) -> Choice:
    """Take a period in.

    Args:
        choice: Before it.
        ratio: [K] price / list price.
        exposure: [K]; an offer with none was not on sale.
        units: [K] sold.
    """

    def step(_: int | Array, mode: Array) -> Array:
        mean, by_mode = _mean(choice, mode, ratio, exposure)
        precision = choice.precision + (by_mode.T * mean) @ by_mode
        gradient = (units - mean) @ by_mode - choice.precision @ (mode - choice.mode)
        return mode + jnp.clip(jnp.linalg.solve(precision, gradient), -_LONGEST_STEP, _LONGEST_STEP)

    mode = jax.lax.fori_loop(0, _STEPS, step, choice.mode)
    mean, by_mode = _mean(choice, mode, ratio, exposure)
    return choice._replace(mode=mode, precision=choice.precision + (by_mode.T * mean) @ by_mode)


def predict(choice: Choice, ratio: Array, exposure: Array) -> tuple[Array, Array]:
    """Give mean and variance of the next period's units, [K] each; arguments as for `observe`."""
    mean, gradient = _mean(choice, choice.mode, ratio, exposure)
    spread = (gradient * jnp.linalg.solve(choice.precision, gradient.T).T).sum(axis=1)
    return mean, mean + mean**2 * spread


def slope(choice: Choice, ratio: Array) -> tuple[Array, Array]:
    """Give mean and variance of -d ln w / d ln price at prices / list prices [K]: [K] each."""
    size = len(ratio)
    falls = jnp.exp(choice.mode[size:]) * ratio
    return falls, falls**2 * jnp.diagonal(jnp.linalg.inv(choice.precision))[size:]


def _mean(choice: Choice, mode: Array, ratio: Array, exposure: Array) -> tuple[Array, Array]:
    """Expected units [K], and the gradient of their logarithm by the mode, [K, 2 K]."""
    on_sale = exposure > 0.0
    weight = jnp.where(on_sale, attraction(mode, ratio), 0.0)
    share = weight / (1.0 + weight.sum())
    by_utility = jnp.eye(len(ratio)) - share[None, :]
    sensitivity = jnp.exp(mode[len(ratio) :])
    by_log_sensitivity = by_utility * (-sensitivity * (ratio - 1.0))[None, :]
    return choice.traffic * exposure * share, jnp.concatenate([by_utility, by_log_sensitivity], axis=1)
