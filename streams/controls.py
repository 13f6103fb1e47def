"""Run modes that arrive while shards come and go: none is lost, and none moves a shard that nobody may move."""

from __future__ import annotations

from schemas.topics import PRICING_CONTROL
from streams.clock import wall_ms
from streams.cutter import Cutter
from streams.holdings import Holdings
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.transport.partition import Partition
from streams.transport.record_batch import RecordBatch


class Controls:
    """Records of ``pricing-control`` on their way to their shards."""

    def __init__(self, settings: Settings, *, pipeline: Pipeline, cutter: Cutter, holdings: Holdings) -> None:
        self._topic = PRICING_CONTROL.full_name(settings.topic_prefix)
        self._pipeline = pipeline
        self._cutter = cutter
        self._holdings = holdings
        self._waiting: dict[int, list[RecordBatch]] = {}

    def hear(self, partition: int, offset: int, key: bytes | None, value: bytes | None) -> None:
        """Set the run mode of a shard, or as soon as the shard is here: a takeover may have read the log before."""
        place = Partition(self._topic, partition)
        batch = RecordBatch.of(place, [(offset, key, value)], first_offset=offset, next_offset=offset + 1)
        self._waiting.setdefault(partition, []).append(batch)
        if self._holdings.being_read is not None:  # else shards are being given up, and their last cut is made
            self.apply(partition)

    def apply(self, partition: int) -> None:
        """Apply what waits for a shard, if it is here. A record that says nothing becomes a dead letter."""
        shard = self._holdings.shards.get(partition)
        if shard is not None:
            for batch in self._waiting.pop(partition, []):
                self._cutter.add(partition, self._pipeline.control(shard, batch, wall_ms()))
