"""Who owns which shards: taking them over, stepping, failing, giving them up.

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

import confluent_kafka as ck
import numpy as np
import structlog

from schemas.binary import BinaryArray
from schemas.topics import HOT_SOURCES, PRICING_CONTROL
from streams.carefully import carefully
from streams.clock import wall_ms
from streams.cutter import Cutter
from streams.errors import CutFailed
from streams.log_reader import Cancelled
from streams.metrics import (
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
from streams.takeover import Takeover
from streams.transaction import TransactionWriter
from streams.transport.data_plane import DataPlane, Partition
from streams.transport.identity import Claim
from streams.transport.record_batch import RecordBatch

log = structlog.get_logger(__name__)

RETRY_S = 0.2
GIVE_UP_S = 12.0
"""A takeover that was told to stop is waited for this long; it stops by itself, and its result is not used."""


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
            settings: When to cut, and which sources may have holes.
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
        self._plane = data_plane
        self._metrics = metrics
        self._is_member = is_member
        self._halt = halt
        self._sources = {topic.full_name(settings.topic_prefix): topic for topic in HOT_SOURCES}
        self.shards: dict[int, Shard] = {}
        self.claim: Claim | None = None
        self._epoch = -1
        self._queued = 0
        self._controls: dict[int, list[RecordBatch]] = {}
        self._cutter = Cutter(
            settings,
            engine=pipeline.engine,
            writer=writer,
            metrics=metrics,
            shards=self.shards,
            is_idle=lambda: not self._plane.full and self._queued == 0,
        )
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
            self._cutting = asyncio.create_task(carefully(self._cut_loop(), self._halt))
        self._taking_over = asyncio.create_task(carefully(self._take_over(claim), self._halt))
        log.info("assigned", generation=claim.generation, partitions=sorted(claim.partitions))

    async def on_giving_up(self) -> None:
        """Finish the cut, then let go of every shard."""
        claim, started = self.claim, time.monotonic()
        await self._stop_takeover()
        if claim is None:
            return
        await self._cutter.settle()
        await self._stop_takeover()  # a failed cut has begun one
        await self._cutter.settle()  # no await from here to the cut: nobody comes between
        if self._cutter.touched and self._is_member(claim):
            try:
                await self._cutter.cut(claim, self._cutter.touched)
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
        self._read_thread.shutdown(wait=True)
        self._cutter.close()
        self._plane.close()

    # the agents' side
    async def process(self, batch: RecordBatch) -> None:
        """Run the step on a batch, if it is current.

        Raises:
            OffsetGap: If records between the last step and this one are missing.
        """
        await self._cutter.room()
        shard = self.shards.get(batch.partition)
        if batch.epoch != self._epoch or shard is None:
            self._metrics.add(STALE_BATCHES)
            return
        self._queued -= 1
        source = self._sources[batch.topic]
        may_have_holes = source.cleanup == "compact" or source.name in self._settings.transactional_sources
        holes = shard.require_next(source.name, batch, may_have_holes=may_have_holes)
        self._metrics.add(OFFSET_HOLES, holes, source.name)
        self._cutter.add(batch.partition, self._pipeline.step(shard, batch, wall_ms()))

    async def control(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Set the run mode of a shard. A record that says nothing becomes a dead letter."""
        topic = PRICING_CONTROL.full_name(self._settings.topic_prefix)
        batch = RecordBatch(
            topic,
            partition,
            self._epoch,
            first_offset=offset,
            next_offset=offset + 1,
            offsets=np.array([offset]),
            keys=BinaryArray.of([key]),
            values=BinaryArray.of([value]),
            at_end=True,
        )
        self._controls.setdefault(partition, []).append(batch)
        self._apply_controls(partition)

    def _apply_controls(self, partition: int) -> None:
        """Of a shard that is here. For others they wait: the takeover may have read the log before they were in it."""
        shard = self.shards.get(partition)
        if shard is not None:
            for batch in self._controls.pop(partition, []):
                self._cutter.add(partition, self._pipeline.control(shard, batch, wall_ms()))

    # cutting
    async def _cut_loop(self) -> None:
        while True:
            await self._cutter.due()
            if self.claim is None or not self._cutter.touched:
                continue  # given up while we waited
            try:
                await self._cutter.cut(self.claim, self._cutter.touched)
            except CutFailed as error:
                await self._recover(error)

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
        """Read the shards, claim them, read on: again until it works, or the claim is void."""
        started, cancelled = time.monotonic(), self._cancelled.is_set
        while self.claim is claim and not cancelled():
            try:
                await self._read_and_claim(claim, cancelled)
            except Cancelled:
                return
            except (CutFailed, ck.KafkaException) as error:
                log.warning("takeover_failed", error=str(error), generation=claim.generation)
                if self.claim is not claim:
                    return
                self._drop()
                if not self._is_member(claim):
                    return
                await asyncio.sleep(RETRY_S)
            else:
                break
        if self.claim is not claim or cancelled():
            return  # whoever made the claim void has dropped the shards; those that are here now are another's
        self._epoch = self._plane.assign(self._positions())
        self._queued = 0
        self._metrics.observe(REBUILD_SECONDS, time.monotonic() - started)
        self._metrics.set(READY_SHARDS, len(self.shards))
        log.info("ready", shards=sorted(self.shards), seconds=round(time.monotonic() - started, 3))

    async def _read_and_claim(self, claim: Claim, cancelled: Callable[[], bool]) -> None:
        """The claim cut puts our transactional id into every shard's log before the first work on it."""
        await self._cutter.open()
        loop, read = asyncio.get_running_loop(), self._takeover.read
        logs = await loop.run_in_executor(self._read_thread, read, claim.partitions, cancelled)
        await self._cutter.settle()
        if self.claim is not claim:
            raise Cancelled
        for partition, shard_log in logs.items():
            self.shards[partition] = self._pipeline.restore(shard_log, wall_ms())
            self._apply_controls(partition)
        if claim.partitions:
            await self._cutter.cut(claim, claim.partitions)

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
        self._cutter.forget()
        for partition in self._pipeline.engine.shards:
            self._pipeline.engine.drop_shard(partition)
        self.shards.clear()
        self._metrics.set(READY_SHARDS, 0)
