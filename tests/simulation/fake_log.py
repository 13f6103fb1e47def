"""The partitions of the fake broker: records, holes, and what a reader of committed records may see."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

Place = tuple[str, int]
"""Topic and partition."""


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None


@dataclass(slots=True)
class Entry:
    """One offset. Without a record it is a transaction's marker: a hole for every reader."""

    record: Record | None
    producer: int | None
    """Producer id, inside a transaction."""
    aborted: bool = False


@dataclass(slots=True)
class PartitionLog:
    """Entry *n* has offset *n*: nothing expires here, and nothing is compacted."""

    entries: list[Entry] = field(default_factory=list)
    open: dict[int, int] = field(default_factory=dict)
    """First offset of every transaction without a marker, by producer id."""

    @property
    def high_watermark(self) -> int:
        return len(self.entries)

    @property
    def last_stable_offset(self) -> int:
        return min(self.open.values(), default=len(self.entries))

    def end(self, *, committed: bool) -> int:
        return self.last_stable_offset if committed else self.high_watermark

    def append(self, records: Iterable[Record], producer: int | None = None) -> None:
        if producer is not None:
            self.open.setdefault(producer, len(self.entries))
        self.entries += [Entry(record, producer) for record in records]

    def mark(self, producer: int, *, commit: bool) -> None:
        """End a transaction in this partition: here its records become visible, or never will."""
        first = self.open.pop(producer, None)
        if first is not None and not commit:
            for entry in self.entries[first:]:
                entry.aborted |= entry.producer == producer
        self.entries.append(Entry(None, None))

    def read(self, start: int, limit: int, *, committed: bool) -> tuple[list[tuple[int, Record]], int]:
        """Records from ``start`` on, and the offset that comes next."""
        found: list[tuple[int, Record]] = []
        position = start
        for entry in self.entries[start : self.end(committed=committed)]:
            if len(found) == limit:
                break
            if entry.record is not None and not (committed and entry.aborted):
                found.append((position, entry.record))
            position += 1
        return found, position

    def committed(self) -> list[tuple[int, Record]]:
        """All that a reader of committed records can see by now."""
        return self.read(0, len(self.entries), committed=True)[0]
