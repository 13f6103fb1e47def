"""A 128-bit hash of byte strings, and what all tables in memory that use it share.

Not cryptographic, and never written anywhere. In such a table a bucket holds the row of a key, or `EMPTY`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.binary import Bytes
from schemas.compiled import kernel

EMPTY = -1
"""In a bucket: no row."""

_K1, _K2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)
"""Odd, and far from each other: the golden ratio, and a prime of xxHash."""
_32, _29 = np.uint64(32), np.uint64(29)


@kernel
def hash_pair(data: Bytes, at: int, length: int) -> tuple[Any, Any]:
    """Two independent 64-bit hashes of ``data[at:at + length]``: eight bytes at a time, multiplied and folded."""
    first, second = np.uint64(length) * _K1, np.uint64(length) * _K2
    end = at + length
    while at < end:
        word, shift = np.uint64(0), np.uint64(0)
        for j in range(at, min(at + 8, end)):
            word |= np.uint64(data[j]) << shift
            shift += np.uint64(8)
        first = (first ^ word) * _K1
        first ^= first >> _32
        second = (second + word) * _K2
        second ^= second >> _29
        at += 8
    return first * _K2, (second ^ (second >> _32)) * _K1


@kernel
def same_bytes(left: Any, left_at: int, right: Any, right_at: int, length: int) -> bool:
    """Whether two stretches of ``length`` bytes are alike."""
    for j in range(length):
        if left[left_at + j] != right[right_at + j]:
            return False
    return True


@kernel
def enter_distinct(buckets: Any, hashes: Any, rows: Any) -> None:
    """Enter rows of distinct keys, whose hashes are known, into an empty table of 2^k buckets."""
    mask = len(buckets) - 1
    for row in rows:
        place: Any = np.int64(hashes[row] & np.uint64(mask))
        while buckets[place] != EMPTY:
            place = (place + 1) & mask
        buckets[place] = row
