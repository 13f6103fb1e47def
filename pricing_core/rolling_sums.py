"""Exponentially decayed sums on the device: what happened lately, under several memories at once.

Forward decay (Cormode, Shkapenyuk, Srivastava, Xu 2009): of every row, S(t) = Σ value · 2^((t_event - t) / h).
Nothing has to be evicted, a late event is one more addition, and a batch is one scatter. Each row is decayed to
its own landmark, the latest event time that it has seen, so that every weight is at most 1.

Events of one row are added up on the host, in their order: the scatter then has unique indices and gives the
same bits on every backend.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from pricing_core.features import HALF_LIVES_DAYS, STATISTICS
from pricing_core.grouping import Groups
from pricing_core.slots import Slots

DAY_MS = 86_400_000
BUCKETS = (64, 256, 1024, 4096)
"""Sizes to which batches are padded. Larger ones are cut."""
PUT_BUCKETS = (4096, 65_536)
"""The same for rows that come from a log: many at once, and seldom."""

H, K = len(HALF_LIVES_DAYS), len(STATISTICS)
_HALF_LIVES = np.array(HALF_LIVES_DAYS, np.float32)

Float32 = NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)


def decay(sums: Array, elapsed_days: Array) -> Array:
    """Decay sums [..., H, K] by a time [...] in days."""
    return sums * jnp.exp2(-elapsed_days[..., None] / _HALF_LIVES)[..., None]


@partial(jax.jit, donate_argnums=0)
def _fold(sums: Array, slots: Array, elapsed_days: Array, values: Array) -> Array:
    """S ← S · 2^(-elapsed / h) + V in the given rows. Rows outside of the arena are padding."""
    old = sums.at[slots].get(mode="fill", fill_value=0.0)
    old = jnp.where(jnp.isinf(elapsed_days)[:, None, None], 0.0, old)  # 0 · NaN is no zero
    return sums.at[slots].set(decay(old, elapsed_days) + values, mode="drop", unique_indices=True)


@partial(jax.jit, donate_argnums=0)
def _overwrite(sums: Array, slots: Array, values: Array) -> Array:
    return sums.at[slots].set(values, mode="drop", unique_indices=True)


@jax.jit
def _gather(sums: Array, slots: Array) -> Array:
    return sums.at[slots].get(mode="fill", fill_value=0.0)


COMPILED = (_fold, _gather, _overwrite)


class RollingSums:
    """float32 [capacity, H, K] on the device."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.device = jnp.zeros((capacity, H, K), jnp.float32)

    def fold(self, slots: Slots, elapsed_days: Float32, values: Float32) -> None:
        """Decay distinct rows and add to them.

        Args:
            slots: [m] distinct rows.
            elapsed_days: [m] by which their landmark moves on, at least 0.
            values: [m, H, K], decayed to the new landmark.
        """
        for part, padded in _padded(slots, self.capacity):
            n = len(padded)
            self.device = _fold(self.device, padded, pad(elapsed_days[part], n), pad(values[part], n))

    def take(self, slots: Slots) -> Float32:
        """Read rows, [m, H, K]."""
        sums = np.empty((len(slots), H, K), np.float32)
        for part, padded in _padded(slots, self.capacity):
            sums[part] = np.asarray(_gather(self.device, padded))[: len(slots[part])]
        return sums

    def put(self, slots: Slots, sums: Float32) -> None:
        """Overwrite distinct rows. These travel, once; the arena stays where it is."""
        for part, padded in _padded(slots, self.capacity, PUT_BUCKETS):
            self.device = _overwrite(self.device, padded, pad(sums[part], len(padded)))

    def clear(self, slots: Slots) -> None:
        """Zero rows: an infinite time passes."""
        self.fold(slots, np.full(len(slots), np.inf, np.float32), np.zeros((len(slots), H, K), np.float32))

    def warm_up(self) -> None:
        """Compile every bucket."""
        for size in BUCKETS:
            nothing = np.arange(self.capacity, self.capacity + size, dtype=np.int32)
            zeros = np.zeros(size, np.float32)
            self.device = _fold(self.device, nothing, zeros, np.zeros((size, H, K), np.float32))
            _gather(self.device, nothing).block_until_ready()
        for size in PUT_BUCKETS:
            nothing = np.arange(self.capacity, self.capacity + size, dtype=np.int32)
            self.device = _overwrite(self.device, nothing, np.zeros((size, H, K), np.float32))


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


def pad(values: NDArray[Scalar], size: int) -> NDArray[Scalar]:
    """Fill up the first axis with zeros."""
    padded = np.zeros((size, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded


def bucket(n: int, sizes: tuple[int, ...]) -> int:
    """Smallest size that holds ``n``; the largest if none does."""
    return next((size for size in sizes if size >= n), sizes[-1])


def _padded(slots: Slots, capacity: int, sizes: tuple[int, ...] = BUCKETS) -> Iterator[tuple[slice, NDArray[np.int32]]]:
    """Cut rows into buckets. Padding points behind the arena, each at another place."""
    for start in range(0, len(slots), sizes[-1]):
        part = slice(start, min(start + sizes[-1], len(slots)))
        count = part.stop - part.start
        padded = np.arange(capacity, capacity + bucket(count, sizes), dtype=np.int32)
        padded[:count] = slots[part]
        yield part, padded
