"""The places where Faust is hooked: the only module that touches private names of Faust and aiokafka.

What changes for hot topics, against Faust's stock aiokafka driver:

- aiokafka never fetches them: they are paused as soon as they are assigned.
- The data plane delivers them, batch by batch, through Faust's own conductor to the agents.
- Faust's commit bookkeeping never sees them (``acks=False`` at their topics): their offsets are part of the cut's
  transaction.
- Giving partitions up (rebalance, shutdown) first lets the owner finish its cut (`wait_empty`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import faust
import structlog
from faust.transport import drivers
from faust.transport.drivers import aiokafka as stock
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from streams.errors import TopicMismatch
from streams.transport.data_plane import DataPlane
from streams.transport.identity import Claim
from streams.transport.record_batch import RecordBatch

IDLE_S = 0.001
STANDBY_S = 0.005
WAIT_EMPTY_S = 5.0
"""Faust commits what its own consumer has read, without an end while the broker does not answer."""

log = structlog.get_logger(__name__)


class ShardOwner(Protocol):
    """Who owns the shards of the partitions that this worker is assigned."""

    async def on_assigned(self, claim: Claim) -> None:
        """Take the claim's shards over. Returns at once; the work goes on in a task."""

    async def on_giving_up(self) -> None:
        """Finish the cut and let go of every shard. Bounded in time."""

    async def settle(self) -> None:
        """Return once no cut is in flight. What arrives meanwhile is one batch, and not many small ones."""

    def on_polled(self, batches: Sequence[RecordBatch]) -> None:
        """Batches that arrived together are on their way to their agents."""

    def on_failure(self, error: BaseException) -> None:
        """The data plane cannot go on: stop the process, lose nothing."""


class HybridApp(faust.App):  # type: ignore[misc]  # Faust's classes are untyped
    """A Faust app whose hot topics come through the data plane. All three are set before it starts."""

    hot_topics: frozenset[str] = frozenset()
    data_plane: DataPlane
    owner: ShardOwner

    async def on_first_start(self) -> None:
        """Make no folders, as Faust would: nothing of ours is a file, and the disk may be full or read-only."""


class HybridConsumerThread(stock.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The control plane's thread: it alone may ask the coordinator who we are."""

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Pause the hot partitions and take the claim, before anything else can happen."""
        hot = [stock.ensure_aiokafka_TP(tp) for tp in assigned if tp.topic in self.app.hot_topics]
        if hot:
            self._ensure_consumer().pause(*hot)
        self.consumer.claim = self._claim(assigned, generation_id)
        await super().on_partitions_assigned(assigned, generation_id)

    def _claim(self, assigned: set[TP], generation: int) -> Claim | None:
        by_topic = {topic: {tp.partition for tp in assigned if tp.topic == topic} for topic in self.app.hot_topics}
        shares = {frozenset(partitions) for partitions in by_topic.values()}
        if len(shares) != 1:
            self.app.owner.on_failure(TopicMismatch(_not_together(by_topic)))
            return None
        member = self._ensure_consumer()._coordinator.member_id  # noqa: SLF001
        return Claim(self.app.conf.id, generation, member, shares.pop())

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Leave the hot partitions out of Faust's livelock detector: it looks for aiokafka's fetches."""
        if tp.topic not in self.app.hot_topics:
            super().verify_event_path(now, tp)


def _not_together(by_topic: Mapping[str, set[int]]) -> str:
    """Faust assigns topics with the same number of partitions together, and others apart."""
    shares = "; ".join(f"{topic}: {sorted(partitions)}" for topic, partitions in sorted(by_topic.items()))
    return (
        f"the partitions of our sources were not assigned together ({shares}). A topic has got more partitions than "
        "the others, and its keys have moved: run `repricer topics check`, and create it anew."
    )


class HybridConsumer(stock.Consumer):  # type: ignore[misc]
    """Faust's consumer, with the data plane beside aiokafka."""

    claim: Claim | None = None

    def _new_consumer_thread(self) -> HybridConsumerThread:
        return HybridConsumerThread(self, loop=self.loop, beacon=self.beacon)

    def is_member(self, claim: Claim) -> bool:
        """Whether the group still knows us as it did when the claim was taken."""
        coordinator = self._thread._ensure_consumer()._coordinator  # noqa: SLF001
        return bool(coordinator.generation == claim.generation and coordinator.member_id == claim.member)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Let Faust do its part, then hand the claim to the owner of the shards."""
        await super().on_partitions_assigned(assigned, generation_id)
        if self.claim is not None:
            await self.app.owner.on_assigned(self.claim)

    async def wait_empty(self) -> None:
        """Called before partitions are given up, when the flow is stopped and the agents' queues are empty."""
        await self.app.owner.on_giving_up()
        try:
            async with asyncio.timeout(WAIT_EMPTY_S):
                await super().wait_empty()
        except TimeoutError:  # a dead broker: run modes are read again, and hot offsets are none of Faust's business
            log.warning("offsets_not_committed", seconds=WAIT_EMPTY_S)

    async def _commit(self, offsets: Any) -> bool:
        """Commit what the control plane has read; a hot topic's offset here would overrule that of a cut."""
        strays = [tp for tp in offsets if tp.topic in self.app.hot_topics]
        if strays:
            self.app.owner.on_failure(RuntimeError(f"Faust would commit offsets of hot topics: {strays}"))
        return bool(await super()._commit(offsets))

    def on_buffer_full(self, tp: TP) -> None:
        """Let the conductor's blocking put be the back-pressure of hot topics."""
        if tp.topic not in self.app.hot_topics:
            super().on_buffer_full(tp)

    async def _drain_messages(self, fetcher: Any) -> None:
        deliveries = asyncio.ensure_future(self._deliver_batches(fetcher))
        try:
            await super()._drain_messages(fetcher)
        finally:
            deliveries.cancel()
            await asyncio.wait([deliveries])

    async def _deliver_batches(self, fetcher: Any) -> None:
        """Carry batches from the data plane to the agents, for as long as Faust's fetcher runs."""
        plane: DataPlane = self.app.data_plane
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):  # noqa: SLF001
                if not (self.flow_active and plane.assigned):
                    await asyncio.sleep(STANDBY_S)
                    continue
                batches = plane.poll()
                self.app.owner.on_polled(batches)
                for batch in batches:
                    if batch.epoch != plane.epoch or not self.flow_active:
                        break  # given up meanwhile: whoever takes over reads these records again
                    await self._deliver(batch)
                if plane.full:
                    await asyncio.sleep(0)
                else:  # what is applied while a cut is under way waits for the next one all the same
                    await asyncio.sleep(IDLE_S)
                    await self.app.owner.settle()
        except Exception as error:  # noqa: BLE001  # whatever it is, the worker must stop instead of idling
            self.app.owner.on_failure(error)

    async def _deliver(self, batch: RecordBatch) -> None:
        tp = TP(batch.topic, batch.partition)
        message = ConsumerMessage(
            batch.topic,
            batch.partition,
            batch.next_offset - 1,
            timestamp=0.0,
            timestamp_type=0,
            headers=None,
            key=None,
            value=batch,
            checksum=None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        await self.wait_first(self.callback(message), self.suspend_flow.wait())


class HybridTransport(stock.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with the hybrid consumer."""

    Consumer = HybridConsumer


drivers.TRANSPORTS.aliases["hybrid+kafka"] = f"{__name__}:HybridTransport"
