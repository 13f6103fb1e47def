"""A worker as `streams.app` builds it: the real owner of shards, in a simulated process.

What Faust and aiokafka do around it is written again in the fewest words: membership with heartbeats beside everything
else, partitions given up before joining again, batches carried from the data plane to one agent for each topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from schemas.topics import CHANGELOG, HOT_SOURCES, PRICING_CONTROL
from streams.carefully import carefully
from streams.ownership import Ownership
from streams.settings import Settings
from streams.shard import WINDOWED
from streams.takeover import Takeover
from streams.transaction import TransactionWriter
from streams.transport.data_plane import DataPlane
from streams.transport.identity import Claim
from tests.simulation.event_loop import EventLoop
from tests.simulation.network import Code, Network, Outcome
from tests.simulation.toy import ToyPipeline
from tests.simulation.world import Gone, Process

HEARTBEAT_S = 1.0
BUSY_S, IDLE_S, CONTROL_S = 0.03, 0.2, 0.1
QUEUED_BATCHES = 4
LOST = frozenset({Code._TRANSPORT, Code._TIMED_OUT})


class NoMetrics:
    """What nobody looks at here."""

    def add(self, *_: Any) -> None:
        pass

    observe = set = add


class Worker:
    """One life of one worker process."""

    def __init__(self, network: Network, process: Process, settings: Settings, controls: dict[int, int]) -> None:
        """Build it as `streams.app.Worker` does.

        Args:
            network: The way to the broker.
            process: Where it lives.
            settings: Its own.
            controls: What the group has acknowledged of pricing-control, by partition; shared by all workers.
        """
        self._network, self.process, self._settings = network, process, settings
        self._controls = controls
        self.loop = EventLoop(network.world, process)
        self.faults: list[BaseException] = []
        self.deaf_until = 0.0
        """No heartbeat goes out before, and nobody notices."""
        self.generation, self.member = -1, ""
        self._rejoin = asyncio.Event()
        self._joining = self._stopping = self._flow = False
        self._heard: dict[int, int] = {}
        """Positions in pricing-control."""
        self._queues: dict[str, asyncio.Queue[Any]] = {}
        self.pipeline = ToyPipeline(settings)
        self.plane = DataPlane(settings.consumer_config(), max_records=settings.batch_records)
        self.ownership = self._build_ownership()
        self.loop.call_soon(self._start)

    def stop(self) -> None:
        """SIGTERM."""
        self._stopping = True
        self.loop.call_soon(self._rejoin.set)

    def _build_ownership(self) -> Ownership:
        settings, process = self._settings, self.process
        return Ownership(
            settings,
            pipeline=self.pipeline,  # type: ignore[arg-type]
            takeover=Takeover(settings, windowed=WINDOWED),
            writer=TransactionWriter(
                settings.producer_config(),
                transactional_id=settings.transactional_id,
                changelog=CHANGELOG.full_name(settings.topic_prefix),
                transaction_timeout_s=settings.transaction_timeout_s,
                at_point=lambda name: self._network.point(process, name),
            ),
            data_plane=self.plane,
            metrics=NoMetrics(),  # type: ignore[arg-type]
            is_member=self._is_member,
            halt=self._halt,
        )

    def _is_member(self, claim: Claim) -> bool:
        return (claim.generation, claim.member) == (self.generation, self.member)

    def _halt(self, error: BaseException) -> None:
        if self.process.dead:
            raise error
        self.faults.append(error)
        self._network.world.note(self.process.name, f"halted: {error!r}")
        self._network.world.kill(self.process)
        raise Gone

    def _start(self) -> None:
        for topic in HOT_SOURCES:
            queue = self._queues[topic.full_name(self._settings.topic_prefix)] = asyncio.Queue(QUEUED_BATCHES)
            self._run(partial(self._agent, queue))
        for work in (self._belong, self._beat, self._deliver, self._follow_controls):
            self._run(work)

    def _run(self, work: Callable[[], Any]) -> None:
        async def run() -> None:
            await carefully(self._halt, work)

        self.loop.create_task(run())

    # membership
    async def _belong(self) -> None:
        while not self._stopping:
            await self._join()
            if not self._stopping:
                await self._rejoin.wait()
            await self._give_up()
        await self._ask("leave", lambda: self._network.broker.group.leave(self.member))
        await self.loop.threads_done()
        self.ownership.close()
        self._network.world.note(self.process.name, "stopped")
        self._network.world.kill(self.process)

    async def _give_up(self) -> None:
        self._flow = False  # what waits in queues stays there: the owner has to know that it is void
        await self.ownership.on_giving_up()

    async def _join(self) -> None:
        """Join, and learn what is ours; again until both succeed in one generation."""
        group, self._joining = self._network.broker.group, True
        while True:
            self._rejoin.clear()
            member = self.member
            joined = await self._ask("join", _answering(lambda answer, m=member: group.join(m, answer)), later=True)
            if joined.code is None:
                self.generation, self.member = joined.value
                mine = await self._ask("sync", lambda: group.sync(self.generation, self.member))
                if mine.code is None:
                    break
                joined = mine
            self._heed(joined.code)
            await asyncio.sleep(0.1)
        self._joining = False
        self._heard.clear()
        await self.ownership.on_assigned(
            Claim(self._settings.group, self.generation, self.member, frozenset(mine.value))
        )
        self._flow = True

    async def _beat(self) -> None:
        group = self._network.broker.group
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self.generation >= 0 and self.loop.time() >= self.deaf_until and not self._joining:
                asked = self.generation, self.member
                outcome = await self._ask("heartbeat", lambda asked=asked: group.heartbeat(*asked))
                if asked == (self.generation, self.member):
                    self._heed(outcome.code)

    def _heed(self, code: int | None) -> None:
        if code is None or code in LOST:
            return
        if code != Code.REBALANCE_IN_PROGRESS:
            self.generation, self.member = -1, ""  # what aiokafka does
        self._rejoin.set()

    async def _ask(self, name: str, serve: Callable[..., Any], **held: bool) -> Outcome:
        return await self._network.ask(self.process, name, serve, **held)

    # records
    async def _deliver(self) -> None:
        """As `streams.transport.hybrid.HybridConsumer` does."""
        while True:
            if not (self._flow and self.plane.assigned):
                await asyncio.sleep(BUSY_S)
                continue
            batches = self.plane.poll()
            self.ownership.on_polled(batches)
            for batch in batches:
                if batch.epoch != self.plane.epoch or not self._flow:
                    break
                await self._queues[batch.topic].put(batch)
            await asyncio.sleep(IDLE_S if self.plane.quiet else BUSY_S)

    async def _agent(self, queue: asyncio.Queue[Any]) -> None:
        while True:
            await self.ownership.process(await queue.get())

    async def _follow_controls(self) -> None:
        """Record by record from where the group has acknowledged, as Faust's own consumer does."""
        topic = PRICING_CONTROL.full_name(self._settings.topic_prefix)
        while True:
            await asyncio.sleep(CONTROL_S)
            claim = self.ownership.claim
            for partition in sorted(claim.partitions) if claim is not None and self._flow else ():
                log = self._network.broker.logs[topic, partition]
                start = self._heard.setdefault(partition, self._controls[partition])
                for offset, record in log.read(start, 10, committed=True)[0]:
                    await self.ownership.control(partition, offset, record.key, record.value)
                    self._heard[partition] = offset + 1
                    if self._network.broker.group.is_member(self.generation, self.member):
                        self._controls[partition] = offset + 1


def _answering(ask: Callable[[Callable[[Any], None]], None]) -> Callable[[Callable[[Outcome], None]], None]:
    """Turn what the group says (an error code, or generation and member) into an outcome."""

    def serve(answer: Callable[[Outcome], None]) -> None:
        ask(lambda said: answer(Outcome(code=said) if isinstance(said, int) else Outcome(said)))

    return serve
