"""What an offer's sales say about its demand: a posterior over curves, whose level may move.

Units of a period at price p are Poisson with mean ``exposure x level x g(p / list price; form, elasticity)``. For each
of a grid of curves g the level has a Gamma posterior and the units a negative binomial prediction, so the weights of
the curves follow in closed form. Levels that move are discounted (Harvey & Fernandes 1989, Journal of Business &
Economic Statistics 7): before each period what is known of the level is worth a share of what it was, while the weights
of the curves, which move less, hardly fade. Several such pairs of shares are tried beside each other, and the one that
predicted best is believed.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.scipy.special import gammaln
from jax.scipy.stats import norm

from pricing_core.demand.forms import FORMS, demand
import os
def env(name, default): return tuple(float(x) for x in os.environ.get(name, default).split(","))
LEVEL_KEPT = env("LK", "1,0.95,0.8")
"""What is left, after a period, of what is known about the level: one for each memory."""
CURVE_KEPT = env("CK", "1,0.998,0.95")
"""The same of the curve."""
MEMORY_PRIOR = env("MP", "0.9,0.08,0.02")
ELASTICITIES = np.geomspace(0.6, 8.0, 32)
FADE = 0.97
"""What is left of a memory's score after a period: old successes do not count for ever."""
DISPERSION_FADE = 0.98
"""What is left of a residual after a period."""
DISPERSION_PRIOR = 20.0
"""Periods that the prior of the over-dispersion, 1, is worth."""
CHANGE_NATS = env("CN", "6")[0]
"""A faster memory that has predicted so much better overwrites a slower one: the world has changed."""
_SMALLEST = 0.01
"""Relative demand is never taken to be less, or one sale would refute a form."""
_SURPRISE = 16.0
"""A squared standardised residual counts no more than this."""

FORM_OF_CURVE = np.repeat(np.arange(len(FORMS), dtype=np.int32), len(ELASTICITIES))
"""int32 [J]: the J curves of the posterior, form by form, elasticities ascending."""
ELASTICITY_OF_CURVE = np.tile(ELASTICITIES, len(FORMS)).astype(np.float32)
"""float32 [J] at the list price."""
CURVES = len(FORM_OF_CURVE)
_LOG_ELASTICITY = np.log(ELASTICITY_OF_CURVE)


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
    """What is believed of N offers, under M memories. float32."""

    log_weight: Array
    """[N, M, J] of the curves, up to a constant."""
    shape: Array
    """[N, M] of the Gamma of the level, the same for all curves."""
    rate: Array
    """[N, M, J]."""
    score: Array
    """[N, M] faded log likelihood of one-step predictions."""
    residual: Array
    """[N] faded sum of squared standardised residuals of the predictions."""
    periods: Array
    """[N] faded number of them."""


class Period(NamedTuple):
    """What happened in one. [N]."""

    ratio: Array
    """float32, price / list price."""
    exposure: Array
    """float32."""
    units: Array
    """float32, sold."""
    censored: Array
    """bool: stock ran out, demand was at least that. What is believed fills the gap (the E step of EM)."""


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


def start(prior: Prior) -> Tally:
    """Believe the prior."""
    n, m = len(prior.level_shape), len(LEVEL_KEPT)
    return Tally(
        jnp.broadcast_to(_log_prior(prior)[:, None], (n, m, CURVES)),
        jnp.broadcast_to(prior.level_shape[:, None], (n, m)),
        jnp.broadcast_to(prior.level_rate[:, None, None], (n, m, CURVES)),
        jnp.zeros((n, m)),
        jnp.zeros(n),
        jnp.zeros(n),
    )


def dispersion(tally: Tally) -> Array:
    """Over-dispersion φ >= 1 of the units, [N]: variance over mean."""
    return jnp.maximum((tally.residual + DISPERSION_PRIOR) / (tally.periods + DISPERSION_PRIOR), 1.0)


def posterior(tally: Tally) -> Posterior:
    """Believe the memory whose predictions were best."""
    best = _best_memory(tally)
    log_weight, rate = (jnp.take_along_axis(part, best[:, :, None], axis=1)[:, 0] for part in (tally.log_weight, tally.rate))
    shape = jnp.take_along_axis(tally.shape, best, axis=1)
    return Posterior(jax.nn.softmax(log_weight, axis=1), jnp.broadcast_to(shape, rate.shape), rate)


def log_predictive(tally: Tally, period: Period) -> Array:
    """Log probability of a period's units by what was believed before it, [N]; 0 without exposure."""
    mean, variance = _predicted(posterior(tally), _relative(period.ratio), period.exposure)
    over = dispersion(tally)
    log_density = log_negative_binomial(period.units / over, mean / over, variance / over**2)
    return jnp.where(period.exposure > 0, log_density - jnp.log(over), 0.0)


def observe(tally: Tally, prior: Prior, period: Period) -> Tally:
    """Add a period; one without exposure adds nothing."""
    shown, counted = period.exposure > 0, (period.exposure > 0) & ~period.censored
    curves = _relative(period.ratio)
    expected, its = _predicted(posterior(tally), curves, period.exposure)
    units = jnp.where(period.censored, _at_least(expected, period.units), period.units)
    over = dispersion(tally)
    level_kept, curve_kept = jnp.asarray(LEVEL_KEPT), jnp.asarray(CURVE_KEPT)[:, None]
    shape = jnp.maximum(level_kept * tally.shape, 1e-2)
    rate = level_kept[:, None] * tally.rate
    log_weight = curve_kept * tally.log_weight + (1.0 - curve_kept) * _log_prior(prior)[:, None]
    log_weight = jax.nn.log_softmax(log_weight, axis=2)
    seen, sold = (period.exposure / over)[:, None] * curves, (units / over)[:, None]
    after = rate + seen[:, None]
    each = shape[..., None] * jnp.log(rate) - (shape + sold)[..., None] * jnp.log(after) + sold[..., None] * jnp.log(jnp.maximum(seen, 1e-9))[:, None]
    joint = log_weight + each
    log_density = jax.nn.logsumexp(joint, axis=2) + gammaln(shape + sold) - gammaln(shape)
    score = FADE * tally.score + jnp.where(counted[:, None], log_density, 0.0)
    surprise = jnp.minimum((units - expected) ** 2 / jnp.maximum(its, 1e-6), _SURPRISE)
    faded = jnp.where(counted, DISPERSION_FADE, 1.0)
    here = lambda new, old: jnp.where(shown.reshape(-1, *[1] * (old.ndim - 1)), new, old)
    return _overwrite(Tally(
        log_weight=here(joint - joint.max(axis=2, keepdims=True), tally.log_weight),
        shape=here(shape + sold, tally.shape),
        rate=here(after, tally.rate),
        score=here(score - score.max(axis=1, keepdims=True), tally.score),
        residual=faded * tally.residual + jnp.where(counted, surprise, 0.0),
        periods=faded * tally.periods + counted,
    ))


def absorb(tally: Tally, prior: Prior, ratio: Array, exposure: Array, units: Array, evidence: Array) -> Tally:
    """Add a log of L periods, none of which ran out of stock.

    Args:
        tally: Before it.
        prior: As for `observe`.
        ratio: [L, N] price / list price, in the order of time.
        exposure: [L, N].
        units: [L, N].
        evidence: [N], how many periods a period of the log is worth.
    """
    def add(tally: Tally, row: tuple[Array, Array, Array]) -> tuple[Tally, None]:
        x, exposed, bought = row
        after = observe(tally, prior, Period(x, exposed * evidence, bought * evidence, jnp.zeros(x.shape, bool)))
        return after, None

    return jax.lax.scan(add, tally, (ratio, exposure, units))[0]


def _log_prior(prior: Prior) -> Array:
    """[N, J]."""
    z = (_LOG_ELASTICITY - jnp.log(prior.elasticity)[:, None]) / prior.elasticity_spread[:, None]
    return -0.5 * z**2


def _relative(ratio: Array) -> Array:
    """Relative demand of each curve, [N, J], at price / list price [N]."""
    each = demand(jnp.asarray(FORM_OF_CURVE), jnp.asarray(ELASTICITY_OF_CURVE), ratio[:, None])
    return jnp.maximum(each, _SMALLEST)


def _overwrite(tally: Tally) -> Tally:
    """Let a memory that has seen the world change replace the slower ones."""
    score = tally.score
    parts = [tally.log_weight, tally.shape, tally.rate]
    for slow in range(len(LEVEL_KEPT) - 1):
        fast = slow + 1
        changed = score[:, fast] - score[:, slow] > CHANGE_NATS
        parts = [part.at[:, slow].set(jnp.where(changed.reshape(-1, *[1] * (part.ndim - 2)), part[:, fast], part[:, slow])) for part in parts]
        score = score.at[:, slow].set(jnp.where(changed, score[:, fast], score[:, slow]))
    return tally._replace(log_weight=parts[0], shape=parts[1], rate=parts[2], score=score)


def _best_memory(tally: Tally) -> Array:
    """Index of the memory to believe, int [N, 1]."""
    return jnp.argmax(tally.score + jnp.log(jnp.asarray(MEMORY_PRIOR)), axis=1)[:, None]


def _predicted(held: Posterior, demand_of: Array, exposure: Array) -> tuple[Array, Array]:
    """Mean and variance of the next period's units, [N], for relative demand [N, J]."""
    by_curve = exposure[:, None] * demand_of * held.level
    mean = (held.weight * by_curve).sum(axis=1)
    second = (held.weight * by_curve**2 * (1.0 + 1.0 / held.shape)).sum(axis=1)
    return mean, jnp.maximum(mean + second - mean**2, mean)


def log_negative_binomial(units: Array, mean: Array, variance: Array) -> Array:
    """Log probability of counts whose mean and variance are given; Poisson where the variance is no larger."""
    mean = jnp.maximum(mean, 1e-6)
    size = mean**2 / jnp.maximum(variance - mean, 1e-4 * mean**2)
    p = size / (size + mean)
    return gammaln(units + size) - gammaln(size) - gammaln(units + 1.0) + size * jnp.log(p) + units * jnp.log1p(-p)


def _at_least(expected: Array, units: Array) -> Array:
    """E[D | D >= units] of a Poisson demand, by a normal's hazard: what a stock-out has hidden."""
    spread = jnp.sqrt(jnp.maximum(expected, 0.25))
    z = (units - 0.5 - expected) / spread
    return jnp.maximum(units, expected + spread * jnp.exp(norm.logpdf(z) - norm.logsf(z)))


