"""How far each offer is trusted to be priced by what was learned: the evidence ladder, in three rungs.

*Rules*: planned as if the offer were a usual one, by costs and the elasticity of its kind; nothing is tried. *Bandit*:
Thompson sampling (1933, Biometrika 25), bounded: a demand curve is drawn from the offer's own posterior, and of the
candidates that the belief finds nearly best the one taken that is best under that curve. There are so few curves that
the probability of each candidate is known exactly. *Q-function*: planner and network.

An offer climbs when its own sales support it, and goes down when they are too old or too scattered, or when its demand
has changed; a rung once reached is kept on less evidence than it takes to reach it. The rung follows from the offer's
row alone: a decision that is made again is made on the same one.

A network whose answer is no number holds the price on every rung.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core import choose as choices
from pricing_core.decayed_demand import STATISTICS
from pricing_core.demand import belief
from pricing_core.demand.belief import Period, Prior, Tally
from pricing_core.demand.drift import Drift, watch
from pricing_core.features import FeatureInputs
from pricing_core.outlook import Drawn, Outlook
from schemas.columns import BANDIT

RUNGS = ("rules", "bandit", "q_function")
"""Names of the rungs, by number."""

SALES = (1.5, 3.5)
"""Effective sales that lift an offer to the second and to the third rung.

Between whole numbers: what was sold is one, and last bits, which differ between batches, must not decide.
"""
BOUND = 0.2
"""A candidate is drawn only if by the belief it loses at most this share of the distance from the best to the worst."""
KEPT = 0.5
"""With so much of them a rung is kept."""
DRIFT_DAYS = 3.0
"""So long after a change of demand an offer is on the second rung at most."""


class Learned(NamedTuple):
    """What is remembered of N offers after a period."""

    tally: Tally
    drift: Drift
    changed: Array
    """bool [N], demand is found to have changed."""


def learn(tally: Tally, drift: Drift, prior: Prior, period: Period) -> Learned:
    """Take in a period; where demand is found to have changed, what was learned before counts for little."""
    after, expected = belief.learn(tally, prior, period)
    drift, changed = watch(drift, expected, period.units, (period.exposure > 0) & ~period.censored)
    return Learned(belief.forget(after, changed), drift, changed)


def no_drift(n: int) -> Drift:
    """No evidence of a change."""
    return Drift(jnp.zeros(n), jnp.zeros(n))


def effective_sales(tally: Tally, sums: Array) -> Array:
    """Weigh what N offers have sold by what it tells, [N]: less if it was long ago, before a change, or scattered.

    Args:
        tally: Of N offers.
        sums: [N, H, K] `decayed_demand.STATISTICS`, decayed to now.
    """
    _, units = belief.believed(tally)
    lately = sums[:, -1, STATISTICS.index("units")]
    return jnp.maximum(jnp.minimum(units.sum(axis=1), lately), 0.0) / belief.dispersion(tally)


def climbed(rung: Array, sales: Array, days_since_change: Array) -> Array:
    """Say on which rung N offers stand now.

    Args:
        rung: [N] float32, until now.
        sales: [N] effective ones.
        days_since_change: [N] since their demand has changed; inf if it has not.
    """
    steps = jnp.asarray(SALES)
    reached, kept = ((sales[:, None] >= share * steps).sum(axis=1) for share in (1.0, KEPT))
    now = jnp.minimum(jnp.maximum(rung, reached), kept)
    return jnp.where(days_since_change < DRIFT_DAYS, jnp.minimum(now, BANDIT), now)


def values(rung: Array, q: Array, expected: Outlook) -> Array:
    """Value all candidates as the rung does, [N, A]: as of a usual offer, by the belief, or by the Q-function."""
    by_rung = jnp.where((rung > BANDIT)[:, None], q, expected.worth)
    by_rung = jnp.where((rung < BANDIT)[:, None], expected.usual, by_rung)
    return jnp.where(jnp.isfinite(q), by_rung, q)


class Chance(NamedTuple):
    """What is left to chance."""

    uniform: Array
    """[N] in [0, 1): what it says."""
    epsilon: Array
    """Share of exploring decisions on the highest rung."""


class Choice(NamedTuple):
    """What was chosen for N offers."""

    value: Array
    """[N, A] of each candidate, as the rung sees it."""
    candidate: Array
    """int32 [N]; `choose.NO_CHOICE` where there is none."""
    probability: Array
    """[N, A] with which each candidate is chosen; a row without a choice is 0."""


def decide(rung: Array, q: Array, expected: Outlook, inputs: FeatureInputs, chance: Chance) -> Choice:
    """Choose on the rung of each offer.

    Args:
        rung: [N].
        q: [N, A] of the Q-function.
        expected: By the belief.
        inputs: Of the features.
        chance: Of the decision's own random stream.
    """
    value = values(rung, q, expected)
    epsilon = jnp.where(rung > BANDIT, chance.epsilon, 0.0)
    by_value = choices.probabilities(value, inputs.legal, epsilon[:, None])
    chosen, _ = choices.choose(value, inputs.legal, chance.uniform, epsilon)
    by_draw = best_of_draws(expected.drawn, inputs.log_ratio, choices.nearly_best(value, inputs.legal, BOUND))
    draws = (rung == BANDIT) & (chosen != choices.NO_CHOICE)
    return Choice(
        value,
        jnp.where(draws, draw(by_draw, chance.uniform), chosen),
        jnp.where(draws[:, None], by_draw, by_value),
    )


def best_of_draws(drawn: Drawn, log_ratio: Array, allowed: Array) -> Array:
    """Probability that an allowed candidate is the best one under a curve drawn from the belief, [N, A].

    Of a curve that is the nearest one to its best move: profit is taken for a parabola there (`planning.nearby`).
    """
    behind = jax.lax.cummin(jnp.where(allowed, log_ratio, jnp.inf), axis=1, reverse=True)
    nothing = jnp.full_like(log_ratio[:, :1], jnp.inf)
    halfway = 0.5 * (log_ratio + jnp.concatenate([behind[:, 1:], nothing], axis=1))
    below = (drawn.weight[:, None] * (drawn.move[:, None] <= halfway[:, :, None])).sum(axis=2)
    below = jnp.where(allowed, jnp.where(jnp.isfinite(halfway), below, 1.0), 0.0)
    up_to = jax.lax.cummax(below, axis=1)
    return jnp.where(allowed, jnp.diff(up_to, axis=1, prepend=0.0), 0.0)


def draw(probability: Array, uniform: Array) -> Array:
    """Draw a candidate of each row, int32 [N]; the likeliest one lies at the upper end of [0, 1).

    Args:
        probability: [N, A].
        uniform: [N] in [0, 1).
    """
    likeliest = jnp.argmax(probability, axis=1)
    others = jnp.where(jnp.arange(probability.shape[1]) == likeliest[:, None], 0.0, probability)
    passed = jnp.cumsum(others, axis=1) > uniform[:, None]
    return jnp.where(passed.any(axis=1), jnp.argmax(passed, axis=1), likeliest).astype(jnp.int32)
