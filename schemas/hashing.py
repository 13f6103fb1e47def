"""A 128-bit hash of byte strings, for tables in memory. Not cryptographic, and never written anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.binary import Bytes
from schemas.compiled import kernel

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
