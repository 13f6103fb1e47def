"""What an offer's sales say about its demand: a grid posterior over demand curves, kept by price bin.

Units of a period at price p are Poisson with mean ``exposure x level x g(p / list price; form, elasticity)``. What was
seen is kept as exposure and units by knots of ln(price / list price), under several memories; an observation between
two knots is split among the four about it, so that demand and its logarithm are interpolated. With a Gamma prior on
the level the likelihood of each curve has a closed form (Gamma-Poisson), so the posterior of all curves is two matrix
products.

A tally says nothing about curves, priors or grids: a later version may use others on the same state.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pricing_core.demand import deviation
from pricing_core.demand.bought_stock import Start, with_stock
from pricing_core.demand.counts import at_least, log_negative_binomial
from pricing_core.demand.curves import ELASTICITY_OF_CURVE, ON_KNOTS
from pricing_core.demand.deviation import Sold
from pricing_core.demand.drift import Expected
from pricing_core.demand.knots import KNOTS, nearness, shares_of

MEMORIES = (1.0, 0.85)
"""What is left of an observation after a day; where a market has no days, after a period."""
MEMORY_PRIOR = (0.92, 0.08)
FADE = 0.97
"""What is left of a memory's score after a day: old successes do not count for ever."""
DISPERSION_FADE = 0.98
"""What is left of a residual after a day."""
DISPERSION_PRIOR = 20.0
"""Periods that the prior of the over-dispersion, 1, is worth."""
CHANGE_NATS = 4.0
"""A faster memory that has predicted so much better overwrites a slower one: the world has changed."""
_LEAST_EXPOSURE = 1e-6
ELASTICITY_SPREAD = 0.28
"""Standard deviation of the log of an elasticity about its category's."""
ANSWERED = 0.8
"""What rivals' answers leave of an elasticity, where a rival is seen."""
LEVEL_SPREAD = 0.9
"""Standard deviation of the log of the level about a guess at it."""
UNKNOWN_LEVEL_SPREAD = 2.0
"""Standard deviation of the log of the level where nobody has a guess at it."""
_SURPRISE = 16.0
"""A squared standardised residual counts no more than this."""

_LOG_ON_KNOTS = np.log(ON_KNOTS)
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
    counted_on: Array | None = None
    """[N, J] level of each curve that a stock was bought for (`bought_stock`), nan where there is none."""
    deviation: Array | None = None
    """[N] variance of log demand at a price about every curve (`deviation`); None if there is none anywhere."""


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
    days: Array | float = 1.0
    """float32, its length in the unit of the memories: so much of them fades."""


class Posterior(NamedTuple):
    """Belief about the demand of N offers: a weight for each curve, and a Gamma of its level."""

    weight: Array
    """[N, J], sums to 1."""
    shape: Array
    """[N, J] of the level."""
    rate: Array
    """[N, J]."""
    sold: Sold | None = None
    """[N] what corrects the curves at prices, if demand may deviate from them."""

    @property
    def level(self) -> Array:
        """[N, J] mean level of each curve."""
        return self.shape / self.rate


def felt_elasticity(of_category: Array | float, rival_seen: Array) -> Array:
    """Guess the elasticity that lasts, [N]: where a rival is seen (bool [N]), it follows and takes a part off."""
    return jnp.where(rival_seen, ANSWERED, 1.0) * of_category


def empty(n: int) -> Tally:
    """Nothing seen."""
    zero = jnp.zeros((n, len(MEMORIES), KNOTS))
    return Tally(zero, zero, jnp.zeros((n, len(MEMORIES))), jnp.zeros(n), jnp.zeros(n))


def dispersion(tally: Tally) -> Array:
    """Over-dispersion φ >= 1 of the units, [N]: variance over mean."""
    return jnp.maximum((tally.residual + DISPERSION_PRIOR) / (tally.periods + DISPERSION_PRIOR), 1.0)


def posterior(tally: Tally, prior: Prior) -> Posterior:
    """Believe the memory whose predictions were best."""
    exposure, units = believed(tally)
    alone = tally._replace(exposure=exposure[:, None], units=units[:, None])
    held: Posterior = jax.tree.map(lambda part: part[:, 0], _by_memory(alone, prior))
    return held


def believed(tally: Tally) -> tuple[Array, Array]:
    """Exposure and units of the memory whose predictions were best, [N, B] each."""
    best = _best_memory(tally)
    return _of_memory(tally.exposure, best), _of_memory(tally.units, best)


def log_predictive(tally: Tally, prior: Prior, period: Period) -> Array:
    """Log probability of a period's units by what was believed before it, [N]; 0 without exposure."""
    held = posterior(tally, prior)
    each = jax.tree.map(lambda part: part[:, None], held)
    x = jnp.log(period.ratio)
    mean, variance = (part[:, 0] for part in _predicted(each, x, shares_of(x), period.exposure))
    over = dispersion(tally)
    log_density = log_negative_binomial(period.units / over, mean / over, variance / over**2)
    return jnp.where(period.exposure > 0, log_density - jnp.log(over), 0.0)


def observe(tally: Tally, prior: Prior, period: Period) -> Tally:
    """Add a period; one without exposure adds nothing."""
    return learn(tally, prior, period)[0]


def learn(tally: Tally, prior: Prior, period: Period) -> tuple[Tally, Expected]:
    """Add a period as `observe` does, and say what was expected of it."""
    shown, counted = period.exposure > 0, (period.exposure > 0) & ~period.censored
    x = jnp.log(period.ratio)
    split = shares_of(x)
    mean, variance = _predicted(_by_memory(tally, prior), x, split, period.exposure)
    best = _best_memory(tally)
    expected, its = (_of_memory(part, best) for part in (mean, variance))
    units = jnp.where(period.censored, at_least(expected, period.units), period.units)
    over = dispersion(tally)
    log_density = log_negative_binomial(
        units[:, None] / over[:, None], mean / over[:, None], variance / over[:, None] ** 2
    )
    kept, still, dispersed = (
        jnp.where(shown[:, None], _faded(share, period.days), 1.0) for share in (MEMORIES, (FADE,), (DISPERSION_FADE,))
    )
    score = still * tally.score + jnp.where(counted[:, None], log_density, 0.0)
    surprise = jnp.minimum((units - expected) ** 2 / jnp.maximum(its, 1e-6), _SURPRISE)
    faded = jnp.where(counted, dispersed[:, 0], 1.0)
    after = Tally(
        exposure=kept[:, :, None] * tally.exposure + (split * period.exposure[:, None])[:, None],
        units=kept[:, :, None] * tally.units + (split * jnp.where(shown, units, 0.0)[:, None])[:, None],
        score=score - score.max(axis=1, keepdims=True),
        residual=faded * tally.residual + jnp.where(counted, surprise, 0.0),
        periods=faded * tally.periods + counted,
    )
    return _overwrite(after), Expected(mean[:, 0], variance[:, 0], over)


def forget(tally: Tally, changed: Array) -> Tally:
    """Let the fastest memory stand for all where the world has changed, bool [N]."""

    def fastest(part: Array) -> Array:
        where = changed.reshape(-1, *(1,) * (part.ndim - 1))
        return jnp.where(where, part[:, -1:], part)

    return tally._replace(exposure=fastest(tally.exposure), units=fastest(tally.units), score=fastest(tally.score))


def absorb(tally: Tally, prior: Prior, ratio: Array, exposure: Array, units: Array, *, evidence: Array) -> Tally:
    """Add a log of L periods at once, none of which ran out of stock.

    Args:
        tally: Before it.
        prior: As for `posterior`.
        ratio: [L, N] price / list price, in the order of time.
        exposure: [L, N].
        units: [L, N].
        evidence: [N], how many periods a period of the log is worth.
    """
    length = ratio.shape[0]
    ages = jnp.arange(length - 1, -1, -1, dtype=jnp.float32)
    kept = jnp.asarray(MEMORIES)[None, :] ** ages[:, None]
    zero = jnp.zeros_like(tally.exposure)

    def add(carry: tuple[Array, Array], row: tuple[Array, Array, Array, Array]) -> tuple[tuple[Array, Array], None]:
        seen, sold = carry
        x, exposed, bought, weight = row
        split = shares_of(x)[:, None, :] * (weight * evidence[:, None])[:, :, None]
        return (seen + split * exposed[:, None, None], sold + split * bought[:, None, None]), None

    (seen, sold), _ = jax.lax.scan(add, (zero, zero), (jnp.log(ratio), exposure, units, kept))
    after = tally._replace(exposure=tally.exposure + seen, units=tally.units + sold)
    held = jax.tree.map(lambda part: part[:, 0], _by_memory(after, prior))
    on_knots = jnp.einsum("nj,jb->nb", held.weight * held.level, ON_KNOTS)

    def residual(total: Array, row: tuple[Array, Array, Array]) -> tuple[Array, None]:
        x, exposed, bought = row
        mean = exposed * (shares_of(x) * on_knots).sum(axis=1)
        return total + jnp.minimum((bought - mean) ** 2 / jnp.maximum(mean, 1e-6), _SURPRISE), None

    total, _ = jax.lax.scan(residual, jnp.zeros(ratio.shape[1]), (jnp.log(ratio), exposure, units))
    periods = jnp.minimum(length, 50.0)
    return after._replace(residual=total / length * periods, periods=jnp.full_like(total, periods))


def _faded(shares: tuple[float, ...], days: Array | float) -> Array:
    """What is left of something after so many days, [N, len(shares)] or [1, len(shares)]."""
    return jnp.asarray(shares) ** jnp.reshape(jnp.asarray(days), (-1, 1))


def _overwrite(tally: Tally) -> Tally:
    """Let a memory that has seen the world change replace the slower ones."""
    exposure, units, score = tally.exposure, tally.units, tally.score
    for slow in range(len(MEMORIES) - 1):
        fast = slow + 1
        changed = score[:, fast] - score[:, slow] > CHANGE_NATS
        exposure = exposure.at[:, slow].set(jnp.where(changed[:, None], exposure[:, fast], exposure[:, slow]))
        units = units.at[:, slow].set(jnp.where(changed[:, None], units[:, fast], units[:, slow]))
        score = score.at[:, slow].set(jnp.where(changed, score[:, fast], score[:, slow]))
    return tally._replace(exposure=exposure, units=units, score=score)


def _best_memory(tally: Tally) -> Array:
    """Index of the memory to believe, int [N]."""
    return jnp.argmax(tally.score + jnp.log(jnp.asarray(MEMORY_PRIOR)), axis=1)


def _of_memory(part: Array, index: Array) -> Array:
    """Take one memory of each offer, [N, M, ...] → [N, ...]."""
    return part[jnp.arange(len(index)), index]


def _by_memory(tally: Tally, prior: Prior) -> Posterior:
    """[N, M, J] of each memory."""
    over = dispersion(tally)[:, None, None]
    sold, seen = tally.units / over, tally.exposure / over
    told = None
    if prior.deviation is not None:
        told = Sold(seen, sold, jnp.broadcast_to(prior.deviation[:, None], sold.shape[:2]))
        sold, seen = (part * deviation.counts(told.units, told.variance) for part in (sold, seen))
    total = sold.sum(axis=2, keepdims=True)
    start = _start(prior)
    shape = start.shape[:, None] + total
    rate = start.rate[:, None] + _felt(seen)
    # The Gamma function of the shape is the same for all curves.
    log_likelihood = sold @ _LOG_ON_KNOTS.T - shape * jnp.log(rate)
    weight = jax.nn.softmax(log_likelihood + start.log_weight[:, None], axis=2)
    return Posterior(weight, jnp.broadcast_to(shape, rate.shape), rate, told)


def _start(prior: Prior) -> Start:
    z = (_LOG_ELASTICITY - jnp.log(prior.elasticity)[:, None]) / prior.elasticity_spread[:, None]
    guessed = Start(prior.level_shape[:, None], prior.level_rate[:, None], jnp.asarray(-0.5 * z**2))
    return guessed if prior.counted_on is None else with_stock(guessed, prior.counted_on)


def _felt(seen: Array) -> Array:
    """Exposure times each curve's relative demand, [N, M, B] → [N, M, J].

    At a curve's cliff a cubic is too low, or below 0: a steep curve would be believed. The mean of demand is never less
    than the exponential of its mean logarithm (Jensen), and no more at a single price.
    """
    total = jnp.maximum(seen.sum(axis=2, keepdims=True), _LEAST_EXPOSURE)
    return jnp.maximum(seen @ ON_KNOTS.T, total * jnp.exp(seen @ _LOG_ON_KNOTS.T / total))


def _predicted(each: Posterior, x: Array, shares: Array, exposure: Array) -> tuple[Array, Array]:
    """Mean and variance of the next period's units, [N, M], at ln(price / list price) [N] with its shares [N, B]."""
    by_curve = (exposure[:, None] * jnp.exp(shares @ _LOG_ON_KNOTS.T))[:, None] * each.level
    if each.sold is not None:
        here = nearness(x[:, None, None])
        by_curve *= deviation.correction(each.sold, here, jnp.asarray(ON_KNOTS), each.level)[..., 0]
    mean = (each.weight * by_curve).sum(axis=2)
    second = (each.weight * by_curve**2 * (1.0 + 1.0 / each.shape)).sum(axis=2)
    return mean, jnp.maximum(mean + second - mean**2, mean)
