"""Which records came before: the event ids of the last N records of one source partition."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.binary import BinaryArray, Int64
from schemas.codec import Decoded, Reject
from schemas.compiled import kernel
from schemas.hashing import hash_pair

EMPTY, FORGOTTEN = 0, 1
"""Values of an age; every other one is an offset, counted from the generation's first."""
FIRST_AGE = 2
CURRENT, ENTERED, SINCE = 0, 1, 2
"""Places in ``_turn``: which generation is the current one; how many ids it has; the first offset of each."""


class DuplicateWindow:
    """The event ids of the last ``size`` records of one source partition: a pure function of the log.

    An id is a duplicate if a record at most ``size`` offsets before it had the same. Two generations of ids are
    kept, each of ``size`` offsets, so that forgetting costs nothing. Of an id 96 bits of its hash are kept: that two
    ids of a window of 20,000 are taken for one another happens once in 10²⁴ records.

    Refused records do not count (`streams.refused_offsets`): `forget` takes them out. What came behind such a one
    with the same id has been called a duplicate by then, and is asked about again, behind later records; so that
    this is exact, a stretch that is admitted at once spans less than ``size`` offsets (`stretches`).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        buckets = 1 << (size + size // 4).bit_length()
        self._first = np.zeros((2, buckets), np.uint64)
        self._second = np.zeros((2, buckets), np.uint32)
        self._age = np.zeros((2, buckets), np.uint32)
        self._turn = np.array([0, 0, -1, -1])

    @staticmethod
    def warm_up() -> None:
        """Compile everything."""
        window, ids = DuplicateWindow(1), BinaryArray.of([b"id"])
        window.admit(ids, np.array([0]))
        window.forget(ids)

    def admit(self, ids: BinaryArray, offsets: Int64) -> Int64 | None:
        """Remember ``ids`` and return the rows that are no duplicates; None if none is.

        Args:
            ids: n event ids.
            offsets: [n] of their records: ascending, or those of repetitions that are asked about again.
        """
        if not len(ids) or self._size == 0:
            return None
        fresh = np.empty(len(ids), np.bool_)
        table = self._first, self._second, self._age, self._turn
        if _admit(*table, self._size, ids.data, ids.start, ids.length, offsets, fresh) == len(ids):
            return None
        rows: Int64 = np.flatnonzero(fresh)
        return rows

    def stretches(self, offsets: Int64) -> list[Int64]:
        """Rows of a batch, cut where it spans more offsets than the window: with a usual size never."""
        rows = np.arange(len(offsets))
        if not self._size or not len(offsets) or offsets[-1] - offsets[0] < self._size:
            return [rows]
        return np.split(rows, np.flatnonzero(np.diff((offsets - offsets[0]) // self._size)) + 1)

    def forget(self, ids: BinaryArray) -> None:
        """Take ids back: their records were refused after all, and may come again."""
        if self._size:
            _forget(self._first, self._second, self._age, ids.data, ids.start, ids.length)


def judged_by(rejects: list[Reject], window: DuplicateWindow, decoded: Decoded[Any], dropped: Int64) -> Int64:
    """Let the window forget what was refused. Returns the dropped rows that it took for duplicates of just that."""
    refused = np.searchsorted(decoded.columns.index, [reject.index for reject in rejects])
    ids = decoded.event_ids.take(refused)
    window.forget(ids)
    names = set(ids)
    return dropped[np.array([name in names for name in decoded.event_ids.take(dropped)], np.bool_)]


@kernel
def _place(first: Any, second: Any, age: Any, generation: int, one: Any, two: Any) -> int:
    """Bucket of an id in a generation, or the empty one where it belongs."""
    mask = first.shape[1] - 1
    place: Any = np.int64(one & np.uint64(mask))
    while age[generation, place] != EMPTY and (first[generation, place] != one or second[generation, place] != two):
        place = (place + 1) & mask
    return place


@kernel
def _admit(
    first: Any,
    second: Any,
    age: Any,
    turn: Any,
    size: int,
    data: Any,
    start: Any,
    length: Any,
    offsets: Any,
    fresh: Any,
) -> int:
    """Write whether each id is new; returns how many are."""
    count = 0
    for i in range(len(start)):
        offset = offsets[i]
        _turn_over(age, turn, size, offset)
        now, before = turn[CURRENT], 1 - turn[CURRENT]
        if offset < turn[SINCE + now]:  # asked about again, behind the record that began this generation
            now, before = before, now
        one, rest = hash_pair(data, start[i], length[i])
        two = np.uint32(rest)
        place = _place(first, second, age, now, one, two)
        fresh[i] = True
        if age[now, place] != EMPTY:
            fresh[i] = _is_past(turn[SINCE + now], age[now, place], offset, size)
        else:
            turn[ENTERED] += 1
            if turn[SINCE + before] >= 0:
                old = age[before, _place(first, second, age, before, one, two)]
                fresh[i] = _is_past(turn[SINCE + before], old, offset, size)
        first[now, place], second[now, place] = one, two
        age[now, place] = np.uint32(max(offset - turn[SINCE + now], 0) + FIRST_AGE)  # asked again, it may be older
        count += fresh[i]
    return count


@kernel
def _is_past(since: int, age: Any, offset: int, size: int) -> Any:
    """Whether an age says that the id is not known, or that the window has passed it."""
    return age < FIRST_AGE or offset - (since + np.int64(age) - FIRST_AGE) > size


@kernel
def _turn_over(age: Any, turn: Any, size: int, offset: int) -> None:
    """Begin a new generation where the current one is full. Counted, too: a table without room is searched for ever."""
    now = turn[CURRENT]
    if turn[SINCE + now] < 0:
        turn[SINCE + now] = offset
    elif offset - turn[SINCE + now] >= size or turn[ENTERED] >= size:
        turn[ENTERED] = 0
        turn[CURRENT] = 1 - now
        turn[SINCE + 1 - now] = offset
        for place in range(age.shape[1]):
            age[1 - now, place] = EMPTY


@kernel
def _forget(first: Any, second: Any, age: Any, data: Any, start: Any, length: Any) -> None:
    for i in range(len(start)):
        one, rest = hash_pair(data, start[i], length[i])
        for generation in range(2):
            place = _place(first, second, age, generation, one, np.uint32(rest))
            if age[generation, place] != EMPTY:
                age[generation, place] = FORGOTTEN
