"""Take shards over: find out where the log says they stand, and read what they are made of.

The order is the protocol (a worker frozen between adding offsets to a transaction and committing it commits validly
*after* the rebalance; reading first lost its records):

1. the group's committed offsets, when no transaction on them is pending any more;
2. the changelog's high watermark;
3. the changelog up to it, committed records only; an open transaction of a dead owner is ended meanwhile;
4. the shard record in it against the committed offsets: a difference means that somebody reset the group; and
   against the identities of the topics: another one means that a topic was created anew;
5. what the rows do not hold: policies, run mode, and the event ids of the duplicate window.

The claim cut and the assignment of the data plane follow in `streams.transaction`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import confluent_kafka as ck
import numpy as np
import structlog

from schemas.binary import BinaryArray
from schemas.topics import CHANGELOG, HOT_SOURCES, OFFER_POLICIES, PRICING_CONTROL, TICKS, Topic
from streams.changelog import REBUILD, LastCut, ShardRecord, decode_shard_record, shard_rows
from streams.collector import collector_paused
from streams.errors import GroupReset, OffsetGap, ShardLost, TopicRecreated
from streams.fencing import Fencer
from streams.keeping import Controls, Keeper, identities
from streams.latest_values import LatestValues
from streams.log_reader import NO_OFFSET, Cancelled, Offsets, read_ranges
from streams.records import Records
from streams.settings import Settings
from streams.transport.partition import Partition

log = structlog.get_logger(__name__)

STABLE_TIMEOUT_S = 0.5


@dataclass(slots=True)
class ShardLog:
    """What the log says about one shard."""

    partition: int
    applied: dict[str, int]
    """Where to go on reading every source topic, by its short name."""
    ends: dict[str, int]
    """Where every source topic ended when the shard was taken over: behind it, the shard has caught up."""
    record: ShardRecord | None = None
    topic_ids: dict[str, str] = field(default_factory=dict)
    """What the broker calls the sources and the changelog, by their short names."""
    keys: BinaryArray = field(default_factory=BinaryArray.empty)
    rows: BinaryArray = field(default_factory=BinaryArray.empty)
    """State row of each key, as it stands in the changelog: nobody has looked into it yet."""
    policies: list[Records] = field(default_factory=list)
    """Pages, in order."""
    controls: Controls = field(default_factory=list)
    recent: dict[str, list[Records]] = field(default_factory=dict)
    """Pages of the duplicate window before ``applied``, by source topic."""


class _Changelog(NamedTuple):
    """What one shard's changelog says."""

    record: bytes | None
    keys: BinaryArray
    rows: BinaryArray


class Takeover:
    """Reads shards from the log. Blocking: it runs in a thread of its own."""

    def __init__(self, settings: Settings, *, windowed: Iterable[Topic]) -> None:
        self._settings = settings
        self._config: dict[str, Any] = {
            **settings.consumer_config(),
            "retry.backoff.ms": 20,
            "retry.backoff.max.ms": 50,
        }
        self._offsets = Offsets(self._config)
        self._windowed = tuple(windowed)

    def read(self, partitions: Iterable[int], cancelled: Callable[[], bool]) -> dict[int, ShardLog]:
        """Return the shards of ``partitions``.

        Raises:
            Cancelled: If ``cancelled`` says so; the result is no longer wanted.
            GroupReset: If the group's offsets differ from a shard record.
            OffsetGap: If a source no longer has the records that come next.
            TopicRecreated: If a topic is not the one that the state came from.
            ShardLost: If a changelog cannot be read.
            confluent_kafka.KafkaException: If the broker fails us; may be tried again.
        """
        with collector_paused():
            return self._read(sorted(partitions), cancelled)

    def _read(self, wanted: list[int], cancelled: Callable[[], bool]) -> dict[int, ShardLog]:
        started = time.monotonic()
        self._offsets = Offsets(self._config)
        fencer = Fencer(
            self._config,
            self._settings.producer_config(),
            changelog=self._name(CHANGELOG),
            transactional_id=self._settings.transactional_id,
        )
        shards = self._read_positions(wanted, fencer, cancelled)
        self._read_rest(shards, cancelled)
        log.info(
            "shards_read",
            partitions=wanted,
            rows=sum(len(shard.keys) for shard in shards.values()),
            seconds=round(time.monotonic() - started, 3),
        )
        return shards

    def confirm(self, last_cuts: Mapping[int, LastCut], cancelled: Callable[[], bool]) -> dict[int, Controls]:
        """Return the shards in memory that the log confirms, each with the run modes that it holds.

        Args:
            last_cuts: What the last committed cut of every shard in memory has written.
            cancelled: Whether the result is no longer wanted.
        """
        return Keeper(self._settings, self._config).confirm(last_cuts, cancelled)

    def _name(self, topic: Topic) -> str:
        return topic.full_name(self._settings.topic_prefix)

    def _tps(self, topic: Topic, partitions: Iterable[int]) -> list[Partition]:
        return [Partition(self._name(topic), p) for p in partitions]

    # 1 to 4
    def _read_positions(
        self, partitions: list[int], fencer: Fencer, cancelled: Callable[[], bool]
    ) -> dict[int, ShardLog]:
        """Once, unless somebody is at work.

        A worker that has lost its membership and does not know it yet reads shards whose new owner goes on cutting:
        between offsets and changelog, too. Only offsets that stand still differ because of a reset.
        """
        while True:
            committed = self._stable_offsets(partitions, fencer, cancelled)
            found = self._read_changelog(partitions, fencer, cancelled)
            try:
                return self._positions(partitions, found, committed)
            except GroupReset:
                if self._stable_offsets(partitions, fencer, cancelled) == committed:
                    raise
                log.info("offsets_moved", partitions=partitions)

    # 1
    def _stable_offsets(
        self, partitions: list[int], fencer: Fencer, cancelled: Callable[[], bool]
    ) -> dict[Partition, int]:
        """Ask until no transaction on the offsets is pending; the broker says so by an error."""
        asked = [ck.TopicPartition(*tp) for topic in HOT_SOURCES for tp in self._tps(topic, partitions)]
        consumer = ck.Consumer(self._config)
        try:
            while not cancelled():
                try:
                    answer = consumer.committed(asked, timeout=STABLE_TIMEOUT_S)
                except ck.KafkaException as error:
                    log.info("offsets_unstable", error=str(error))
                else:
                    pending = [tp for tp in answer if tp.error is not None]
                    if not pending:
                        return {Partition(tp.topic, tp.partition): tp.offset for tp in answer}
                    log.info("offsets_unstable", error=str(pending[0].error))
                fencer.end_open_transactions(partitions)
        finally:
            consumer.close()
        raise Cancelled

    # 2, 3
    def _read_changelog(
        self, partitions: list[int], fencer: Fencer, cancelled: Callable[[], bool]
    ) -> dict[int, _Changelog]:
        tps = self._tps(CHANGELOG, partitions)
        high = self._offsets.end(tps, committed=False)
        low = self._offsets.start(tps)
        newest = {p: LatestValues() for p in partitions}
        last: dict[int, bytes | None] = {}
        for tp, records in read_ranges(
            self._config,
            {tp: (low[tp], high[tp]) for tp in tps},
            cancelled=cancelled,
            on_stall=lambda stuck: fencer.end_open_transactions(tp.partition for tp in stuck),
        ):
            of_shard = shard_rows(records.keys)
            if len(of_shard):
                last[tp.partition] = records.values[of_shard[-1]]
                records = records.take(np.delete(np.arange(len(records)), of_shard))  # noqa: PLW2901  # the rest
            newest[tp.partition].update(records.keys, records.values)
        return {p: _Changelog(last.get(p), *found.hand_over()) for p, found in newest.items()}

    # 4
    def _positions(
        self, partitions: list[int], found: Mapping[int, _Changelog], committed: Mapping[Partition, int]
    ) -> dict[int, ShardLog]:
        sources = [tp for topic in HOT_SOURCES for tp in self._tps(topic, partitions)]
        low = self._offsets.start(sources)
        ends = self._offsets.end(sources, committed=True)
        ids = identities(self._offsets, self._settings.topic_prefix)
        shards: dict[int, ShardLog] = {}
        for p in partitions:
            raw, keys, rows = found[p]
            record = None if raw is None else decode_shard_record(raw, p)
            shard = ShardLog(p, applied={}, ends={}, record=record, topic_ids=ids, keys=keys, rows=rows)
            _require_same_topics(record, ids, p)
            for topic in HOT_SOURCES:
                tp = Partition(self._name(topic), p)
                shard.applied[topic.name] = self._start(topic, tp, record, committed[tp], (low[tp], ends[tp]))
                shard.ends[topic.name] = ends[tp]
            shards[p] = shard
        return shards

    @staticmethod
    def _start(topic: Topic, tp: Partition, record: ShardRecord | None, committed: int, kept: tuple[int, int]) -> int:
        """Where to go on. The shard record decides; offsets that differ from it were set by somebody else."""
        applied = None if record is None else record.applied.get(topic.name)
        if record is None and committed > 0:
            raise ShardLost(
                f"{tp.topic}[{tp.partition}]: the group has read up to {committed}, and the changelog has no shard "
                f"record: it was emptied, or deleted and created anew. If that was meant, {REBUILD}"
            )
        if committed not in {NO_OFFSET, applied or 0}:
            raise GroupReset(
                f"{tp.topic}[{tp.partition}]: the group's offset is {committed}, the shard record says {applied}. "
                "Somebody reset the group. Stop all workers; to go on where the state stands, run "
                "`repricer state align`; to read the sources from their beginning again, `repricer state rebuild`"
            )
        low, end = kept
        if applied is None:
            return low
        if applied > end:
            raise OffsetGap(
                f"{tp.topic}[{tp.partition}]: the shard has applied records up to {applied}, the topic ends at {end}. "
                f"It was cut or created anew; the state does not belong to it. If it is meant, {REBUILD}"
            )
        if applied < low and topic.cleanup == "delete" and topic is not TICKS:
            raise OffsetGap(
                f"{tp.topic}[{tp.partition}]: records {applied} to {low - 1} have expired before they were read. "
                "Raise the topic's retention. To go on without them, stop all workers and run "
                "`repricer state skip-expired`"
            )
        return applied if topic is not TICKS else max(applied, low)  # a later tick says all that expired ones said

    # 5
    def _read_rest(self, shards: dict[int, ShardLog], cancelled: Callable[[], bool]) -> None:
        policies, controls = self._tps(OFFER_POLICIES, shards), self._tps(PRICING_CONTROL, shards)
        low = self._offsets.start(policies + controls)
        ranges = {tp: (low[tp], shards[tp.partition].applied[OFFER_POLICIES.name]) for tp in policies}
        ends = self._offsets.end(controls, committed=True)
        ranges |= {tp: (low[tp], ends[tp]) for tp in controls}
        windows = [(topic, tp) for topic in self._windowed for tp in self._tps(topic, shards)]
        low |= self._offsets.start([tp for _, tp in windows])
        for topic, tp in windows:
            applied = shards[tp.partition].applied[topic.name]
            ranges[tp] = (max(low[tp], applied - self._settings.duplicate_window), applied)
        short_names = {self._name(topic): topic.name for topic in self._windowed}
        for tp, records in read_ranges(self._config, ranges, cancelled=cancelled):
            shard = shards[tp.partition]
            if tp.topic == self._name(OFFER_POLICIES):
                shard.policies.append(records)
            elif tp.topic == self._name(PRICING_CONTROL):
                shard.controls += list(records)
            else:
                shard.recent.setdefault(short_names[tp.topic], []).append(records)


def _require_same_topics(record: ShardRecord | None, ids: Mapping[str, str], partition: int) -> None:
    """Refuse topics that were deleted and created anew: offsets that happen to fit prove nothing."""
    known = {} if record is None else record.topic_ids
    others = sorted(name for name, found in ids.items() if known.get(name, found) != found)
    if others:
        raise TopicRecreated(
            f"{', '.join(others)}: deleted and created anew since the state of partition {partition} was written; "
            f"its offsets belong to the topic that is gone. If this is the wrong cluster or prefix, correct the "
            f"settings. If the new topic is meant, {REBUILD}"
        )
