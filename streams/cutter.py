"""When to cut, and what goes into a cut: the outputs of the steps since the last one, and the rows they touched."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor

from pricing_core.engine import PricingEngine
from schemas.topics import HOT_SOURCES
from streams.changelog import FORMAT, LastCut, ShardRecord, decode_shard_record, encode_shard_record
from streams.clock import wall_ms
from streams.errors import CutFailed
from streams.metrics import CUT_ROWS, CUT_SECONDS, Metrics
from streams.output import OutputBatch
from streams.settings import Settings
from streams.shard import Shard
from streams.stubborn import StubbornPlaces
from streams.transaction import Cut, ShardRows, TransactionWriter
from streams.transport.identity import Claim
from streams.transport.partition import Partition

POLL_S = 0.001


class Cutter:
    """Collects on the event loop, commits in a thread, one cut at a time; steps go on meanwhile."""

    def __init__(
        self,
        settings: Settings,
        *,
        engine: PricingEngine,
        writer: TransactionWriter,
        metrics: Metrics,
        shards: Mapping[int, Shard],
        is_idle: Callable[[], bool],
    ) -> None:
        """Wire the parts together.

        Args:
            settings: When to cut.
            engine: Knows the rows that changed.
            writer: Writes cuts.
            metrics: What happened.
            shards: Those that are here, by partition; their positions go into the cut.
            is_idle: Whether nothing more is on its way: then one step is enough for a cut.
        """
        self._settings = settings
        self._engine = engine
        self._writer = writer
        self._metrics = metrics
        self._shards = shards
        self._is_idle = is_idle
        self.last: dict[int, LastCut] = {}
        """What the last committed cut of each shard has written."""
        self._stubborn = StubbornPlaces()
        self.failures = 0
        """Cuts that have failed where the last failed one did."""
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="cut")
        self._outputs: list[OutputBatch] = []
        self._touched: set[int] = set()
        self._since = 0.0
        self._in_flight: asyncio.Future[None] | None = None
        self._settled = asyncio.Event()
        self._stirred = asyncio.Event()
        self.turn = asyncio.Lock()
        """Whoever cuts takes it first: in turn, or a busy cut loop would never let a claim cut in between."""

    @property
    def touched(self) -> frozenset[int]:
        """Shards that have moved since the last cut."""
        return frozenset(self._touched)

    def add(self, partition: int, outputs: list[OutputBatch]) -> None:
        """A step of a shard has ended; its effects go into the next cut."""
        if not self._touched:
            self._since = time.monotonic()
        self._touched.add(partition)
        self._outputs += outputs
        self._stirred.set()

    def forget(self) -> None:
        """Drop what is pending: the shards are dropped, too."""
        self._outputs, self._touched = [], set()

    async def open(self) -> None:
        """Make the producer ready; this settles what became of our last transaction."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.open)

    async def room(self) -> None:
        """Back-pressure: wait while a cut's worth is pending behind the one in flight."""
        while self._in_flight is not None and self._is_full():
            await self.settle()

    async def settle(self) -> None:
        """Wait until the cut in flight is settled and its result taken; the writer's deadlines bound the time."""
        while self._in_flight is not None:
            self._settled.clear()
            await self._settled.wait()

    async def due(self) -> None:
        """Wait until it is time for a cut: at once when idle; under load after the interval, or when full."""
        while not self._is_due():
            if self._touched and self._in_flight is None:
                await asyncio.sleep(POLL_S)  # time passes, and the data plane falls silent: no event tells of it
            else:
                self._stirred.clear()
                await self._stirred.wait()

    async def cut(self, claim: Claim, partitions: Collection[int]) -> None:
        """Commit what is pending of ``partitions``.

        Raises:
            CutFailed: Memory is ahead of the log: drop the shards and rebuild them.
        """
        if self._in_flight is not None:
            raise AssertionError("one cut at a time")
        cut, started = self._collect(claim, partitions), time.monotonic()
        self._in_flight = asyncio.get_running_loop().run_in_executor(self._thread, self._writer.commit, cut)
        self._in_flight.add_done_callback(_take_note)
        try:
            await asyncio.shield(self._in_flight)
        except CutFailed:
            self.failures = self._stubborn.note(self._places(cut))
            raise
        finally:
            self._in_flight = None
            self._settled.set()
            self._stirred.set()
        self.last |= {shard.partition: LastCut(shard.record, len(shard.keys)) for shard in cut.shards}
        self._metrics.observe(CUT_SECONDS, time.monotonic() - started)
        self._metrics.observe(CUT_ROWS, cut.row_count)

    def close(self) -> None:
        """Stop the thread and drop the producer."""
        self._thread.shutdown(wait=True)
        self._writer.close()

    def _places(self, cut: Cut) -> dict[Partition, int]:
        """Where the sources stand that a cut would have moved; a claim moves none, and has no place of its own."""
        committed = {
            Partition(topic.full_name(self._settings.topic_prefix), p): applied.get(topic.name, 0)
            for p, applied in self._committed(cut).items()
            for topic in HOT_SOURCES
        }
        moved = {tp: at for tp, at in committed.items() if cut.offsets[tp] != at}
        return moved or (committed if cut.outputs else {})

    def _committed(self, cut: Cut) -> dict[int, dict[str, int]]:
        partitions = [shard.partition for shard in cut.shards if shard.partition in self.last]
        return {p: decode_shard_record(self.last[p].record, p).applied for p in partitions}

    def _is_due(self) -> bool:
        there = bool(self._touched) and self._in_flight is None
        return there and (self._is_idle() or self._is_old() or self._is_full())

    def _is_full(self) -> bool:
        rows = sum(self._engine.dirty_count(p) for p in self._touched)
        return max(rows, sum(map(len, self._outputs))) >= self._settings.cut_rows

    def _is_old(self) -> bool:
        return (time.monotonic() - self._since) * 1000 >= self._settings.cut_interval_ms

    def _collect(self, claim: Claim, partitions: Collection[int]) -> Cut:
        shards, offsets = [], {}
        for p in sorted(partitions):
            keys, rows = self._engine.snapshot(p)
            shards.append(ShardRows(p, encode_shard_record(self._record(claim, p)), keys, rows))
            for topic in HOT_SOURCES:
                tp = Partition(topic.full_name(self._settings.topic_prefix), p)
                offsets[tp] = self._shards[p].applied[topic.name]
        outputs = self._outputs
        self.forget()
        return Cut(claim, shards, outputs, offsets)

    def _record(self, claim: Claim, partition: int) -> ShardRecord:
        shard = self._shards[partition]
        return ShardRecord(
            format=FORMAT,
            transactional_id=self._settings.transactional_id,
            generation=claim.generation,
            applied=shard.applied,
            seen=shard.seen,
            now=shard.now,
            sequence=self._engine.sequence(partition),
            written_at=wall_ms(),
            refused=shard.refused_lately(),
            topic_ids=shard.topic_ids,
            alarms=shard.alarms,
            breaker=shard.breaker,
        )


def _take_note(cut: asyncio.Future[None]) -> None:
    """Whoever waited may have given up: the error of the cut is known, and no reason for asyncio to complain."""
    if not cut.cancelled():
        cut.exception()
