"""Rows of numbers on the device: as many as offers fit into the engine, gathered and overwritten in padded batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from pricing_core.slots import Slots

BUCKETS = (64, 256, 1024, 4096)
"""Sizes to which batches are padded. Larger ones are cut."""
PUT_BUCKETS = (4096, 65_536)
"""The same for rows that come from a log: many at once, and seldom."""
_PUT_NUMBERS = 2**21
"""Numbers that travel at once at most: 8 MB, whatever a row has."""

Float32 = NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)


@partial(jax.jit, donate_argnums=0)
def _overwrite(rows: Array, slots: Array, values: Array) -> Array:
    return rows.at[slots].set(values, mode="drop", unique_indices=True)


@jax.jit
def gather(rows: Array, slots: Array) -> Array:
    """Read rows; zeros behind the arena."""
    return rows.at[slots].get(mode="fill", fill_value=0.0)


COMPILED = (gather, _overwrite)


class Arena:
    """float32 [capacity, *shape] on the device."""

    def __init__(self, capacity: int, shape: tuple[int, ...]) -> None:
        self.capacity = capacity
        self.shape = shape
        self.device = jnp.zeros((capacity, *shape), jnp.float32)
        most = _PUT_NUMBERS // math.prod(shape)
        self._put_buckets = tuple(size for size in PUT_BUCKETS if size <= most)

    def take(self, slots: Slots) -> Float32:
        """Read rows, [m, *shape]."""
        rows = np.empty((len(slots), *self.shape), np.float32)
        for part, padded in self.padded(slots):
            rows[part] = np.asarray(gather(self.device, padded))[: len(slots[part])]
        return rows

    def put(self, slots: Slots, rows: Float32) -> None:
        """Overwrite distinct rows. These travel, once; the arena stays where it is."""
        for part, padded in self.padded(slots, self._put_buckets):
            self.device = _overwrite(self.device, padded, pad(rows[part], len(padded)))

    def clear(self, slots: Slots) -> None:
        """Zero distinct rows."""
        self.put(slots, np.zeros((len(slots), *self.shape), np.float32))

    def warm_up(self) -> None:
        """Compile every bucket."""
        for size in BUCKETS:
            gather(self.device, self.nowhere(size)).block_until_ready()
        for size in self._put_buckets:
            self.device = _overwrite(self.device, self.nowhere(size), np.zeros((size, *self.shape), np.float32))

    def nowhere(self, size: int) -> NDArray[np.int32]:
        """Row numbers that are all padding."""
        return np.arange(self.capacity, self.capacity + size, dtype=np.int32)

    def padded(self, slots: Slots, sizes: tuple[int, ...] = BUCKETS) -> Iterator[tuple[slice, NDArray[np.int32]]]:
        """Cut rows into buckets. Padding points behind the arena, each at another place."""
        for start in range(0, len(slots), sizes[-1]):
            part = slice(start, min(start + sizes[-1], len(slots)))
            count = part.stop - part.start
            places = self.nowhere(bucket(count, sizes))
            places[:count] = slots[part]
            yield part, places


def pad(values: NDArray[Scalar], size: int) -> NDArray[Scalar]:
    """Fill up the first axis with zeros."""
    padded = np.zeros((size, *values.shape[1:]), values.dtype)
    padded[: len(values)] = values
    return padded


def bucket(n: int, sizes: tuple[int, ...]) -> int:
    """Smallest size that holds ``n``; the largest if none does."""
    return next((size for size in sizes if size >= n), sizes[-1])
