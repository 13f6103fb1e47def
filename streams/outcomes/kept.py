"""Events that are needed still, and from which offset on a source must be read again to have them."""

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


class Sold:
    """Pieces sold, of all offers: what a count of the stock has left is less by them."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, int, bytes]] = deque()
        """Offset, time and offer of each line."""
        self._of: dict[bytes, deque[tuple[int, int]]] = {}
        """Time and pieces of the same lines, by offer."""

    def add(self, key: bytes, offset: int, time: int, units: int) -> None:
        """Remember a line behind all others."""
        self._lines.append((offset, time, key))
        self._of.setdefault(key, deque()).append((time, units))

    def first(self, floor: int) -> int | None:
        """As `Kept.first`; what is older is forgotten."""
        while self._lines and self._lines[0][1] < floor:
            _, _, key = self._lines.popleft()
            self._of[key].popleft()  # both are in the order of their offsets
            if not self._of[key]:
                del self._of[key]
        return self._lines[0][0] if self._lines else None

    def between(self, key: bytes, after: int, before: int) -> int:
        """Pieces of an offer that were sold within an open interval of event time."""
        return sum(units for time, units in self._of.get(key, ()) if after < time < before)
