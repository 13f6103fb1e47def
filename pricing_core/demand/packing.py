"""A tally as one row of numbers for each offer: how it lies on the device and travels in a state row."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from pricing_core.demand.belief import MEMORIES, Tally
from pricing_core.demand.knots import KNOTS

_CELLS = len(MEMORIES) * KNOTS
WIDTH = 2 * _CELLS + len(MEMORIES) + 2
"""Numbers of an offer. All 0: nothing seen."""


def pack(tally: Tally) -> Array:
    """Put the tallies of N offers into float32 [N, WIDTH]."""
    n = tally.residual.shape[0]
    table = (tally.exposure.reshape(n, _CELLS), tally.units.reshape(n, _CELLS), tally.score)
    return jnp.concatenate([*table, tally.residual[:, None], tally.periods[:, None]], axis=1)


def unpack(rows: Array) -> Tally:
    """Take them out of it."""
    exposure, units, score, rest = jnp.split(rows, (_CELLS, 2 * _CELLS, WIDTH - 2), axis=1)
    shape = (rows.shape[0], len(MEMORIES), KNOTS)
    return Tally(exposure.reshape(shape), units.reshape(shape), score, rest[:, 0], rest[:, 1])
