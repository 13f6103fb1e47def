"""Tally and drift as one row of numbers for each offer: how they lie on the device and travel in a state row."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from pricing_core.demand.belief import MEMORIES, Tally
from pricing_core.demand.drift import Drift
from pricing_core.demand.knots import KNOTS

_CELLS = len(MEMORIES) * KNOTS
_OTHERS = 4
WIDTH = 2 * _CELLS + len(MEMORIES) + _OTHERS
"""Numbers of an offer. All 0: nothing seen."""


def pack(tally: Tally, drift: Drift) -> Array:
    """Put what is remembered of N offers into float32 [N, WIDTH]."""
    n = tally.residual.shape[0]
    table = (tally.exposure.reshape(n, _CELLS), tally.units.reshape(n, _CELLS), tally.score)
    others = jnp.stack([tally.residual, tally.periods, *drift], axis=1)
    return jnp.concatenate([*table, others], axis=1)


def unpack(rows: Array) -> tuple[Tally, Drift]:
    """Take it out of them."""
    exposure, units, score, rest = jnp.split(rows, (_CELLS, 2 * _CELLS, WIDTH - _OTHERS), axis=1)
    shape = (rows.shape[0], len(MEMORIES), KNOTS)
    residual, periods, *drift = rest.T
    return Tally(exposure.reshape(shape), units.reshape(shape), score, residual, periods), Drift(*drift)
