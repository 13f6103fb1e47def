"""The shards in memory: those that are read, and those that were given up and may be ours again in a moment."""

from __future__ import annotations

from collections.abc import Collection

from pricing_core.engine import PricingEngine
from schemas.topics import HOT_SOURCES
from streams.metrics import READY_SHARDS, Metrics
from streams.settings import Settings
from streams.shard import Shard
from streams.transport.data_plane import DataPlane
from streams.transport.partition import Partition
from streams.transport.record_batch import RecordBatch


class Holdings:
    """Shards and where the data plane stands in them. On the event loop only; nothing here waits."""

    def __init__(self, settings: Settings, *, engine: PricingEngine, data_plane: DataPlane, metrics: Metrics) -> None:
        self._prefix = settings.topic_prefix
        self._engine = engine
        self._plane = data_plane
        self._metrics = metrics
        self._epoch = -1
        self._parked: dict[int, Shard] = {}
        self.shards: dict[int, Shard] = {}
        """Shards that steps may move."""
        self.being_read: frozenset[int] | None = None
        """Partitions that the data plane reads; None while it reads nothing for us."""
        self.queued = 0
        """Batches on their way to their agents."""

    @property
    def parked(self) -> frozenset[int]:
        """Shards that were given up in order. Nobody may move them before the log has shown that they still hold."""
        return frozenset(self._parked)

    @property
    def epoch(self) -> int:
        """Of batches that are current; -1 while none is."""
        return self._epoch

    def is_current(self, batch: RecordBatch) -> bool:
        """Whether a batch was fetched for a shard as it stands now."""
        return batch.epoch == self._epoch and batch.partition in self.shards

    def read_on(self) -> None:
        """Read every shard from where it stands. What was fetched before and not applied is void."""
        positions = {
            Partition(topic.full_name(self._prefix), p): shard.applied[topic.name]
            for topic in HOT_SOURCES
            for p, shard in self.shards.items()
        }
        self._epoch = self._plane.assign(positions)
        self.being_read, self.queued = frozenset(self.shards), 0
        self._metrics.set(READY_SHARDS, len(self.shards))

    def stop_reading(self) -> None:
        """Read nothing more; what was fetched and not applied is void."""
        self._plane.assign({})
        self._epoch, self.being_read, self.queued = -1, None, 0
        self._metrics.set(READY_SHARDS, 0)

    def park(self) -> None:
        """Give every shard up, and remember it: an eager rebalance takes all and gives most of them back."""
        self.stop_reading()
        self._parked.update(self.shards)
        self.shards.clear()

    def unpark(self, partitions: Collection[int]) -> None:
        """Take parked shards back, and forget the other ones."""
        for partition in partitions:
            self.shards[partition] = self._parked.pop(partition)
            self.shards[partition].at_end.clear()  # no longer known: records may have come meanwhile
        self.keep_parked(())

    def keep_parked(self, partitions: Collection[int]) -> None:
        """Forget the parked shards that are not among ``partitions``."""
        for partition in self.parked - set(partitions):
            del self._parked[partition]
            self._engine.drop_shard(partition)

    def drop(self) -> None:
        """Forget every shard: what is not in the log did not happen."""
        self.stop_reading()
        for partition in self._engine.shards:
            self._engine.drop_shard(partition)
        self.shards.clear()
        self._parked.clear()
