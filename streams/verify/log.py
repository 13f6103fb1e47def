"""What the checker reads: a port with one implementation on Kafka (`kafka_log`) and a twin in memory for tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from schemas.topics import Topic

GroupOffsets = dict[tuple[str, int], int | None]
"""By short topic name and partition; None where there is none."""


class Chunk(NamedTuple):
    """Consecutive committed records of one partition."""

    partition: int
    offsets: list[int]
    keys: list[bytes | None]
    values: list[bytes | None]
    replays: dict[int, str]
    """By offset, for records that are replays: coordinates of the dead letter."""


class Log(Protocol):
    """Raw topics. A topic partition is a range of offsets, some of which may hold no record."""

    @property
    def partitions(self) -> int:
        """Of every topic."""

    def starts(self, topic: Topic) -> dict[int, int]:
        """First offset that each partition still has."""

    def ends(self, topic: Topic) -> dict[int, int]:
        """High watermark of each partition: behind records of open transactions, too."""

    def group_offsets(self) -> GroupOffsets | None:
        """What the workers' group has committed; None if this broker does not keep it."""

    def read(self, topic: Topic, ranges: Mapping[int, tuple[int, int]], *, replays: bool = False) -> Iterator[Chunk]:
        """Yield the committed records of ``[start, stop)`` of each partition, in order within a partition.

        A transaction that is open inside of a range is waited for. Whether a record is a replay is looked up only
        if ``replays`` says so: reading headers costs as much as all the rest.
        """
