"""What an offer's sales say about its demand: a grid posterior over demand curves, kept by price bin.

Units of a period at price p are Poisson with mean ``exposure x level x g(p / list price; form, elasticity)``. What was
seen is kept as exposure and units by knots of ln(price / list price), under several memories; an observation between
two knots is split between them, so that its logarithm of demand is interpolated. With a Gamma prior on the level the
likelihood of each curve has a closed form (Gamma-Poisson), so the posterior of all curves is two matrix products.

A tally says nothing about curves, priors or grids: a later version may use others on the same state.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln

from pricing_core.demand.forms import FORMS, demand

MEMORIES = (1.0, 0.97, 0.85)
"""What is left of an observation after a period."""
MEMORY_PRIOR = (0.90, 0.08, 0.02)
KNOT = 0.06
"""Distance of knots in ln(price / list price)."""
KNOTS = 31
ELASTICITIES = np.geomspace(0.6, 8.0, 32)
FADE = 0.97
"""What is left of a memory's score after a period: old successes do not count for ever."""
DISPERSION_PRIOR = 20.0
"""Periods that the prior of the over-dispersion, 1, is worth."""
_SMALLEST = 0.01

_X = KNOT * (np.arange(KNOTS) - KNOTS // 2)
_FORM = np.repeat(np.arange(len(FORMS)), len(ELASTICITIES))
_ELASTICITY = np.tile(ELASTICITIES, len(FORMS))
CURVES = len(_FORM)


def curve(form: Array, elasticity: Array, ratio: Array) -> Array:
    """Demand of a curve, relative to that at the list price; never quite zero, or one sale would refute a form."""
    return jnp.maximum(demand(form, elasticity, ratio), _SMALLEST)


_G = np.asarray(curve(jnp.asarray(_FORM)[:, None], jnp.asarray(_ELASTICITY)[:, None], jnp.exp(jnp.asarray(_X))[None]))
_LOG_G = np.log(_G)


class Prior(NamedTuple):
    """What is believed before the first sale. [N] float32."""

    level_shape: Array
    """Of the Gamma of the level (units for each unit of exposure at the list price)."""
    level_rate: Array
    elasticity: Array
    """Median of the price elasticity at the list price."""
    elasticity_spread: Array
    """Standard deviation of its logarithm."""


class Tally(NamedTuple):
    """What was seen of N offers. float32."""

    exposure: Array
    """[N, M, B] by memory and knot."""
    units: Array
    """[N, M, B]."""
    score: Array
    """[N, M] faded log likelihood of one-step predictions."""
    residual: Array
    """[N] faded sum of squared standardised residuals of the predictions."""
    periods: Array
    """[N] faded number of them."""


class Posterior(NamedTuple):
    """Belief about the demand of N offers: a weight for each curve, and a Gamma of its level."""

    weight: Array
    """[N, J], sums to 1."""
    shape: Array
    """[N, J] of the level."""
    rate: Array
    """[N, J]."""

    @property
    def level(self) -> Array:
        """[N, J] mean level of each curve."""
        return self.shape / self.rate


def empty(n: int) -> Tally:
    """Nothing seen."""
    zero = jnp.zeros((n, len(MEMORIES), KNOTS))
    return Tally(zero, zero, jnp.zeros((n, len(MEMORIES))), jnp.zeros(n), jnp.zeros(n))


def forms() -> Array:
    """Form of each of the J curves, int32 [J]."""
    return jnp.asarray(_FORM, jnp.int32)


def elasticities() -> Array:
    """Elasticity of each of the J curves at the list price, [J]."""
    return jnp.asarray(_ELASTICITY, jnp.float32)


def dispersion(tally: Tally) -> Array:
    """Over-dispersion φ >= 1 of the units, [N]: variance over mean."""
    return jnp.maximum((tally.residual + DISPERSION_PRIOR) / (tally.periods + DISPERSION_PRIOR), 1.0)


def posterior(tally: Tally, prior: Prior) -> Posterior:
    """Believe what the best memory says, weighted against the others by their scores."""
    each = _by_memory(tally, prior)
    trust = jax.nn.softmax(tally.score + jnp.log(jnp.asarray(MEMORY_PRIOR)))
    best = jnp.argmax(trust, axis=1)[:, None, None]
    return Posterior(*(jnp.take_along_axis(part, best, axis=1)[:, 0] for part in each))


def observe(tally: Tally, prior: Prior, ratio: Array, exposure: Array, units: Array, censored: Array) -> Tally:
    """Add a period.

    Args:
        tally: Before it.
        prior: As for `posterior`.
        ratio: [N] price / list price.
        exposure: [N]; 0 adds nothing.
        units: [N] sold.
        censored: bool [N] stock ran out: demand was at least that. What is believed fills the gap (expectation step).
    """
    each = _by_memory(tally, prior)
    x = jnp.log(ratio)
    split = _split(x)
    g = jnp.exp(split @ _LOG_G.T)
    shown = exposure > 0
    mean, variance = _predicted(each, g[:, None], exposure[:, None])
    best = jnp.argmax(tally.score + jnp.log(jnp.asarray(MEMORY_PRIOR)), axis=1)[:, None]
    expected = jnp.take_along_axis(mean, best, axis=1)[:, 0]
    units = jnp.where(censored, jnp.maximum(units, _beyond(expected, units)), units)
    spread = dispersion(tally)[:, None]
    log_density = _log_negative_binomial(units[:, None] / spread, mean / spread, variance / spread**2)
    log_density = jnp.where(shown[:, None] & ~censored[:, None], log_density, 0.0)
    its = jnp.take_along_axis(variance, best, axis=1)[:, 0]
    surprise = jnp.minimum((units - expected) ** 2 / jnp.maximum(its, 1e-6), 16.0)
    counts = (shown & ~censored).astype(jnp.float32)
    fade = jnp.where(counts > 0, 0.98, 1.0)
    keep = jnp.asarray(MEMORIES)[None, :, None]
    added = split[:, None, :]
    score = jnp.where(shown[:, None], FADE * tally.score + log_density, tally.score)
    after = Tally(
        exposure=jnp.where(shown[:, None, None], keep * tally.exposure, tally.exposure) + added * exposure[:, None, None],
        units=jnp.where(shown[:, None, None], keep * tally.units, tally.units) + added * units[:, None, None],
        score=score - score.max(axis=1, keepdims=True),
        residual=fade * tally.residual + counts * surprise,
        periods=fade * tally.periods + counts,
    )
    return _overwrite(after)


CHANGE_NATS = 6.0
"""A faster memory that has predicted so much better overwrites a slower one: the world has changed."""


def _overwrite(tally: Tally) -> Tally:
    exposure, units, score = tally.exposure, tally.units, tally.score
    for slow in range(len(MEMORIES) - 1):
        fast = slow + 1
        changed = score[:, fast] - score[:, slow] > CHANGE_NATS
        exposure = exposure.at[:, slow].set(jnp.where(changed[:, None], exposure[:, fast], exposure[:, slow]))
        units = units.at[:, slow].set(jnp.where(changed[:, None], units[:, fast], units[:, slow]))
        score = score.at[:, slow].set(jnp.where(changed, score[:, fast], score[:, slow]))
    return tally._replace(exposure=exposure, units=units, score=score)


def _by_memory(tally: Tally, prior: Prior) -> Posterior:
    """[N, M, J] of each memory."""
    over = dispersion(tally)[:, None, None]
    sold, seen = tally.units / over, tally.exposure / over
    total = sold.sum(axis=2, keepdims=True)
    shape = prior.level_shape[:, None, None] + total
    rate = prior.level_rate[:, None, None] + seen @ _G.T
    log_likelihood = sold @ _LOG_G.T + gammaln(shape) - shape * jnp.log(rate)
    z = (jnp.log(jnp.asarray(_ELASTICITY)) - jnp.log(prior.elasticity)[:, None]) / prior.elasticity_spread[:, None]
    weight = jax.nn.softmax(log_likelihood - 0.5 * z[:, None, :] ** 2, axis=2)
    return Posterior(weight, jnp.broadcast_to(shape, rate.shape), rate)


def _predicted(each: Posterior, g: Array, exposure: Array) -> tuple[Array, Array]:
    """Mean and variance of the next period's units, [N, M]; g [N, 1, J]."""
    by_curve = exposure[..., None] * g * each.level
    mean = (each.weight * by_curve).sum(axis=2)
    second = (each.weight * by_curve**2 * (1.0 + 1.0 / each.shape)).sum(axis=2)
    return mean, jnp.maximum(mean + second - mean**2, mean)


def _log_negative_binomial(units: Array, mean: Array, variance: Array) -> Array:
    """Log probability of counts whose mean and variance are given; Poisson where the variance is no larger."""
    mean = jnp.maximum(mean, 1e-6)
    size = mean**2 / jnp.maximum(variance - mean, 1e-4 * mean**2)
    p = size / (size + mean)
    return gammaln(units + size) - gammaln(size) - gammaln(units + 1.0) + size * jnp.log(p) + units * jnp.log1p(-p)


def _beyond(expected: Array, units: Array) -> Array:
    """E[D | D >= units] of a Poisson demand, by a normal's hazard: what a stock-out has hidden."""
    spread = jnp.sqrt(jnp.maximum(expected, 0.25))
    z = (units - 0.5 - expected) / spread
    hazard = jnp.exp(jax.scipy.stats.norm.logpdf(z) - jax.scipy.stats.norm.logsf(z))
    return expected + spread * hazard


def _split(x: Array) -> Array:
    """Shares of an observation at the knots, [N, B]; beyond the last knot it counts there."""
    position = jnp.clip(x / KNOT + KNOTS // 2, 0.0, KNOTS - 1.0)
    return jnp.maximum(1.0 - jnp.abs(position[:, None] - jnp.arange(KNOTS)), 0.0)
