"""Where Kafka's Java clients put a key: murmur2. Every producer of ours, and every one upstream, must agree.

An offer whose records are spread over two partitions would have two states and two prices. librdkafka's default
partitioner is another one (CRC32); its ``murmur2_random`` is this one.
"""

from __future__ import annotations

from typing import Final

_MASK: Final = 0xFFFFFFFF
_M: Final = 0x5BD1E995
_SEED: Final = 0x9747B28C


def murmur2(key: bytes) -> int:
    """32-bit MurmurHash2 (Austin Appleby's, with Kafka's seed), as an unsigned integer."""
    whole = len(key) & ~3
    h = _SEED ^ len(key)
    for start in range(0, whole, 4):
        k = int.from_bytes(key[start : start + 4], "little") * _M & _MASK
        k = (k ^ k >> 24) * _M & _MASK
        h = (h * _M & _MASK) ^ k
    if whole < len(key):
        h = (h ^ int.from_bytes(key[whole:], "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of ``key`` among ``partitions``; the sign bit is cut off first, as Java does."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions
