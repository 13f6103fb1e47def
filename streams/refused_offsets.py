"""Which of the last records of a source partition were refused: the duplicate window must not know their ids.

A refused event was not applied, so a replay of it, or a resend that is right, is no duplicate. The log alone does
not tell who was refused (a record from the future is not from the future any more when it is read again, and
whether an offer had another currency depends on the state then): so the shard record does.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter

Run = tuple[int, int]
"""First offset, and how many from there on."""


class RefusedOffsets:
    """Refused offsets of one source partition, as far back as its duplicate window of ``size`` offsets reaches."""

    def __init__(self, size: int, runs: Iterable[Run] = ()) -> None:
        self._size = size
        self._runs = list(runs)

    def add(self, offsets: Iterable[int]) -> None:
        """Note offsets: ascending, and behind all that were noted before."""
        for offset in offsets:
            first, count = self._runs[-1] if self._runs else (offset, 0)
            if first + count == offset:
                self._runs[-1:] = [(first, count + 1)]
            else:
                self._runs.append((offset, 1))

    def in_front_of(self, applied: int) -> list[Run]:
        """Return those that the window in front of ``applied`` reaches, and forget the rest."""
        self._runs = [run for run in self._runs if sum(run) > applied - self._size]
        return self._runs.copy()

    def __contains__(self, offset: int) -> bool:
        place = bisect_right(self._runs, offset, key=itemgetter(0)) - 1
        return place >= 0 and offset < sum(self._runs[place])
