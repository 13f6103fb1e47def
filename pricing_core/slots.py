"""Offer keys and the rows that they own: one arena for all shards of a worker, of fixed size."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Slots = NDArray[np.int64]
"""Row numbers in the arena."""

NO_SLOT = -1
_NOBODY = -1
_NONE = np.empty(0, np.int64)


class SlotTable:
    """Hands out rows of an arena of ``capacity`` to offers of several shards, and takes them back shard by shard.

    The arena never grows, so that nothing that was compiled for its size is compiled again.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.owner = np.full(capacity, _NOBODY, np.int32)
        """Shard of each row."""
        self.rank = np.zeros(capacity, np.uint32)
        """A number that depends on a row's key alone: what is ordered by it does not depend on who came first."""
        self.used_below = 0
        """No row from here on was ever used."""
        self._free = np.arange(capacity)[::-1].copy()  # a stack: the lowest rows come first
        self._free_count = capacity
        self._keys: list[bytes] = [b""] * capacity
        self._by_key: dict[int, dict[bytes, int]] = {}
        self._found: tuple[int, Sequence[bytes], Slots] | None = None  # a batch is asked about twice: see `unknown`

    @property
    def shards(self) -> frozenset[int]:
        """Shards that are open."""
        return frozenset(self._by_key)

    @property
    def free(self) -> int:
        """Rows that nobody has."""
        return self._free_count

    def open(self, shard: int) -> None:
        """Begin an empty shard.

        Raises:
            ValueError: It is open already.
        """
        if shard in self._by_key:
            raise ValueError(f"shard {shard} is open already")
        self._by_key[shard] = {}

    def drop(self, shard: int) -> Slots:
        """End a shard and return the rows that it had."""
        slots = self.of(shard)
        self._found = None
        del self._by_key[shard]
        for slot in slots.tolist():
            self._keys[slot] = b""
        self.owner[slots] = _NOBODY
        self._free[self._free_count : self._free_count + len(slots)] = np.sort(slots)[::-1]
        self._free_count += len(slots)
        return slots

    def of(self, shard: int) -> Slots:
        """Return all rows of a shard, in the order in which its offers came."""
        by_key = self._by_key[shard]
        return np.fromiter(by_key.values(), np.int64, len(by_key))

    def count(self, shard: int) -> int:
        """Return how many offers a shard has."""
        return len(self._by_key[shard])

    def unknown(self, shard: int, keys: Sequence[bytes]) -> list[bytes]:
        """Return the distinct keys that own no row.

        Where there are none, the rows are kept for `find`, which is asked about the same list next.
        """
        slots = self._known(shard, keys)
        if slots is None:
            return list(set(keys).difference(self._by_key[shard]))
        self._found = shard, keys, slots
        return []

    def find(self, shard: int, keys: Sequence[bytes]) -> tuple[Slots, Slots]:
        """Return the row of each key; new keys get one while there are any.

        Returns:
            Rows int64[n], `NO_SLOT` where the arena is full; rows that are new.
        """
        found, self._found = self._found, None
        if found is not None and found[0] == shard and found[1] is keys:
            return found[2], _NONE
        slots = self._known(shard, keys)
        if slots is not None:
            return slots, _NONE
        by_key = self._by_key[shard]
        created = self._create(shard, dict.fromkeys(key for key in keys if key not in by_key))
        return np.fromiter((by_key.get(key, NO_SLOT) for key in keys), np.int64, len(keys)), created

    def _known(self, shard: int, keys: Sequence[bytes]) -> Slots | None:
        """Return the row of each key, if all have one."""
        try:
            return np.fromiter(map(self._by_key[shard].__getitem__, keys), np.int64, len(keys))
        except KeyError:
            return None

    def keys(self, slots: Slots) -> list[bytes]:
        """Return the keys of rows."""
        return [self._keys[slot] for slot in slots.tolist()]

    def _create(self, shard: int, keys: Iterable[bytes]) -> Slots:
        wanted = list(keys)[: self._free_count]
        left = self._free_count - len(wanted)
        slots = self._free[left : self._free_count][::-1].copy()
        self._free_count = left
        self.owner[slots] = shard
        self._by_key[shard].update(zip(wanted, slots.tolist(), strict=True))
        for slot, key in zip(slots.tolist(), wanted, strict=True):
            self._keys[slot] = key
        self.rank[slots] = [zlib.crc32(key) for key in wanted]
        if len(slots):
            self.used_below = max(self.used_below, int(slots.max()) + 1)
        return slots
