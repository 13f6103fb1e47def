"""Counts of units: how likely they are under a mean and a variance, and what a stock-out has hidden."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array
from jax.scipy.special import gammaln
from jax.scipy.stats import norm


def log_negative_binomial(units: Array, mean: Array, variance: Array) -> Array:
    """Log probability of counts whose mean and variance are given; Poisson where the variance is no larger."""
    mean = jnp.maximum(mean, 1e-6)
    size = mean**2 / jnp.maximum(variance - mean, 1e-4 * mean**2)
    p = size / (size + mean)
    return gammaln(units + size) - gammaln(size) - gammaln(units + 1.0) + size * jnp.log(p) + units * jnp.log1p(-p)


def at_least(expected: Array, units: Array) -> Array:
    """E[D | D >= units] of a Poisson demand, by a normal's hazard: what a stock-out has hidden."""
    spread = jnp.sqrt(jnp.maximum(expected, 0.25))
    z = (units - 0.5 - expected) / spread
    return jnp.maximum(units, expected + spread * jnp.exp(norm.logpdf(z) - norm.logsf(z)))
