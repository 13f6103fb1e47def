"""Cuts that fail again and again at the same records: a person must look, whatever succeeds beside them."""

from __future__ import annotations

from collections.abc import Mapping

from streams.transport.partition import Partition


class StubbornPlaces:
    """Counts failed cuts by the place at which they failed.

    A shard that is rebuilt cuts what else there is, ticks and other sources, with success in between: cuts in a row
    would be counted from the start each time.
    """

    def __init__(self) -> None:
        self._failures: dict[Partition, tuple[int, int]] = {}

    def note(self, places: Mapping[Partition, int]) -> int:
        """Remember a failed cut.

        Args:
            places: Committed offset of every source partition that the cut would have moved on.

        Returns:
            How many cuts have failed at the worst of these places.
        """
        for tp, offset in places.items():
            before, count = self._failures.get(tp, (offset, 0))
            self._failures[tp] = offset, count + 1 if before == offset else 1
        return max((self._failures[tp][1] for tp in places), default=0)
