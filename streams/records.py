"""Records that were read from one topic partition, as columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np

from schemas.binary import BinaryArray, Int64


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """n records in the order of their offsets."""

    offsets: Int64
    """[n]."""
    keys: BinaryArray
    values: BinaryArray

    @classmethod
    def of(cls, offsets: list[int], keys: list[bytes | None], values: list[bytes | None]) -> Self:
        """Copy Python's."""
        return cls(np.array(offsets, np.int64), BinaryArray.of(keys), BinaryArray.of(values))

    def __len__(self) -> int:
        return len(self.offsets)

    def __iter__(self) -> Iterator[tuple[int, bytes | None, bytes | None]]:
        """Offset, key and value of each: for logs that are short."""
        return zip(self.offsets.tolist(), self.keys, self.values, strict=True)

    def take(self, rows: Int64) -> Self:
        """Keep the given rows, in the same buffers."""
        return type(self)(self.offsets[rows], self.keys.take(rows), self.values.take(rows))
