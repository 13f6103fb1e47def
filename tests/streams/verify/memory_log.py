"""The twin in memory of what the checker reads: topics as lists of records, which a test may damage."""

from __future__ import annotations

from dataclasses import dataclass, field

from schemas.topics import HOT_SOURCES, TOPICS
from streams.verify.log import Chunk

BATCH = 7  # small, so that chunks have edges everywhere


@dataclass
class Record:
    offset: int
    key: bytes | None
    value: bytes | None
    replay_of: str | None = None


@dataclass
class MemoryLog:
    """Implements `streams.verify.log.Log`."""

    partitions: int
    topics: dict[tuple[str, int], list[Record]] = field(default_factory=dict)
    group: dict[tuple[str, int], int | None] = field(default_factory=dict)
    expired: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self):
        for p in range(self.partitions):
            self.topics |= {(topic.name, p): [] for topic in TOPICS}
            self.group |= {(topic.name, p): None for topic in HOT_SOURCES}

    def append(self, topic, partition, key, value, replay_of=None):
        offset = self.end(topic, partition)
        self.topics[topic, partition].append(Record(offset, key, value, replay_of))
        return offset

    def end(self, topic, partition):
        records = self.topics[topic, partition]
        return records[-1].offset + 1 if records else 0

    def expire(self, topic, partition, before):
        """Retention: records before an offset are gone."""
        kept = [r for r in self.topics[topic, partition] if r.offset >= before]
        self.topics[topic, partition], self.expired[topic, partition] = kept, before

    def starts(self, topic):
        return {p: self.expired.get((topic.name, p), 0) for p in range(self.partitions)}

    def ends(self, topic):
        return {p: self.end(topic.name, p) for p in range(self.partitions)}

    def group_offsets(self):
        return dict(self.group)

    def read(self, topic, ranges, *, replays=False):
        for p, (start, stop) in ranges.items():
            records = [r for r in self.topics[topic.name, p] if start <= r.offset < stop]
            for at in range(0, len(records), BATCH):
                part = records[at : at + BATCH]
                marks = {r.offset: r.replay_of for r in part if r.replay_of is not None} if replays else {}
                yield Chunk(p, [r.offset for r in part], [r.key for r in part], [r.value for r in part], marks)
