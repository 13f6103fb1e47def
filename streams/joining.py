"""Bring the shards of a claim here: keep those that still hold, rebuild the others from the log, claim them.

Kept shards go on at once, while the others are read in a thread. On the event loop, but for that.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import confluent_kafka as ck
import structlog

from streams.carefully import carefully
from streams.clock import wall_ms
from streams.controls import Controls
from streams.cutter import Cutter
from streams.errors import CutFailed
from streams.holdings import Holdings
from streams.log_reader import Cancelled
from streams.metrics import KEPT_SHARDS, REBUILD_SECONDS, REBUILT_SHARDS, Metrics
from streams.pipeline import Pipeline
from streams.takeover import Takeover
from streams.transport.identity import Claim

log = structlog.get_logger(__name__)

T = TypeVar("T")

RETRY_S = 0.2
GIVE_UP_S = 12.0
"""A takeover that was told to stop is waited for this long; it stops by itself, and its result is not used."""


class Joining:
    """One takeover at a time, for one claim."""

    def __init__(
        self,
        *,
        takeover: Takeover,
        pipeline: Pipeline,
        cutter: Cutter,
        holdings: Holdings,
        controls: Controls,
        metrics: Metrics,
        is_member: Callable[[Claim], bool],
        halt: Callable[[BaseException], None],
    ) -> None:
        """Wire the parts together; what they are says `streams.ownership`."""
        self._takeover = takeover
        self._pipeline = pipeline
        self._cutter = cutter
        self._holdings = holdings
        self._controls = controls
        self._metrics = metrics
        self._is_member = is_member
        self._halt = halt
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="takeover")
        self._void = threading.Event()
        self._task: asyncio.Task[None] | None = None

    def begin(self, claim: Claim) -> None:
        """Start. `stop` must have been called for the claim before."""
        self._void = threading.Event()
        self._task = asyncio.create_task(carefully(self._halt, self._join, claim, self._void.is_set))

    async def stop(self) -> None:
        """Make the claim void for the takeover. Bounded: one that does not stop in time finds out by itself."""
        self._void.set()
        task, self._task = self._task, None
        if task is not None and not task.done():
            await asyncio.wait([task], timeout=GIVE_UP_S)

    def close(self) -> None:
        """Stop the thread, within its requests' deadlines."""
        self._void.set()
        self._thread.shutdown(wait=True)

    async def _join(self, claim: Claim, void: Callable[[], bool]) -> None:
        started = time.monotonic()
        try:
            await self._keep(void)
            await self._complete(claim, void)
        except Cancelled:
            return
        self._metrics.observe(REBUILD_SECONDS, time.monotonic() - started)
        shards = sorted(self._holdings.shards)
        log.info("ready", shards=shards, seconds=round(time.monotonic() - started, 3))

    async def _keep(self, void: Callable[[], bool]) -> None:
        """Read on in the shards that the log confirms.

        No claim cut for these: the last record of each names our transactional id, and the next cut the claim.

        Raises:
            Cancelled: If the claim is void.
        """
        last_cuts = {partition: self._cutter.last[partition] for partition in self._holdings.parked}
        if not last_cuts:
            return
        started = time.monotonic()
        kept = await self._in_thread(self._takeover.confirm, last_cuts, void)
        _require_valid(void)
        self._holdings.unpark(kept.keys())
        for partition, controls in kept.items():
            self._pipeline.hear(self._holdings.shards[partition], controls)
        self._metrics.add(KEPT_SHARDS, len(kept))
        if kept:
            self._read_on()
        log.info("kept", shards=sorted(kept), seconds=round(time.monotonic() - started, 3))

    async def _complete(self, claim: Claim, void: Callable[[], bool]) -> None:
        """Take over what is not here yet: again until it works, or the claim is void.

        Raises:
            Cancelled: If the claim is void. Whoever made it so drops or parks the shards.
        """
        while self._holdings.being_read != claim.partitions:
            try:
                await self._cutter.open()
                await self._rebuild(claim, void)
            except (CutFailed, ck.KafkaException) as error:
                log.warning("takeover_failed", error=str(error), generation=claim.generation)
                if isinstance(error, CutFailed):  # memory is ahead of the log
                    self._cutter.forget()
                    self._holdings.drop()
                if not self._is_member(claim):
                    raise Cancelled from error
                await asyncio.sleep(RETRY_S)
            else:
                _require_valid(void)
                self._read_on()

    async def _rebuild(self, claim: Claim, void: Callable[[], bool]) -> None:
        """The claim cut puts our transactional id into every new shard's log before the first work on it."""
        _require_valid(void)
        new = claim.partitions - self._holdings.shards.keys()
        if not new:
            return
        logs = await self._in_thread(self._takeover.read, new, void)
        async with self._cutter.turn:
            _require_valid(void)
            for partition in list(logs):  # what is restored makes room
                self._holdings.shards[partition] = self._pipeline.restore(logs.pop(partition), wall_ms())
                self._controls.apply(partition)
            await self._cutter.cut(claim, self._cutter.touched | new)
        self._metrics.add(REBUILT_SHARDS, len(new))

    async def _in_thread(self, ask: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, ask, *arguments)

    def _read_on(self) -> None:
        self._holdings.read_on()
        for partition in self._holdings.shards:
            self._controls.apply(partition)


def _require_valid(void: Callable[[], bool]) -> None:
    if void():
        raise Cancelled
