"""Offer keys and the rows that they own: one arena for all shards of a worker, of fixed size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.binary import BinaryArray, Bytes, Int64
from schemas.compiled import kernel
from schemas.copying import copy_bytes
from schemas.hashing import EMPTY, enter_distinct, hash_pair, same_bytes

Slots = NDArray[np.int64]
"""Row numbers in the arena."""

NO_SLOT = EMPTY
_NOBODY = -1
_NONE = np.empty(0, np.int64)


class CapacityExceeded(ValueError):
    """A shard has more offers than there are free rows."""


class SlotTable:
    """Hands out rows of an arena of ``capacity`` to offers of several shards, and takes them back shard by shard.

    The arena never grows, so that nothing that was compiled for its size is compiled again. Keys are looked up in a
    compiled hash table with open addressing, straight from a batch's buffer: no key becomes a Python object for it.
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
        self._counts: dict[int, int] = {}
        self._buckets = np.full(1 << (2 * capacity).bit_length(), NO_SLOT, np.int32)
        self._hashes = np.zeros(capacity, np.uint64)
        self._start = np.zeros(capacity, np.int64)
        self._length = np.zeros(capacity, np.int64)
        self._text = np.empty(0, np.uint8)
        self._text_end = 0
        self._found: dict[int, tuple[BinaryArray, Slots]] = {}  # a batch is asked about twice: see `known`

    @staticmethod
    def warm_up() -> None:
        """Compile everything."""
        table, keys = SlotTable(1), BinaryArray.of([b"key"])
        table.open(0)
        table.find(0, keys)
        table.known(0, keys)  # who is the first of a shard is not looked up
        table.open(1)
        table.drop(1)

    @property
    def shards(self) -> frozenset[int]:
        """Shards that are open."""
        return frozenset(self._counts)

    @property
    def free(self) -> int:
        """Rows that nobody has."""
        return self._free_count

    def open(self, shard: int) -> None:
        """Begin an empty shard.

        Raises:
            ValueError: It is open already.
        """
        if shard in self._counts:
            raise ValueError(f"shard {shard} is open already")
        self._counts[shard] = 0

    def drop(self, shard: int) -> Slots:
        """End a shard and return the rows that it had. Takes time: all keys that stay are entered anew."""
        slots = self.of(shard)
        self._found.pop(shard, None)
        del self._counts[shard]
        self.owner[slots] = _NOBODY
        self._free[self._free_count : self._free_count + len(slots)] = np.sort(slots)[::-1]
        self._free_count += len(slots)
        self._enter_anew()
        return slots

    def of(self, shard: int) -> Slots:
        """Return all rows of a shard, in ascending order."""
        slots: Slots = np.flatnonzero(self.owner[: self.used_below] == shard)
        return slots

    def count(self, shard: int) -> int:
        """Return how many offers a shard has."""
        return self._counts[shard]

    def known(self, shard: int, keys: BinaryArray) -> Slots:
        """Return the row of each key, `NO_SLOT` where it owns none.

        Where all own one, the rows are kept for `find`, which is asked about the same keys of this shard next.
        """
        slots = np.empty(len(keys), np.int64)
        table = self._buckets, self._hashes, self.owner, self._text, self._start, self._length
        _look_up(*table, shard, keys.data, keys.start, keys.length, slots)
        if NO_SLOT not in slots:
            self._found[shard] = keys, slots
        return slots

    def find(self, shard: int, keys: BinaryArray) -> tuple[Slots, Slots]:
        """Return the row of each key; new keys get one while there are any.

        Returns:
            Rows int64[n], `NO_SLOT` where the arena is full; rows that are new.
        """
        asked, found = self._found.pop(shard, (None, _NONE))
        if not self._counts[shard]:  # nothing can be known: a shard that is restored has many keys
            slots = np.full(len(keys), NO_SLOT, np.int64)
            return slots, self._create(shard, keys, np.arange(len(keys)), slots)
        slots = found if asked is keys else self.known(shard, keys)
        new = np.flatnonzero(slots == NO_SLOT)
        return slots, self._create(shard, keys.take(new), new, slots) if len(new) else _NONE

    def find_all(self, shard: int, keys: BinaryArray) -> Slots:
        """Return the row of each key, as `find` does.

        Raises:
            CapacityExceeded: There are not so many free rows.
        """
        slots, _ = self.find(shard, keys)
        if (slots == NO_SLOT).any():
            raise CapacityExceeded(f"shard {shard} has {len(keys)} offers, {self.capacity} fit into the engine")
        return slots

    def keys(self, slots: Slots) -> BinaryArray:
        """Return the keys of rows. They stay readable whatever happens to the table."""
        return BinaryArray(self._text, self._start[slots], self._length[slots])

    def _create(self, shard: int, keys: BinaryArray, rows: Int64, slots: Slots) -> Slots:
        """Give rows to keys that have none, each key one; written to ``slots`` at ``rows``."""
        self._make_room(int(keys.length.sum()))
        given, before = np.empty(len(keys), np.int64), self._free_count
        table = self._buckets, self._hashes, self.owner, self._text, self._start, self._length
        free = self._free[max(before - len(keys), 0) : before][::-1].copy()
        taken, self._text_end = _enter(*table, shard, keys.data, keys.start, keys.length, free, self._text_end, given)
        slots[rows] = given
        created: Slots = free[:taken].copy()
        self._free_count -= taken
        self._counts[shard] += taken
        self.rank[created] = self._hashes[created] >> np.uint64(32)
        if taken:
            self.used_below = max(self.used_below, int(created.max()) + 1)
        return created

    def _make_room(self, size: int) -> None:
        if self._text_end + size > len(self._text):
            text = np.empty(2 * (self._text_end + size), np.uint8)
            text[: self._text_end] = self._text[: self._text_end]
            self._text = text

    def _enter_anew(self) -> None:
        """Rebuild the table, and the texts, from the rows that somebody owns."""
        slots = np.flatnonzero(self.owner[: self.used_below] != _NOBODY)
        texts = self.keys(slots)
        self._text = np.empty(int(texts.length.sum()), np.uint8)
        self._buckets.fill(NO_SLOT)
        self._text_end = _pack(texts.data, texts.start, texts.length, self._text)
        self._start[slots] = np.cumsum(texts.length) - texts.length
        enter_distinct(self._buckets, self._hashes, slots)


@kernel
def _salted(shard: int, data: Bytes, at: int, length: int) -> Any:
    first, second = hash_pair(data, at, length)
    return first ^ (second + np.uint64(shard) * np.uint64(0x9E3779B97F4A7C15))


@kernel
def _place(
    buckets: Any,
    hashes: Any,
    owner: Any,
    text: Any,
    starts: Any,
    lengths: Any,
    shard: int,
    key_hash: Any,
    data: Any,
    at: int,
    length: int,
) -> int:
    """Bucket of a key of a shard, or the empty one where it belongs."""
    mask = len(buckets) - 1
    place: Any = np.int64(key_hash & np.uint64(mask))
    while buckets[place] != NO_SLOT:
        slot = buckets[place]
        alike = hashes[slot] == key_hash and owner[slot] == shard and lengths[slot] == length
        if alike and same_bytes(text, starts[slot], data, at, length):
            break
        place = (place + 1) & mask
    return place


@kernel
def _look_up(
    buckets: Any,
    hashes: Any,
    owner: Any,
    text: Any,
    starts: Any,
    lengths: Any,
    shard: int,
    data: Any,
    start: Any,
    length: Any,
    slots: Any,
) -> None:
    """Write the row of each key to ``slots``."""
    for i in range(len(start)):
        key_hash = _salted(shard, data, start[i], length[i])
        place = _place(buckets, hashes, owner, text, starts, lengths, shard, key_hash, data, start[i], length[i])
        slots[i] = buckets[place]


@kernel
def _enter(
    buckets: Any,
    hashes: Any,
    owner: Any,
    text: Any,
    starts: Any,
    lengths: Any,
    shard: int,
    data: Any,
    start: Any,
    length: Any,
    free: Any,
    text_end: int,
    slots: Any,
) -> tuple[int, int]:
    """Give the rows of ``free`` to keys, in order; returns how many were given, and where the texts end."""
    taken = 0
    for i in range(len(start)):
        key_hash = _salted(shard, data, start[i], length[i])
        place = _place(buckets, hashes, owner, text, starts, lengths, shard, key_hash, data, start[i], length[i])
        if buckets[place] == NO_SLOT and taken < len(free):
            slot = free[taken]
            taken += 1
            buckets[place], hashes[slot], owner[slot] = slot, key_hash, shard
            starts[slot], lengths[slot] = text_end, length[i]
            copy_bytes(text, text_end, data, start[i], length[i])
            text_end += length[i]
        slots[i] = buckets[place]
    return taken, text_end


@kernel
def _pack(data: Any, start: Any, length: Any, packed: Any) -> int:
    """Copy texts to where they lie one after the other; returns where they end."""
    end = 0
    for i in range(len(start)):
        copy_bytes(packed, end, data, start[i], length[i])
        end += length[i]
    return end
