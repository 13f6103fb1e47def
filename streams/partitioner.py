"""Where Kafka's Java clients put a key: murmur2. Every producer of ours, and every one upstream, must agree.

An offer whose records are spread over two partitions would have two states and two prices. librdkafka's default
partitioner is another one (CRC32); its ``murmur2_random`` is this one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.binary import BinaryArray, Int64
from schemas.compiled import kernel

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C


def murmur2(key: bytes) -> int:
    """32-bit MurmurHash2 (Austin Appleby's, with Kafka's seed), as an unsigned integer."""
    return int(_murmur2(np.frombuffer(key, np.uint8), 0, len(key)))


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of ``key`` among ``partitions``; the sign bit is cut off first, as Java does."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def partitions_of(keys: BinaryArray, partitions: int) -> Int64:
    """Partition of each of n keys, as `partition_of`."""
    placed = np.empty(len(keys), np.int64)
    _partitions(keys.data, keys.start, keys.length, partitions, placed)
    return placed


@kernel
def _murmur2(data: Any, at: int, length: int) -> Any:
    h, end = _SEED ^ length, at + length
    while at + 4 <= end:
        k = (_little_endian(data, at, 4) * _M) & _MASK
        k = ((k ^ (k >> 24)) * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
        at += 4
    if at < end:
        h = ((h ^ _little_endian(data, at, end - at)) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


@kernel
def _little_endian(data: Any, at: int, size: int) -> Any:
    value = np.int64(0)
    for j in range(size):
        value |= np.int64(data[at + j]) << (8 * j)
    return value


@kernel
def _partitions(data: Any, start: Any, length: Any, partitions: int, placed: Any) -> None:
    for i in range(len(start)):
        placed[i] = (_murmur2(data, start[i], length[i]) & 0x7FFFFFFF) % partitions
