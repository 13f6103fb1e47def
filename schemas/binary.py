"""Byte strings as columns: n of them in one buffer, as Arrow's binary arrays are. No Python object for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Bytes = NDArray[np.uint8]

NULL = -1
"""Length of what is null."""


@dataclass(frozen=True, slots=True, eq=False)
class BinaryArray:
    """n byte strings, each perhaps null. They need not lie in order, nor next to one another."""

    data: Bytes
    """Writable and in one piece, as are the others: kernels are compiled for one kind of array only."""
    start: Int64
    """[n] where each begins in ``data``."""
    length: Int64
    """[n] `NULL` where there is none."""

    @classmethod
    def of(cls, values: Iterable[bytes | None]) -> Self:
        """Copy Python's byte strings."""
        given = list(values)
        length = np.fromiter((NULL if value is None else len(value) for value in given), np.int64, len(given))
        data = np.frombuffer(bytearray().join(value for value in given if value is not None), np.uint8)
        ends = np.maximum(length, 0).cumsum()
        return cls(data, ends - np.maximum(length, 0), length)

    @classmethod
    def columns(cls, records: Iterable[tuple[bytes | None, bytes | None]]) -> tuple[Self, Self]:
        """Copy the keys and the values of records."""
        pairs = list(records)
        return cls.of(key for key, _ in pairs), cls.of(value for _, value in pairs)

    @classmethod
    def slices(cls, data: Bytes, size: int) -> Self:
        """Cut a buffer into strings of ``size`` bytes each; nothing is copied."""
        start = np.arange(0, len(data), size)
        return cls(data, start, np.full(len(start), size))

    @classmethod
    def empty(cls) -> Self:
        """None at all."""
        return cls.of([])

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Put arrays behind one another; nothing is copied if they share their buffer."""
        if any(part.data is not parts[0].data for part in parts):
            return cls.of(value for part in parts for value in part)
        start, length = ([getattr(part, name) for part in parts] for name in ("start", "length"))
        return cls(parts[0].data, np.concatenate(start), np.concatenate(length))

    def __len__(self) -> int:
        return len(self.start)

    def __getitem__(self, row: int) -> bytes | None:
        start, length = int(self.start[row]), int(self.length[row])
        return None if length == NULL else self.data[start : start + length].tobytes()

    def __iter__(self) -> Iterator[bytes | None]:
        raw = memoryview(self.data)  # type: ignore[arg-type]  # NumPy's arrays are buffers
        for start, length in zip(self.start.tolist(), self.length.tolist(), strict=True):
            yield None if length == NULL else bytes(raw[start : start + length])

    def present(self) -> list[bytes]:
        """Copy to Python's byte strings; nulls are left out."""
        return [value for value in self if value is not None]

    def take(self, rows: Int64 | slice) -> Self:
        """Keep the given rows, in the given order, in the same buffer."""
        return type(self)(self.data, self.start[rows], self.length[rows])
