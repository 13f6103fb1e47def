"""Is a shard in memory still what the log says? Asked after a rebalance, before the shard goes on.

A generation proves nothing: a worker that was frozen comes back with shards that others have moved meanwhile. The
log does, in the order of a takeover (`streams.takeover`), but with the changelog's end only:

0. the topics are those that the last cut named;
1. the group's committed offsets, stable, are those of the shard's last cut: whoever else had added offsets to a
   transaction has ended;
2. the changelog's high watermark;
3. read from where the last cut must begin if nothing came behind it (its record, its rows, one marker): the last
   shard record up to there is that of the last cut, byte for byte. Every cut begins with a shard record, a claim cut
   too, so nobody else has owned the shard.

What cannot be shown in time is not kept: the shard is rebuilt.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import confluent_kafka as ck
import structlog

from schemas.topics import CHANGELOG, HOT_SOURCES, PRICING_CONTROL
from streams.changelog import LastCut, ShardRecord, decode_shard_record, shard_rows
from streams.log_reader import NO_OFFSET, Cancelled, Offsets, read_ranges
from streams.settings import Settings
from streams.transport.partition import Partition

log = structlog.get_logger(__name__)

DEADLINE_S = 2.0
STABLE_TIMEOUT_S = 1.0
MARKER = 1
"""A transaction leaves one record of control in each partition."""

Controls = list[tuple[int, bytes | None, bytes | None]]
"""Offsets, keys and values of ``pricing-control``."""


class _Tail(NamedTuple):
    last_record: dict[int, bytes]
    controls: dict[int, Controls]


class Keeper:
    """Compares shards in memory with the log. Blocking, for `DEADLINE_S` or little more."""

    def __init__(self, settings: Settings, config: dict[str, Any]) -> None:
        self._prefix = settings.topic_prefix
        self._config = config

    def confirm(self, last_cuts: Mapping[int, LastCut], cancelled: Callable[[], bool]) -> dict[int, Controls]:
        """Return the partitions whose shard still holds, each with the run modes that the log knows.

        Args:
            last_cuts: What the last cut of every shard in memory has written; nothing came after it in memory.
            cancelled: Asked between fetches.
        """
        until = time.monotonic() + DEADLINE_S
        offsets = Offsets(self._config)
        try:
            ids = identities(offsets, self._prefix)
            same = {p: last for p, last in last_cuts.items() if _record(last, p).topic_ids == ids}  # 0
            unchanged = self._with_same_offsets(same)
            tail = self._read_tail(offsets, unchanged, lambda: cancelled() or time.monotonic() > until)
        except (ck.KafkaException, Cancelled) as error:
            log.info("not_confirmed", partitions=sorted(last_cuts), error=str(error))
            return {}
        return {p: tail.controls[p] for p, last in unchanged.items() if tail.last_record.get(p) == last.record}

    # 1
    def _with_same_offsets(self, last_cuts: Mapping[int, LastCut]) -> dict[int, LastCut]:
        if not last_cuts:
            return {}
        asked = [ck.TopicPartition(t.full_name(self._prefix), p) for t in HOT_SOURCES for p in last_cuts]
        consumer = ck.Consumer(self._config)
        try:
            answer = consumer.committed(asked, timeout=STABLE_TIMEOUT_S)
        finally:
            consumer.close()
        committed = {Partition(tp.topic, tp.partition): tp.offset for tp in answer if tp.error is None}
        return {p: last for p, last in last_cuts.items() if self._has_committed(p, last, committed)}

    def _has_committed(self, partition: int, last: LastCut, committed: Mapping[Partition, int]) -> bool:
        """Whether the group stands where the cut left it. A group without offsets has nothing to say."""
        applied = _record(last, partition).applied
        return all(
            committed.get(Partition(topic.full_name(self._prefix), partition)) in {NO_OFFSET, applied[topic.name]}
            for topic in HOT_SOURCES
        )

    # 2, 3
    def _read_tail(self, offsets: Offsets, last_cuts: Mapping[int, LastCut], cancelled: Callable[[], bool]) -> _Tail:
        logs = [Partition(CHANGELOG.full_name(self._prefix), p) for p in last_cuts]
        modes = [Partition(PRICING_CONTROL.full_name(self._prefix), p) for p in last_cuts]
        high, low = offsets.end(logs, committed=False), offsets.start(logs + modes)
        ranges = {tp: (max(low[tp], high[tp] - last_cuts[tp.partition].rows - 1 - MARKER), high[tp]) for tp in logs}
        ends = offsets.end(modes, committed=True)
        ranges |= {tp: (low[tp], ends[tp]) for tp in modes}
        tail = _Tail({}, {p: [] for p in last_cuts})
        for tp, records in read_ranges(self._config, ranges, cancelled=cancelled):
            if tp in ends:
                tail.controls[tp.partition] += list(records)
            else:
                for row in shard_rows(records.keys).tolist():
                    tail.last_record[tp.partition] = records.values[row] or b""
        return tail


def _record(last: LastCut, partition: int) -> ShardRecord:
    return decode_shard_record(last.record, partition)


def identities(offsets: Offsets, prefix: str) -> dict[str, str]:
    """What the broker calls the sources and the changelog, by their short names; empty where it gives no ids."""
    names = {topic.full_name(prefix): topic.name for topic in (*HOT_SOURCES, CHANGELOG)}
    return {names[name]: found for name, found in offsets.topic_ids(list(names)).items()}
