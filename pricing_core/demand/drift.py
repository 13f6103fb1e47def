"""Whether an offer's demand has changed: what was believed of each period that closed, against what was sold in it.

Page's cumulative sums (1954, Biometrika 41) of log likelihood ratios, one for demand of twice what was expected and one
for half of it: sales u of an expected m speak for a factor f by u·ln f - (f - 1)·m. They are divided by how much wider
sales spread than a Poisson variable: over-dispersion, and what was not known of m. A sum begins anew below 0; by
Lorden's bound (1971, Annals of Mathematical Statistics 42) one of such ratios passes `ALARM_NATS` by chance no more
often than once in exp(`ALARM_NATS`) periods. A period in which the stock ran out says nothing here.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

ALARM_NATS = 10.0
"""Evidence of a change that is taken for one."""
_DOUBLE = math.log(2.0)
_LEAST_UNITS = 1e-6
_MOST = 4.0
"""Nats of one period: a single order of a thousand is no change of demand."""


class Drift(NamedTuple):
    """Evidence of a change in N offers, nats. [N] float32, from 0 on."""

    rose: Array
    """For twice the demand."""
    fell: Array
    """For half of it."""


class Expected(NamedTuple):
    """What was believed of a period before it. [N] float32."""

    units: Array
    variance: Array
    """Of the units: Poisson, and what is not known of their mean."""
    dispersion: Array
    """Variance over mean, from 1 on, of what is beyond that."""


def watch(drift: Drift, expected: Expected, sold: Array, counted: Array) -> tuple[Drift, Array]:
    """Take in a period.

    Args:
        drift: Before it.
        expected: Of it.
        sold: [N] units.
        counted: bool [N], whether it says anything.

    Returns:
        Evidence after it, none where a change was found; and where one was, bool [N].
    """
    mean = jnp.maximum(expected.units, _LEAST_UNITS)
    # A Poisson variable of this mean has a spread of 1.
    spread = jnp.maximum(expected.variance / mean, 1.0) * expected.dispersion
    rose, fell = (jnp.clip(ratio / spread, -_MOST, _MOST) for ratio in (
        _DOUBLE * sold - mean, 0.5 * mean - _DOUBLE * sold,
    ))  # fmt: skip
    after = Drift(*(
        jnp.where(counted, jnp.maximum(so_far + by_it, 0.0), so_far)
        for so_far, by_it in zip(drift, (rose, fell), strict=True)
    ))  # fmt: skip
    found = jnp.maximum(*after) > ALARM_NATS
    return Drift(*(jnp.where(found, 0.0, evidence) for evidence in after)), found
