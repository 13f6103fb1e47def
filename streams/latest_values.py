"""The last value of every key of a log, found while the log is read: a compiled hash table over two buffers.

Compaction leaves older values in a log for a while, so that a reader must do this in any case. No key and no value
becomes a Python object.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.binary import NULL, BinaryArray
from schemas.compiled import kernel
from schemas.copying import copy_bytes
from schemas.hashing import EMPTY, enter_distinct, hash_pair, same_bytes

FIRST_ROOM = 1024
GROWTH = 1.25
"""Large buffers are moved by the operating system, not copied: small steps cost little, large ones waste memory."""
KEY_START, KEY_LENGTH, START, LENGTH, ROOM = range(5)
"""What is known of an entry: where its key lies, where its value, and how long a value may be to be written there."""
ENTRIES, KEY_BYTES, VALUE_BYTES = range(3)
"""Places in ``_used``: how many entries there are, and where the bytes of their keys and values end."""


class LatestValues:
    """Keys and their last values.

    A value is written over the one before if it fits there: memory follows the number of keys, not the length of the
    log, and values that have one size lie one after the other.
    """

    def __init__(self) -> None:
        self._clear()

    @staticmethod
    def warm_up() -> None:
        """Compile everything."""
        table, one = LatestValues(), BinaryArray.of([b"one"])
        table.update(one, one)
        table._enter_anew(FIRST_ROOM)
        table.hand_over()

    def update(self, keys: BinaryArray, values: BinaryArray) -> None:
        """Go on in the log. A null value removes its key; records without a key are left out."""
        entries, key_bytes, value_bytes = self._used.tolist()
        if 2 * (entries + len(keys)) > len(self._buckets):
            self._enter_anew(entries + len(keys))
        _make_room(self._hashes, entries + len(keys))
        _make_room(self._entries, entries + len(keys))
        _make_room(self._keys, key_bytes + int(np.maximum(keys.length, 0).sum()))
        _make_room(self._values, value_bytes + int(np.maximum(values.length, 0).sum()))
        table = self._buckets, self._hashes, self._entries, self._keys, self._values, self._used
        _update(*table, keys.data, keys.start, keys.length, values.data, values.start, values.length)

    def hand_over(self) -> tuple[BinaryArray, BinaryArray]:
        """Give keys and values away, in the order in which the keys came. The table is empty then."""
        entries = self._entries[: self._used[ENTRIES]]
        live = np.flatnonzero(entries[:, LENGTH] != NULL)
        keys = BinaryArray(self._keys, entries[live, KEY_START], entries[live, KEY_LENGTH])
        values = BinaryArray(self._values, entries[live, START], entries[live, LENGTH])
        self._clear()
        return keys, values

    def _clear(self) -> None:
        self._buckets = np.full(4 * FIRST_ROOM, EMPTY, np.int32)
        self._hashes = np.empty(FIRST_ROOM, np.uint64)
        self._entries = np.empty((FIRST_ROOM, 5), np.int64)
        self._keys, self._values = np.empty(0, np.uint8), np.empty(0, np.uint8)
        self._used = np.zeros(3, np.int64)

    def _enter_anew(self, count: int) -> None:
        """Make a table in which ``count`` entries leave half of the buckets empty, and more to come."""
        self._buckets = np.full(1 << (4 * count - 1).bit_length(), EMPTY, np.int32)
        enter_distinct(self._buckets, self._hashes, np.arange(self._used[ENTRIES]))


def _make_room(buffer: NDArray[Any], size: int) -> None:
    """Let a buffer have at least ``size`` rows. Nobody may hold a view of it: it may move."""
    if size > len(buffer):
        buffer.resize((max(size, int(GROWTH * len(buffer))), *buffer.shape[1:]), refcheck=False)


@kernel
def _update(
    buckets: Any,
    hashes: Any,
    entries: Any,
    keys: Any,
    values: Any,
    used: Any,
    key_data: Any,
    key_start: Any,
    key_length: Any,
    value_data: Any,
    value_start: Any,
    value_length: Any,
) -> None:
    for i in range(len(key_start)):
        if key_length[i] == NULL:
            continue
        key_hash, _ = hash_pair(key_data, key_start[i], key_length[i])
        place = _place(buckets, hashes, entries, keys, key_hash, key_data, key_start[i], key_length[i])
        entry, size = np.int64(buckets[place]), value_length[i]
        if entry == EMPTY:
            if size == NULL:
                continue
            entry = used[ENTRIES]
            buckets[place], hashes[entry] = entry, key_hash
            entries[entry, KEY_START], entries[entry, KEY_LENGTH] = used[KEY_BYTES], key_length[i]
            copy_bytes(keys, used[KEY_BYTES], key_data, key_start[i], key_length[i])
            entries[entry, ROOM] = NULL
            used[ENTRIES] += 1
            used[KEY_BYTES] += key_length[i]
        if size > entries[entry, ROOM]:
            entries[entry, START], entries[entry, ROOM] = used[VALUE_BYTES], size
            used[VALUE_BYTES] += size
        entries[entry, LENGTH] = size
        if size > 0:
            copy_bytes(values, entries[entry, START], value_data, value_start[i], size)


@kernel
def _place(
    buckets: Any, hashes: Any, entries: Any, keys: Any, key_hash: Any, data: Any, start: int, length: int
) -> int:
    """Bucket of a key, or the empty one where it belongs."""
    mask = len(buckets) - 1
    place: Any = np.int64(key_hash & np.uint64(mask))
    while buckets[place] != EMPTY:
        entry = buckets[place]
        alike = hashes[entry] == key_hash and entries[entry, KEY_LENGTH] == length
        if alike and same_bytes(keys, entries[entry, KEY_START], data, start, length):
            break
        place = (place + 1) & mask
    return place
