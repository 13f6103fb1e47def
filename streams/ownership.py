"""Who owns which shards: taking them over, cutting, failing, giving them up.

Everything here runs on the event loop; only reading the log and committing a transaction run in threads. A step
(`Ownership.process`) has no ``await`` between the check that its batch is current and the end of its effects, so
that nothing can come between the state and the positions.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import confluent_kafka as ck
import structlog

from schemas.topics import HOT_SOURCES, PRICING_CONTROL
from streams.changelog import FORMAT, ShardRecord, encode_shard_record
from streams.errors import CutFailed, OffsetGap
from streams.log_reader import Cancelled
from streams.metrics import (
    CUT_ROWS,
    CUT_SECONDS,
    FAILED_CUTS,
    OFFSET_HOLES,
    OWNED_SHARDS,
    READY_SHARDS,
    REBUILD_SECONDS,
    STALE_BATCHES,
    Metrics,
)
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.shard import Shard
from streams.takeover import ShardLog, Takeover
from streams.transaction import Cut, Output, ShardRows, TransactionWriter
from streams.transport.data_plane import DataPlane, Partition
from streams.transport.identity import Claim
from streams.transport.record_batch import RecordBatch

log = structlog.get_logger(__name__)

RETRY_S = 0.2
GIVE_UP_S = 12.0
"""A takeover that was told to stop is waited for this long; it stops by itself, and its result is not used."""


def wall_ms() -> int:
    """Wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class _Pending:
    """What the next cut will hold, beside the dirty rows that the engine knows."""

    outputs: list[Output] = field(default_factory=list)
    touched: set[int] = field(default_factory=set)
    since: float = 0.0


class Ownership:
    """The shards of this worker. Implements `streams.transport.hybrid.ShardOwner`."""

    def __init__(
        self,
        settings: Settings,
        *,
        pipeline: Pipeline,
        takeover: Takeover,
        writer: TransactionWriter,
        data_plane: DataPlane,
        metrics: Metrics,
        is_member: Callable[[Claim], bool],
        halt: Callable[[BaseException], None],
    ) -> None:
        """Wire the parts together.

        Args:
            settings: When to cut.
            pipeline: The step.
            takeover: Reads shards from the log.
            writer: Writes cuts.
            data_plane: Reads the hot topics.
            metrics: What happened.
            is_member: Whether a claim still holds, as far as the control plane knows.
            halt: Ends the process; called when going on could lose or double something.
        """
        self._settings = settings
        self._pipeline = pipeline
        self._takeover = takeover
        self._writer = writer
        self._plane = data_plane
        self._metrics = metrics
        self._is_member = is_member
        self._halt = halt
        self._sources = {topic.full_name(settings.topic_prefix): topic for topic in HOT_SOURCES}
        self.shards: dict[int, Shard] = {}
        self.claim: Claim | None = None
        self._epoch = -1
        self._queued = 0
        self._pending = _Pending()
        self._in_flight: asyncio.Future[None] | None = None
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._cut_thread = ThreadPoolExecutor(1, thread_name_prefix="cut")
        self._read_thread = ThreadPoolExecutor(1, thread_name_prefix="takeover")
        self._cancelled = threading.Event()
        self._taking_over: asyncio.Task[None] | None = None
        self._cutting: asyncio.Task[None] | None = None

    # what others ask
    @property
    def ready(self) -> bool:
        """Whether every assigned shard is here and being read."""
        return self.claim is not None and self.claim.partitions == self.shards.keys() and self._epoch >= 0

    @property
    def queued(self) -> int:
        """Batches on their way to their agents."""
        return self._queued

    @property
    def pending_changes(self) -> int:
        """Price changes that the catalog has not answered yet."""
        return sum(self._pipeline.engine.pending_count(partition) for partition in self.shards)

    @property
    def offers(self) -> int:
        """Offers in the state."""
        return sum(self._pipeline.engine.offer_count(partition) for partition in self.shards)

    # the transport's side
    async def on_assigned(self, claim: Claim) -> None:
        """Begin to take the claim's shards over."""
        await self._stop_takeover()
        self._drop()
        self.claim, self._cancelled = claim, threading.Event()
        self._metrics.set(OWNED_SHARDS, len(claim.partitions))
        if self._cutting is None:
            self._cutting = asyncio.create_task(self._guard(self._cut_loop()))
        self._taking_over = asyncio.create_task(self._guard(self._take_over(claim)))
        log.info("assigned", generation=claim.generation, partitions=sorted(claim.partitions))

    async def on_giving_up(self) -> None:
        """Finish the cut, then let go of every shard."""
        claim, started = self.claim, time.monotonic()
        await self._stop_takeover()
        if claim is None:
            return
        await self._wait_for_cut()
        await self._stop_takeover()  # a failed cut has begun one
        if self._pending.touched and self._is_member(claim):
            try:
                await self._cut(self._pending.touched)
            except CutFailed as error:
                log.warning("last_cut_failed", error=str(error))
        self.claim = None
        self._drop()
        log.info("gave_up", generation=claim.generation, seconds=round(time.monotonic() - started, 3))

    def on_delivered(self, batch: RecordBatch) -> None:
        """Count a batch that is on its way to its agent."""
        if batch.epoch == self._epoch:
            self._queued += 1

    def on_failure(self, error: BaseException) -> None:
        """Stop the process: the data plane cannot go on."""
        self._halt(error)

    def close(self) -> None:
        """Stop the threads. The last cut was made by `on_giving_up`."""
        if self._cutting is not None:
            self._cutting.cancel()
        self._cut_thread.shutdown(wait=True)
        self._read_thread.shutdown(wait=True)
        self._writer.close()
        self._plane.close()

    # the agents' side
    async def process(self, batch: RecordBatch) -> None:
        """Run the step on a batch, if it is current. Back-pressure: waits while a cut's worth is pending."""
        while self._in_flight is not None and self._is_full():
            await self._wait_for_cut()
        shard = self.shards.get(batch.partition)
        if batch.epoch != self._epoch or shard is None:
            self._metrics.add(STALE_BATCHES)
            return
        self._queued -= 1
        self._check_contiguous(shard, batch)
        self._begin_cut()
        self._pending.outputs += self._pipeline.step(shard, batch, wall_ms())
        self._end_of_step(batch.partition)

    def _check_contiguous(self, shard: Shard, batch: RecordBatch) -> None:
        """Refuse records that were skipped or are applied already.

        Compaction and transaction markers leave holes in a log; anything else that does has lost records.
        """
        source = self._sources[batch.topic]
        position = shard.applied[source.name]
        holes = batch.next_offset - position - len(batch)
        where = f"{batch.topic}[{batch.partition}]"
        if batch.first_offset < position or holes < 0:
            raise OffsetGap(f"{where}: offset {batch.first_offset} came again, {position} is next")
        if holes and source.cleanup == "delete" and source.name not in self._settings.transactional_sources:
            raise OffsetGap(
                f"{where}: {holes} offsets are missing in [{position}, {batch.next_offset}). If its producers use "
                f"transactions, add {source.name!r} to REPRICER_TRANSACTIONAL_SOURCES; else records were lost."
            )
        self._metrics.add(OFFSET_HOLES, holes, source.name)

    async def control(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Set the run mode of a shard, if it is here. A record that says nothing becomes a dead letter."""
        shard = self.shards.get(partition)
        if shard is None:
            return  # the takeover in progress reads it from the log
        self._begin_cut()
        topic = PRICING_CONTROL.full_name(self._settings.topic_prefix)
        batch = RecordBatch(topic, partition, self._epoch, offset, offset + 1, [offset], [key], [value], at_end=True)
        self._pending.outputs += self._pipeline.control(shard, batch, wall_ms())
        self._end_of_step(partition)

    def _begin_cut(self) -> None:
        if not self._pending.touched:
            self._pending.since = time.monotonic()

    def _end_of_step(self, partition: int) -> None:
        self._pending.touched.add(partition)
        self._wake.set()

    # cutting
    def _is_full(self) -> bool:
        return self._dirty_rows() >= self._settings.cut_rows or len(self._pending.outputs) >= self._settings.cut_rows

    def _dirty_rows(self) -> int:
        return sum(self._pipeline.engine.dirty_count(p) for p in self._pending.touched)

    def _is_due(self) -> bool:
        """A single step when idle; under load, after the interval or when enough has come together."""
        age = time.monotonic() - self._pending.since
        idle = self._plane.quiet and self._queued == 0
        return idle or age * 1000 >= self._settings.cut_interval_ms or self._is_full()

    async def _cut_loop(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._pending.touched and self._in_flight is None:
                if not self._is_due():
                    await asyncio.sleep(0.001)
                    continue
                try:
                    await self._cut(self._pending.touched)
                except CutFailed as error:
                    await self._recover(error)

    async def _cut(self, partitions: set[int] | frozenset[int]) -> None:
        """Commit what is pending of ``partitions``. Steps go on meanwhile; their effects wait for the next cut."""
        if self._in_flight is not None or self.claim is None:
            raise AssertionError("one cut at a time, and only as a member")
        cut = self._collect(self.claim, partitions)
        loop, started = asyncio.get_running_loop(), time.monotonic()
        self._in_flight = loop.run_in_executor(self._cut_thread, self._writer.commit, cut)
        try:
            await asyncio.shield(self._in_flight)
        finally:
            self._in_flight = None
            self._settled.set()
            self._wake.set()
        self._metrics.observe(CUT_SECONDS, time.monotonic() - started)
        self._metrics.observe(CUT_ROWS, cut.row_count)

    def _collect(self, claim: Claim, partitions: set[int] | frozenset[int]) -> Cut:
        shards, offsets = [], {}
        for p in sorted(partitions):
            keys, rows = self._pipeline.engine.snapshot(p)
            shards.append(ShardRows(p, encode_shard_record(self._record(claim, p)), keys, rows))
            for topic in HOT_SOURCES:
                tp = Partition(topic.full_name(self._settings.topic_prefix), p)
                offsets[tp] = self.shards[p].applied[topic.name]
        outputs, self._pending = self._pending.outputs, _Pending()
        return Cut(claim, shards, outputs, offsets)

    def _record(self, claim: Claim, partition: int) -> ShardRecord:
        shard = self.shards[partition]
        return ShardRecord(
            format=FORMAT,
            transactional_id=self._settings.transactional_id,
            generation=claim.generation,
            applied=shard.applied,
            seen=shard.seen,
            now=shard.now,
            sequence=self._pipeline.engine.sequence(partition),
            written_at=wall_ms(),
        )

    async def _wait_for_cut(self) -> None:
        """Wait until the cut in flight is settled and its result taken; the writer's deadlines bound the time."""
        while self._in_flight is not None:
            self._settled.clear()
            await self._settled.wait()

    async def _recover(self, error: CutFailed) -> None:
        """Memory is ahead of the log: drop the shards, and rebuild them if they are still ours."""
        log.warning("cut_failed", error=str(error))
        self._metrics.add(FAILED_CUTS)
        claim = self.claim
        self._drop()
        if claim is not None and self._is_member(claim):
            await self.on_assigned(claim)

    # taking over
    async def _take_over(self, claim: Claim) -> None:
        """Read the shards, claim them, read on. The claim cut puts our transactional id into every shard's log."""
        started, loop, cancelled = time.monotonic(), asyncio.get_running_loop(), self._cancelled.is_set
        while self.claim is claim and not cancelled():
            try:
                await loop.run_in_executor(self._cut_thread, self._writer.open)
                logs = await loop.run_in_executor(self._read_thread, self._takeover.read, claim.partitions, cancelled)
                if self.claim is not claim:
                    return
                await self._wait_for_cut()
                self._restore(logs)
                if claim.partitions:
                    await self._cut(claim.partitions)
            except Cancelled:
                return
            except (CutFailed, ck.KafkaException) as error:
                log.warning("takeover_failed", error=str(error), generation=claim.generation)
                self._drop()
                if not self._is_member(claim):
                    return
                await asyncio.sleep(RETRY_S)
                continue
            break
        if self.claim is not claim or cancelled():
            self._drop()
            return
        self._epoch = self._plane.assign(self._positions())
        self._queued = 0
        self._metrics.observe(REBUILD_SECONDS, time.monotonic() - started)
        self._metrics.set(READY_SHARDS, len(self.shards))
        log.info("ready", shards=sorted(self.shards), seconds=round(time.monotonic() - started, 3))

    def _restore(self, logs: dict[int, ShardLog]) -> None:
        for partition, shard_log in logs.items():
            self.shards[partition] = self._pipeline.restore(shard_log, wall_ms())

    def _positions(self) -> dict[Partition, int]:
        prefix = self._settings.topic_prefix
        return {
            Partition(topic.full_name(prefix), p): shard.applied[topic.name]
            for topic in HOT_SOURCES
            for p, shard in self.shards.items()
        }

    async def _stop_takeover(self) -> None:
        task, self._taking_over = self._taking_over, None
        if task is not None and not task.done():
            self._cancelled.set()
            await asyncio.wait([task], timeout=GIVE_UP_S)

    def _drop(self) -> None:
        """Forget every shard: what is not in the log did not happen."""
        self._plane.assign({})
        self._epoch = -1
        self._queued = 0
        self._pending = _Pending()
        for partition in self.shards:
            self._pipeline.engine.drop_shard(partition)
        self.shards.clear()
        self._metrics.set(READY_SHARDS, 0)

    async def _guard(self, work: asyncio.Future[None] | object) -> None:
        """Run a task of ours; whatever it raises stops the process."""
        try:
            await work  # type: ignore[misc]
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001
            self._halt(error)
