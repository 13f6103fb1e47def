"""From which offset on a source must be read again to have the events that are needed still."""

from __future__ import annotations

from collections import deque

TOGETHER = 16
"""Events that are remembered as one: to read some more of them again than are needed changes nothing."""


class Kept:
    """Events of one source, in the order of their offsets."""

    def __init__(self) -> None:
        self._stretches: deque[list[int]] = deque()
        """First offset, latest time, and how many events."""

    def add(self, offset: int, time: int) -> None:
        """Remember an event behind all others."""
        if self._stretches and self._stretches[-1][2] < TOGETHER:
            last = self._stretches[-1]
            last[1], last[2] = max(last[1], time), last[2] + 1
        else:
            self._stretches.append([offset, time, 1])

    def first(self, floor: int) -> int | None:
        """An offset at or before the first event that is not older than this; None: there is none.

        Args:
            floor: Does not descend from call to call.
        """
        while self._stretches and self._stretches[0][1] < floor:
            self._stretches.popleft()
        return self._stretches[0][0] if self._stretches else None
