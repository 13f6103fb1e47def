"""Which of the last records of a source partition were refused: the duplicate window must not know their ids.

A refused event was not applied, so a replay of it, or a resend that is right, is no duplicate. The log alone does
not tell who was refused (a record from the future is not from the future any more when it is read again, and
whether an offer had another currency depends on the state then): so the shard record does.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from schemas.columns import Bool, Int64

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

    def among(self, offsets: Int64) -> Bool:
        """Whether each of n offsets was refused."""
        first, count = np.array([(-1, 0), *self._runs], np.int64).T
        place = np.searchsorted(first, offsets, side="right") - 1
        refused: Bool = offsets < first[place] + count[place]
        return refused
