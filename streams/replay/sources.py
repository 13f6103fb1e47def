"""The source records of one shard, to be taken in steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from schemas.binary import BinaryArray
from schemas.topics import HOT_SOURCES, TICKS, Topic
from streams.log_reader import Offsets, read_ranges
from streams.records import Records
from streams.settings import Settings
from streams.state.old_shard import DEADLINE_S, deadline
from streams.state.replay import Place, without_refused
from streams.transport.partition import Partition
from streams.transport.record_batch import RecordBatch


class Source:
    """One source topic at one partition, read on demand."""

    def __init__(self, settings: Settings, topic: Topic, partition: int, span: tuple[int, int]) -> None:
        """Begin at the first offset of ``span``; behind its last nothing is asked for."""
        self.topic = topic
        self.tp = Partition(topic.full_name(settings.topic_prefix), partition)
        self.position = span[0]
        pages = read_ranges(settings.consumer_config(), {self.tp: span}, cancelled=deadline(DEADLINE_S))
        self._pages: Iterator[Records] = (records for _, records in pages)
        self._held: list[Records] = []

    def up_to(self, offset: int, known: Mapping[Place, str]) -> RecordBatch | None:
        """Take the records before an offset, without those refused for what they are; None if none is left."""
        while self._next_offset() < offset and (page := next(self._pages, None)) is not None:
            self._held.append(page)
        taken: list[Records] = []
        while self._held and self._held[0].offsets[0] < offset:
            page = self._held.pop(0)
            split = int(np.searchsorted(page.offsets, offset))
            taken.append(page.take(np.arange(split)))
            if split < len(page):
                self._held.insert(0, page.take(np.arange(split, len(page))))
        self.position = max(offset, self.position)
        batch = without_refused(self.tp, _joined(taken), known) if taken else None
        return batch if batch is not None and len(batch) else None

    def _next_offset(self) -> int:
        """Behind the last record that was read; a page that was read whole says nothing of what follows."""
        return int(self._held[-1].offsets[-1]) + 1 if self._held else -1


def spans(
    settings: Settings, offsets: Offsets, partition: int, first: Mapping[str, int], last: Mapping[str, int]
) -> tuple[dict[Topic, tuple[int, int]], list[str]]:
    """Ranges of every source between two steps, and where records that are needed have expired.

    Ticks only tell the time, which decisions name; of a compacted topic the last versions are still there.
    """
    tps = {topic: Partition(topic.full_name(settings.topic_prefix), partition) for topic in HOT_SOURCES}
    starts = offsets.start(list(tps.values()))
    ranges, expired = {}, []
    for topic, tp in tps.items():
        start, stop = first[topic.name], last[topic.name]
        if start < min(starts[tp], stop) and topic.cleanup == "delete" and topic is not TICKS:
            expired.append(f"{topic.name}/{partition}: records {start} to {min(starts[tp], stop) - 1} have expired")
        ranges[topic] = (max(start, starts[tp]), stop)
    return ranges, expired


def _joined(pages: list[Records]) -> Records:
    offsets = np.concatenate([page.offsets for page in pages])
    keys, values = (BinaryArray.joined([getattr(page, name) for page in pages]) for name in ("keys", "values"))
    return Records(offsets, keys, values)
