"""Random numbers that are a function of what they are for: the same decision draws the same number, anywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from schemas.columns import Int64

UInt64 = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def uniform(seed: int, shard: int | Int64, sequence: Int64) -> NDArray[np.float32]:
    """Draw float32 [n] in [0, 1) by hashing seed, shard (one, or [n]) and sequence [n], a round of SplitMix64 each."""
    state = np.full(1, seed % 2**64, np.uint64)
    for part in (shard, sequence):
        state = _split_mix(state) ^ np.asarray(part, np.int64).astype(np.uint64)
    top_24_bits = _split_mix(state) >> np.uint64(40)  # what a float32 holds exactly
    return top_24_bits.astype(np.float32) * np.float32(2.0**-24)


def _split_mix(state: UInt64) -> UInt64:
    """One step of SplitMix64 (Steele, Lea, Flood 2014)."""
    z = state + _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    return z ^ (z >> np.uint64(31))
