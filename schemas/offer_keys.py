"""Keys of offers, ``channel:sku``, taken apart."""

from __future__ import annotations

import numpy as np

from schemas.binary import BinaryArray, Bytes, Int64
from schemas.compiled import kernel

COLON = ord(":")


def channels_and_skus(keys: BinaryArray) -> tuple[BinaryArray, BinaryArray]:
    """Split each key at its first colon: a channel has none. Both parts lie in the buffer of the keys."""
    length = np.empty(len(keys), np.int64)
    _find_colon(keys.data, keys.start, keys.length, length)
    return (
        BinaryArray(keys.data, keys.start, length),
        BinaryArray(keys.data, keys.start + length + 1, keys.length - length - 1),
    )


@kernel
def _find_colon(data: Bytes, start: Int64, length: Int64, found: Int64) -> None:
    for i in range(len(start)):
        found[i] = 0
        while found[i] < length[i] and data[start[i] + found[i]] != COLON:
            found[i] += 1
