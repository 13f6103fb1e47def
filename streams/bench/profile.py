"""`repricer bench profile`: where each microsecond goes. One process and one thread, without Kafka.

The load is fed to the real pipeline as record batches, in the order of its event time, and cut as the worker cuts;
the transaction goes to the broker inside this process, whose own threads are not counted. What a bare loop must do,
too, is timed beside it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from pricing_core.engine import Intervals, PricingEngine
from pricing_core.model_file import load_model
from schemas.binary import BinaryArray
from schemas.topics import CHANGELOG, HOT_SOURCES, OFFER_POLICIES, Topic
from streams.bench import load
from streams.bench.bare import TYPES
from streams.bench.machine import machine, versions
from streams.bench.stages import Stopwatch, watched
from streams.changelog import FORMAT, ShardRecord, encode_shard_record
from streams.clock import wall_ms
from streams.embedded_broker import PARTITIONS, EmbeddedBroker
from streams.metrics import DECISIONS, Metrics
from streams.partitioner import partition_of
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.shard import Shard
from streams.takeover import ShardLog
from streams.transaction import Cut, Output, ShardRows, TransactionWriter
from streams.transport.identity import Claim
from streams.transport.record_batch import RecordBatch

OUTCOMES = ("changed", "held", "recommended")


def measure(*, events: int, offers: int, batch: int) -> dict[str, Any]:
    """Run the profile; returns the object that ``--json`` prints.

    Args:
        events: Events that are timed, after as many that are not.
        offers: Offers that they are about; all are decided once before.
        batch: Records of a step, at most.
    """
    with ExitStack() as stack:
        broker = stack.enter_context(EmbeddedBroker("profile"))
        settings = Settings(
            bootstrap_servers=broker.bootstrap_servers, topic_prefix="profile", group="profile", partitions=PARTITIONS
        )
        stopwatch = stack.enter_context(watched())
        worker = _Worker(settings, offers)
        worker.run(_nothing())
        worker.run(_batches(load.policies(offers), 100_000, batch))
        worker.run(_batches(load.events(0, events, offers), load.CHUNK, batch))
        stopwatch.reset()
        decided = worker.decided()
        timed = list(_batches(load.events(-(-events // load.CHUNK) * load.CHUNK, events, offers), load.CHUNK, batch))
        bare, decoded = _bare(timed), _bare(timed)
        began = time.perf_counter()
        worker.run(timed)
        wall = time.perf_counter() - began
        decisions = worker.decided() - decided
    return {
        "us_per_event": round(wall / events * 1e6, 3),
        "decode_to_structs_us_per_event": round(min(bare, decoded) / events * 1e6, 3),
        "events_per_decision": round(events / decisions, 1),
        "stages": _stages(stopwatch, wall, events, decisions),
        "unwatched_us_per_event": round((wall - sum(stopwatch.seconds.values())) / events * 1e6, 3),
        "events": events,
        "offers": offers,
        "batch": batch,
        "machine": machine(),
        "versions": versions(),
    }


def _stages(stopwatch: Stopwatch, wall: float, events: int, decisions: float) -> dict[str, dict[str, float]]:
    return {
        stage: {
            "us_per_event": round(seconds / events * 1e6, 3),
            "us_per_decision": round(seconds / decisions * 1e6, 2),
            "share": round(seconds / wall, 3),
            "calls": stopwatch.calls[stage],
        }
        for stage, seconds in stopwatch.seconds.items()
    }


@dataclass(slots=True)
class _Worker:
    """What the event loop of a worker does, without the loop."""

    settings: Settings
    offers: int
    shards: dict[int, Shard] = field(init=False)
    _metrics: Metrics = field(init=False, default_factory=Metrics)
    _outputs: list[Output] = field(init=False, default_factory=list)
    _last_cut: float = field(init=False, default=0.0)
    _engine: PricingEngine = field(init=False)
    _pipeline: Pipeline = field(init=False)
    _writer: TransactionWriter = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        interval, review = settings.decision_interval_s * 1000, settings.review_interval_s * 1000
        self._engine = PricingEngine(
            load_model(), capacity=max(self.offers, 1024), intervals=Intervals(decision=interval, review=review)
        )
        self._pipeline = Pipeline(
            settings.model_copy(update={"decide_during_catch_up": True}), self._engine, self._metrics
        )
        self._pipeline.warm_up()
        start = {topic.name: 0 for topic in HOT_SOURCES}
        self.shards = {
            p: self._pipeline.restore(ShardLog(p, applied=dict(start), ends=dict(start)), wall_ms())
            for p in range(settings.partitions)
        }
        self._writer = TransactionWriter(
            settings.producer_config(),
            transactional_id="profile",
            changelog=CHANGELOG.full_name(settings.topic_prefix),
            transaction_timeout_s=60,
        )
        self._writer.open()

    def run(self, batches: Iterable[RecordBatch]) -> None:
        """Step through batches, and cut as often as under load."""
        for batch in batches:
            shard = self.shards[batch.partition]
            self._outputs += self._pipeline.step(shard, batch, wall_ms())
            if self._is_cut_due():
                self._cut()
        self._cut()

    def decided(self) -> float:
        """Decisions so far."""
        return sum(self._metrics.value(DECISIONS, outcome) for outcome in OUTCOMES)

    def _is_cut_due(self) -> bool:
        late = (time.monotonic() - self._last_cut) * 1000 >= self.settings.cut_interval_ms
        rows = max(sum(map(self._engine.dirty_count, self.shards)), len(self._outputs))
        return late or rows >= self.settings.cut_rows

    def _cut(self) -> None:
        rows = [
            ShardRows(p, self._record(shard), *self._engine.snapshot(p)) for p, shard in sorted(self.shards.items())
        ]
        outputs, self._outputs = self._outputs, []
        self._writer.commit(Cut(Claim("profile", 1, "member", frozenset(self.shards)), rows, outputs, {}))
        self._last_cut = time.monotonic()

    def _record(self, shard: Shard) -> bytes:
        return encode_shard_record(
            ShardRecord(
                format=FORMAT,
                transactional_id="profile",
                generation=1,
                applied=shard.applied,
                seen=shard.seen,
                now=shard.now,
                sequence=self._engine.sequence(shard.partition),
                written_at=wall_ms(),
            )
        )


def _batches(records: Iterable[load.Record], stretch: int, size: int) -> Iterator[RecordBatch]:
    """Group records by topic and partition, a stretch at a time, as fetches bring them."""
    iterator, positions = iter(records), dict[tuple[Topic, int], int]()
    while taken := list(islice(iterator, stretch)):
        runs: dict[tuple[Topic, int], list[tuple[bytes, bytes]]] = {}
        for topic, key, value in taken:
            runs.setdefault((topic, partition_of(key, PARTITIONS)), []).append((key, value))
        for (topic, partition), run in runs.items():
            for start in range(0, len(run), size):
                keys, values = zip(*run[start : start + size], strict=True)
                first = positions.get((topic, partition), 0)
                following = positions[topic, partition] = first + len(keys)
                yield RecordBatch(
                    topic.full_name("profile"),
                    partition,
                    epoch=0,
                    first_offset=first,
                    next_offset=following,
                    offsets=np.arange(first, following),
                    keys=BinaryArray.of(keys),
                    values=BinaryArray.of(values),
                    at_end=topic is OFFER_POLICIES,
                )


def _nothing() -> Iterator[RecordBatch]:
    """Tell every shard that the sources of which the load has none hold nothing back: they are at their ends."""
    none = BinaryArray.of([])
    for topic in set(HOT_SOURCES).difference(load.SHARES):
        for partition in range(PARTITIONS):
            yield RecordBatch(topic.full_name("profile"), partition, 0, 0, 0, np.arange(0), none, none, at_end=True)


def _bare(batches: list[RecordBatch]) -> float:
    """Seconds for decoding the same values into structs, nothing else."""
    decoders = {topic.full_name("profile"): msgspec.json.Decoder(kind).decode for topic, kind in TYPES.items()}
    values = [(batch.topic, list(batch.values)) for batch in batches]
    began = time.perf_counter()
    for topic, given in values:
        decode = decoders[topic]
        for value in given:
            decode(value or b"")
    return time.perf_counter() - began
