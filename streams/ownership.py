"""Who owns which shards: taking them over, stepping, failing, giving them up.

Everything here runs on the event loop; only reading the log and committing a transaction run in threads. A step
(`Ownership.process`) has no ``await`` between the check that its batch is current and the end of its effects, so
that nothing can come between the state and the positions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import structlog

from schemas.topics import HOT_SOURCES
from streams.breaker.fleet import FleetExcess
from streams.carefully import carefully
from streams.clock import wall_ms
from streams.controls import Controls
from streams.cutter import Cutter
from streams.errors import CutFailed
from streams.holdings import Holdings
from streams.joining import Joining
from streams.metrics import (
    FAILED_CUTS,
    OFFSET_HOLES,
    OWNED_SHARDS,
    STALE_BATCHES,
    Metrics,
)
from streams.output import OutputBatch
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.shard import Shard
from streams.takeover import Takeover
from streams.transaction import TransactionWriter
from streams.transport.data_plane import DataPlane
from streams.transport.identity import Claim
from streams.transport.record_batch import RecordBatch

log = structlog.get_logger(__name__)


MAX_FAILURES = 5


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
        self._plane = data_plane
        self._metrics = metrics
        self._is_member = is_member
        self._halt = halt
        self._sources = {topic.full_name(settings.topic_prefix): topic for topic in HOT_SOURCES}
        self._holdings = Holdings(settings, engine=pipeline.engine, data_plane=data_plane, metrics=metrics)
        self.shards = self._holdings.shards
        self.claim: Claim | None = None
        self._owning = asyncio.Event()
        """Set while there is a claim."""
        self._cutter = Cutter(
            settings,
            engine=pipeline.engine,
            writer=writer,
            metrics=metrics,
            shards=self.shards,
            is_idle=lambda: not self._plane.full and self.queued == 0,
        )
        self._controls = Controls(settings, pipeline=pipeline, cutter=self._cutter, holdings=self._holdings)
        self._joining = Joining(
            takeover=takeover,
            pipeline=pipeline,
            cutter=self._cutter,
            holdings=self._holdings,
            controls=self._controls,
            metrics=metrics,
            is_member=is_member,
            halt=halt,
        )
        self._cutting: asyncio.Task[None] | None = None
        self._arrived: list[RecordBatch] = []
        """Batches that wait for the others of their poll: a step costs as much as hundreds of records."""

    # what others ask
    @property
    def ready(self) -> bool:
        """Whether every assigned shard is here and being read."""
        return self.claim is not None and self.claim.partitions == self._holdings.being_read

    @property
    def queued(self) -> int:
        """Batches on their way to their agents."""
        return self._holdings.queued

    @property
    def pending_changes(self) -> int:
        """Price changes that the catalog has not answered yet."""
        return sum(self._pipeline.engine.pending_count(partition) for partition in self.shards)

    @property
    def offers(self) -> dict[str, int]:
        """Offers in the state, by rung of the evidence ladder."""
        engine = self._pipeline.engine
        return engine.trust.by_rung(sum(map(engine.offer_count, self.shards)))

    @property
    def stopped(self) -> int:
        """Shards that the breaker has stopped."""
        return sum(shard.breaker.stop is not None for shard in self.shards.values())

    # the transport's side
    async def on_assigned(self, claim: Claim) -> None:
        """Begin to take the claim's shards over. Those that were given up in order a moment ago may be kept."""
        await self._joining.stop()
        if self.claim is not None:  # not given up in order
            self._drop()
        self._holdings.keep_parked(claim.partitions)
        self.claim = claim
        self._owning.set()
        self._metrics.set(OWNED_SHARDS, len(claim.partitions))
        if self._cutting is None:
            self._cutting = asyncio.create_task(carefully(self._halt, self._cut_loop))
        self._joining.begin(claim)
        log.info("assigned", generation=claim.generation, partitions=sorted(claim.partitions))

    async def on_giving_up(self) -> None:
        """Finish the cut, then let go of every shard."""
        claim, started = self.claim, time.monotonic()
        if claim is None:
            return
        self.claim = None  # from here on nobody begins a cut or a takeover for it, but for the last cut below
        self._owning.clear()
        self._holdings.stop_reading()  # a step after the last cut would be ahead of the log
        await self._joining.stop()
        try:
            async with asyncio.timeout(self._settings.rebalance_timeout_s / 2):
                in_order = await self._last_cut(claim)
        except TimeoutError:  # whatever becomes of the cut: the next takeover waits for it, in the same thread
            log.warning("last_cut_not_settled")
            in_order = False
        if in_order:
            self._holdings.park()
        else:
            self._drop()
        log.info("gave_up", generation=claim.generation, seconds=round(time.monotonic() - started, 3))

    async def _last_cut(self, claim: Claim) -> bool:
        """Commit what is pending, behind the cut in flight. Returns whether memory is what the log says now."""
        async with self._cutter.turn:
            if not self._cutter.touched:
                return True
            if not self._is_member(claim):
                return False
            try:
                await self._cutter.cut(claim, self._cutter.touched)
            except CutFailed as error:
                log.warning("last_cut_failed", error=str(error))
                return False
            return True

    def on_polled(self, batches: Sequence[RecordBatch]) -> None:
        """Count the batches that are on their way to their agents."""
        self._holdings.queued += sum(batch.epoch == self._holdings.epoch for batch in batches)

    async def settle(self) -> None:
        """Wait for the cut in flight."""
        await self._cutter.settle()

    def on_failure(self, error: BaseException) -> None:
        """Stop the process: the data plane cannot go on."""
        self._halt(error)

    def close(self) -> None:
        """Stop the threads. The last cut was made by `on_giving_up`."""
        if self._cutting is not None:
            self._cutting.cancel()
        self._joining.close()
        self._cutter.close()
        self._plane.close()

    # the agents' side
    async def process(self, batch: RecordBatch) -> None:
        """Apply and decide what has arrived, once all that was polled together is here.

        Raises:
            OffsetGap: If records between the last step and this one are missing.
        """
        await self._cutter.room()
        if not self._holdings.is_current(batch):
            self._metrics.add(STALE_BATCHES)
            return
        if self._arrived and self._arrived[0].epoch != batch.epoch:  # given up before the others came
            self._metrics.add(STALE_BATCHES, len(self._arrived))
            self._arrived.clear()
        self._arrived.append(batch)
        everything = len(self._arrived) >= self._holdings.queued
        if everything or sum(map(len, self._arrived)) >= self._settings.batch_records:
            self._step()

    def _step(self) -> None:
        """Apply what has arrived, and decide what that has made due."""
        arrived, self._arrived = self._arrived, []
        self._holdings.queued -= len(arrived)
        for batches in _by_turns(arrived):
            self._add(self._pipeline.apply([(self._expecting(batch), batch) for batch in batches], wall_ms()))
        shards = {batch.partition: self.shards[batch.partition] for batch in arrived}
        self._add(self._pipeline.decide(shards.values(), wall_ms()))

    def _expecting(self, batch: RecordBatch) -> Shard:
        """Give the shard of a batch that is the next one."""
        shard, source = self.shards[batch.partition], self._sources[batch.topic]
        may_have_holes = source.cleanup == "compact" or source.name in self._settings.transactional_sources
        holes = shard.require_next(source.name, batch, may_have_holes=may_have_holes)
        self._metrics.add(OFFSET_HOLES, holes, source.name)
        return shard

    def _add(self, outputs: Mapping[int, list[OutputBatch]]) -> None:
        for partition, batches in outputs.items():
            self._cutter.add(partition, batches)

    async def control(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Set the run mode of a shard. A record that says nothing becomes a dead letter."""
        self._controls.hear(partition, offset, key, value)

    def stop_for_fleet(self, fleet: FleetExcess) -> None:
        """All shards together exceed a limit: let those that are here stand."""
        for partition, shard in self.shards.items() if self._holdings.being_read is not None else ():
            if outputs := self._pipeline.stop(shard, fleet, wall_ms()):
                self._cutter.add(partition, outputs)

    # cutting
    async def _cut_loop(self) -> None:
        while True:
            await self._owning.wait()
            await self._cutter.due()
            try:
                async with self._cutter.turn:
                    if self.claim is not None and self._cutter.touched:  # else given up while we waited
                        await self._cutter.cut(self.claim, self._cutter.touched)
            except CutFailed as error:
                await self._recover(error)

    async def _recover(self, error: CutFailed) -> None:
        """Memory is ahead of the log: drop the shards, and rebuild them if they are still ours."""
        log.warning("cut_failed", error=str(error))
        self._metrics.add(FAILED_CUTS)
        claim = self.claim
        self._drop()
        if self._cutter.failures >= MAX_FAILURES:  # other cuts did not fail: it is what we write
            self._halt(
                CutFailed(f"{MAX_FAILURES} transactions failed at the same records, rebuilt after each; {error}")
            )
        if claim is None or not self._is_member(claim):
            return
        await self._joining.stop()  # up to 12 s: the claim may be given up meanwhile, and a newer one be taken
        if self.claim is claim:
            await self.on_assigned(claim)

    def _drop(self) -> None:
        """Forget every shard: what is not in the log did not happen."""
        self._cutter.forget()
        self._holdings.drop()


def _by_turns(batches: Sequence[RecordBatch]) -> Iterator[list[RecordBatch]]:
    """Batches in their order, none twice of the same source partition in one turn."""
    waiting = list(batches)
    while waiting:
        turn: dict[tuple[str, int], RecordBatch] = {}
        later = [batch for batch in waiting if turn.setdefault((batch.topic, batch.partition), batch) is not batch]
        yield list(turn.values())
        waiting = later
