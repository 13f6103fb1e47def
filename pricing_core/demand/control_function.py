"""Take out of a log what made prices follow demand: a control function for counts, with cost as the instrument.

    first stage     ln price = const + gamma · ln cost + v
    second stage    units ~ Poisson(exposure · exp(l - e · ln(price / list price) + rho · v))

Where a merchant raised prices when demand was high, v carries the demand that nobody logged, and rho > 0; without it a
regression takes the elasticity for too small. Given v, the price tells of the curve again (Petrin & Train 2010, Journal
of Marketing Research 47; for counts Wooldridge 2015, Journal of Human Resources 50). The price of it: what is left to
learn the elasticity from is what the cost moved.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

_STEPS = 10
"""Of Newton's method."""
_LONGEST_STEP = 1.0
_LEAST_VARIANCE = 1e-6
"""Of the log cost: below it there is no instrument."""
_RIDGE = 1e-3
"""Keeps Newton's matrix regular where prices never moved, or the cost never did."""
_DAMPING = 1e-5
"""Share of its diagonal that is added to Newton's matrix: cost that hardly moved leaves two columns alike, and many
sales of them are singular in float32. It changes no answer, only the way there (Levenberg and Marquardt).
"""


class Control(NamedTuple):
    """What to do to a log of L periods of N offers before a demand curve is fitted to it."""

    demand: Array
    """float32 [L, N], the factor on demand that the price followed; 1 where nothing says that it did."""
    weight: Array
    """float32 [N], the share of the log's information about the elasticity that is left, at most 1."""


def control(log_ratio: Array, log_cost: Array, exposure: Array, units: Array) -> Control:
    """Estimate what demand the prices followed.

    rho is shrunk by the odds that it is not 0, those of the Bayesian information criterion (Schwarz 1978), so that a
    log whose prices followed nothing stays as it is, but for noise; so does one whose cost never moved.

    Args:
        log_ratio: float32 [L, N], ln(price / list price).
        log_cost: float32 [L, N], of the unit cost at the time; -inf where there is none.
        exposure: float32 [L, N].
        units: float32 [L, N].
    """
    followed, weight = jax.vmap(_of_offer, in_axes=1, out_axes=(1, 0))(log_ratio, log_cost, exposure, units)
    return Control(followed, weight)


def _of_offer(log_ratio: Array, log_cost: Array, exposure: Array, units: Array) -> tuple[Array, Array]:
    cost = jnp.where(jnp.isfinite(log_cost), log_cost, 0.0)
    cost, price = cost - cost.mean(), log_ratio - log_ratio.mean()
    variance = (cost**2).mean()
    instrument = variance > _LEAST_VARIANCE
    residual = jnp.where(instrument, price - (cost * price).mean() / jnp.maximum(variance, _LEAST_VARIANCE) * cost, 0.0)
    x = jnp.stack([jnp.ones_like(price), -price, residual], axis=1)

    def information(mean: Array) -> Array:
        told = (x * mean[:, None]).T @ x
        return told + _DAMPING * jnp.diag(jnp.diag(told)) + _RIDGE * jnp.eye(3)

    def step(_: int | Array, coefficients: Array) -> Array:
        mean = exposure * jnp.exp(x @ coefficients)
        newton = jnp.linalg.solve(information(mean), (units - mean) @ x)
        return coefficients + jnp.clip(newton, -_LONGEST_STEP, _LONGEST_STEP)

    start = jnp.array([1.0, 0.0, 0.0]) * jnp.log((units.sum() + 0.5) / (exposure.sum() + 1e-6))
    coefficients = jax.lax.fori_loop(0, _STEPS, step, start)
    mean = exposure * jnp.exp(x @ coefficients)
    dispersion = jnp.maximum(((units - mean) ** 2).sum() / mean.sum(), 1.0)
    fisher = information(mean)
    unknown = jnp.linalg.inv(fisher)  # with rho to be estimated, too
    known = jnp.linalg.inv(fisher[:2, :2])
    z2 = coefficients[2] ** 2 / (dispersion * unknown[2, 2])
    odds = jax.nn.sigmoid(0.5 * (z2 - jnp.log(float(len(units)))))
    found = instrument & jnp.isfinite(odds) & jnp.isfinite(coefficients).all()
    lost = odds * (unknown[1, 1] / known[1, 1] - 1.0)
    followed = jnp.exp(odds * coefficients[2] * residual)
    return jnp.where(found, followed, 1.0), jnp.where(found, 1.0 / (1.0 + lost), 1.0)
