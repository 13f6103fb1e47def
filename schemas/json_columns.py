"""Columns of records side by side, as the compiled writer of `schemas.json_writer` wants them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.binary import Bytes, Int64


class StackedColumns:
    """Columns of one kind of number, side by side in one array."""

    def __init__(self, kind: type[np.generic]) -> None:
        self._kind = kind
        self._names: list[str] = []
        self._size = 0

    def add(self, name: str, width: int) -> int:
        """Return where it begins."""
        first, self._size = self._size, self._size + max(width, 1)
        self._names.append(name)
        return first

    def stack(self, columns: Mapping[str, Any], n: int) -> NDArray[Any]:
        """[n, all of them]."""
        stacked = np.empty((n, self._size), self._kind)
        at = 0
        for name in self._names:
            column = columns[name]
            width = 1 if column.ndim == 1 else column.shape[1]
            stacked[:, at : at + width] = column.reshape(n, width)
            at += width
        return stacked


def strings_of(columns: Mapping[str, Any], names: list[str], n: int) -> tuple[Bytes, Int64, Int64]:
    """The buffer in which columns of strings lie, and [n, names] where each begins and how long it is."""
    given = [columns[name] for name in names]
    data = given[0].data if given else np.empty(0, np.uint8)
    if any(column.data is not data for column in given):
        raise ValueError("the strings of a record lie in one buffer")
    start, length = np.zeros((2, n, len(given)), np.int64)
    for i, column in enumerate(given):
        start[:, i], length[:, i] = column.start, column.length
    return data, start, length
