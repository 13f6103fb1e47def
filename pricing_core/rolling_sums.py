"""Exponentially decayed sums on the device: what happened lately, under several memories at once.

Forward decay (Cormode, Shkapenyuk, Srivastava, Xu 2009): of every row, S(t) = Σ value · 2^((t_event - t) / h).
Nothing has to be evicted, a late event is one more addition, and a batch is one scatter. Each row is decayed to
its own landmark, the latest event time that it has seen, so that every weight is at most 1.

Events of one row are added up on the host, in their order: the scatter then has unique indices and gives the
same bits on every backend.
"""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from pricing_core.arena import BUCKETS, Arena, Float32, pad
from pricing_core.decayed_demand import HALF_LIVES_DAYS, STATISTICS
from pricing_core.grouping import Groups
from pricing_core.slots import Slots

DAY_MS = 86_400_000

H, K = len(HALF_LIVES_DAYS), len(STATISTICS)
_HALF_LIVES = np.array(HALF_LIVES_DAYS, np.float32)


def decay(sums: Array, elapsed_days: Array) -> Array:
    """Decay sums [..., H, K] by a time [...] in days."""
    return sums * jnp.exp2(-elapsed_days[..., None] / _HALF_LIVES)[..., None]


@partial(jax.jit, donate_argnums=0)
def _fold(sums: Array, slots: Array, elapsed_days: Array, values: Array) -> Array:
    """S ← S · 2^(-elapsed / h) + V in the given rows. Rows outside of the arena are padding."""
    old = sums.at[slots].get(mode="fill", fill_value=0.0)
    return sums.at[slots].set(decay(old, elapsed_days) + values, mode="drop", unique_indices=True)


COMPILED = (_fold,)


class RollingSums(Arena):
    """float32 [capacity, H, K] on the device."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity, (H, K))

    def fold(self, slots: Slots, elapsed_days: Float32, values: Float32) -> None:
        """Decay distinct rows and add to them.

        Args:
            slots: [m] distinct rows.
            elapsed_days: [m] by which their landmark moves on, at least 0.
            values: [m, H, K], decayed to the new landmark.
        """
        for part, padded in self.padded(slots):
            n = len(padded)
            self.device = _fold(self.device, padded, pad(elapsed_days[part], n), pad(values[part], n))

    def warm_up(self) -> None:
        """Compile every bucket."""
        super().warm_up()
        for size in BUCKETS:
            zeros = np.zeros(size, np.float32)
            self.device = _fold(self.device, self.nowhere(size), zeros, np.zeros((size, H, K), np.float32))


def reduce(groups: Groups, age_days: Float32, statistics: dict[str, Float32]) -> Float32:
    """Add up the events of each row, in their order.

    Args:
        groups: n events of m rows.
        age_days: [n] time from the event to the new landmark of its row.
        statistics: Name of `STATISTICS` → [n] contributions.

    Returns:
        float32 [m, H, K], decayed to the landmark.
    """
    values = np.zeros((len(groups.touched), H, K), np.float32)
    for h, half_life in enumerate(_HALF_LIVES):
        weight = np.exp2(-age_days / half_life)
        for name, contribution in statistics.items():
            values[:, h, STATISTICS.index(name)] = groups.sum(weight * contribution)
    return values
