"""The worker's path in one thread of this process: pipeline, engine and cuts, without Kafka and without the loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import numpy as np

from pricing_core.engine import Intervals, PricingEngine
from pricing_core.model_file import load_model
from schemas.binary import BinaryArray
from schemas.topics import HOT_SOURCES, OFFER_POLICIES, Topic
from streams.bench import load
from streams.bench.under_test import REVIEW_S
from streams.changelog import FORMAT, ShardRecord, encode_shard_record
from streams.clock import wall_ms
from streams.metrics import DECISIONS, Metrics
from streams.output import OutputBatch
from streams.partitioner import partitions_of
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.shard import Shard
from streams.takeover import ShardLog
from streams.transaction import Cut, ShardRows
from streams.transport.identity import Claim
from streams.transport.record_batch import RecordBatch

OUTCOMES = ("changed", "held", "recommended", "proposed")
MEMBER = "bench"


class InProcessWorker:
    """Steps and cuts as a worker under load does, with every shard."""

    def __init__(self, settings: Settings, offers: int, commit: Callable[[Cut], None]) -> None:
        """Build it, and compile everything.

        Args:
            settings: Prefix, partitions, and when to cut.
            offers: Room for so many.
            commit: What becomes of a cut.
        """
        self._settings = settings.model_copy(update={"decide_during_catch_up": True})
        self._commit = commit
        self._metrics = Metrics()
        intervals = Intervals(decision=settings.decision_interval_s * 1000, review=REVIEW_S * 1000)
        self.engine = PricingEngine(load_model(), capacity=max(offers, 1024), intervals=intervals)
        self._pipeline = Pipeline(self._settings, self.engine, self._metrics)
        self._pipeline.warm_up()
        start = {topic.name: 0 for topic in HOT_SOURCES}
        self._shards: dict[int, Shard] = {
            p: self._pipeline.restore(ShardLog(p, applied=dict(start), ends=dict(start)), wall_ms())
            for p in range(settings.partitions)
        }
        self._positions: dict[tuple[Topic, int], int] = {}
        self._outputs: list[OutputBatch] = []
        self._last_cut = 0.0
        self.run([self._empty_batches()])

    def run(self, polls: Iterable[list[RecordBatch]]) -> None:
        """Take a step for each poll, and cut as often as under load."""
        for arrived in polls:
            applied = self._pipeline.apply([(self._shards[batch.partition], batch) for batch in arrived], wall_ms())
            decided = self._pipeline.decide(self._shards.values(), wall_ms())
            for outputs in (*applied.values(), *decided.values()):
                self._outputs += outputs
            if self._is_cut_due():
                self._cut()
        self._cut()

    def decided(self) -> float:
        """Decisions so far."""
        return sum(self._metrics.value(DECISIONS, outcome) for outcome in OUTCOMES)

    def polls(self, records: Iterable[load.Record], size: int) -> Iterator[list[RecordBatch]]:
        """Group records by topic and partition, ``size`` at a time, as polls bring them."""
        iterator = iter(records)
        while taken := list(islice(iterator, size)):
            by_topic: dict[Topic, list[tuple[bytes, bytes]]] = {}
            for topic, key, value in taken:
                by_topic.setdefault(topic, []).append((key, value))
            yield [batch for topic, pairs in by_topic.items() for batch in self._of_topic(topic, pairs)]

    def _of_topic(self, topic: Topic, pairs: list[tuple[bytes, bytes]]) -> Iterator[RecordBatch]:
        keys, values = BinaryArray.columns(pairs)
        places = partitions_of(keys, self._settings.partitions)
        for partition in np.unique(places).tolist():
            rows = np.flatnonzero(places == partition)
            yield self._batch(topic, partition, keys.take(rows), values.take(rows), at_end=topic is OFFER_POLICIES)

    def _empty_batches(self) -> list[RecordBatch]:
        """Tell every shard that the sources of which the load has none hold nothing back: they are at their ends."""
        none = BinaryArray.of([])
        topics = set(HOT_SOURCES).difference(load.SHARES)
        return [
            self._batch(topic, partition, none, none, at_end=True) for topic in topics for partition in self._shards
        ]

    def _batch(
        self, topic: Topic, partition: int, keys: BinaryArray, values: BinaryArray, *, at_end: bool
    ) -> RecordBatch:
        first = self._positions.get((topic, partition), 0)
        following = self._positions[topic, partition] = first + len(keys)
        return RecordBatch(
            topic.full_name(self._settings.topic_prefix),
            partition,
            epoch=0,
            first_offset=first,
            next_offset=following,
            offsets=np.arange(first, following),
            keys=keys,
            values=values,
            at_end=at_end,
        )

    def _is_cut_due(self) -> bool:
        late = (time.monotonic() - self._last_cut) * 1000 >= self._settings.cut_interval_ms
        rows = max(sum(map(self.engine.dirty_count, self._shards)), sum(map(len, self._outputs)))
        return late or rows >= self._settings.cut_rows

    def _cut(self) -> None:
        rows = [ShardRows(p, self._record(shard), *self.engine.snapshot(p)) for p, shard in self._shards.items()]
        outputs, self._outputs = self._outputs, []
        self._commit(Cut(Claim(MEMBER, 1, MEMBER, frozenset(self._shards)), rows, outputs, {}))
        self._last_cut = time.monotonic()

    def _record(self, shard: Shard) -> bytes:
        return encode_shard_record(
            ShardRecord(
                format=FORMAT,
                transactional_id=MEMBER,
                generation=1,
                applied=shard.applied,
                seen=shard.seen,
                now=shard.now,
                sequence=self.engine.sequence(shard.partition),
                written_at=wall_ms(),
            )
        )
