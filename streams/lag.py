"""How far behind the worker is, in records and in seconds."""

from __future__ import annotations

import asyncio
import time

from schemas.topics import HOT_SOURCES
from streams.metrics import LAG_RECORDS, LAG_SECONDS, QUEUE_DEPTH, Metrics
from streams.ownership import Ownership
from streams.settings import Settings
from streams.transport.data_plane import DataPlane, Partition

INTERVAL_S = 1.0


class LagGauge:
    """Measures the distance between what is applied and what the log holds, once a second."""

    def __init__(self, settings: Settings, plane: DataPlane, ownership: Ownership, metrics: Metrics) -> None:
        self._prefix = settings.topic_prefix
        self._plane = plane
        self._ownership = ownership
        self._metrics = metrics

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self.measure()
            await asyncio.sleep(INTERVAL_S)

    def measure(self) -> None:
        """Set the gauges of every partition that is being read."""
        self._metrics.set(QUEUE_DEPTH, self._ownership.queued)
        wall = time.time_ns() // 1_000_000
        for partition, shard in self._ownership.shards.items():
            for topic in HOT_SOURCES:
                end = self._plane.high_watermark(Partition(topic.full_name(self._prefix), partition))
                at_end = topic.name in shard.at_end
                records = 0 if at_end else max(0, end - shard.applied[topic.name])
                self._metrics.set(LAG_RECORDS, records, topic.name, str(partition))
                seconds = (wall - shard.seen[topic.name]) / 1000 if records and topic.name in shard.seen else 0.0
                self._metrics.set(LAG_SECONDS, seconds, topic.name, str(partition))
