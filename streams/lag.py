"""How far behind the worker is: in records, in seconds, in answers of the catalog."""

from __future__ import annotations

import asyncio

from schemas.topics import HOT_SOURCES
from streams.clock import wall_ms
from streams.metrics import (
    LAG_RECORDS,
    LAG_SECONDS,
    PENDING_CHANGES,
    QUEUE_DEPTH,
    RUNG_OFFERS,
    STATE_OFFERS,
    STOPPED_SHARDS,
    Metrics,
)
from streams.ownership import Ownership
from streams.settings import Settings
from streams.transport.data_plane import DataPlane
from streams.transport.partition import Partition

INTERVAL_S = 1.0


class LagGauge:
    """Measures the distance between what is applied and what the log holds, once a second."""

    def __init__(self, settings: Settings, plane: DataPlane, ownership: Ownership, metrics: Metrics) -> None:
        self._prefix = settings.topic_prefix
        self._plane = plane
        self._ownership = ownership
        self._metrics = metrics
        self._measured: set[tuple[str, str]] = set()

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            self.measure()
            await asyncio.sleep(INTERVAL_S)

    def measure(self) -> None:
        """Set the gauges of every partition that is being read."""
        self._metrics.set(QUEUE_DEPTH, self._ownership.queued)
        self._metrics.set(PENDING_CHANGES, self._ownership.pending_changes)
        offers = self._ownership.offers
        self._metrics.set(STATE_OFFERS, sum(offers.values()))
        for rung, count in offers.items():
            self._metrics.set(RUNG_OFFERS, count, rung)
        wall = wall_ms()
        measured = set()
        for partition, shard in self._ownership.shards.items():
            for topic in HOT_SOURCES:
                end = self._plane.high_watermark(Partition(topic.full_name(self._prefix), partition))
                behind = 0 if topic.name in shard.at_end else max(0, end - shard.applied[topic.name])
                seconds = (wall - shard.seen[topic.name]) / 1000 if behind and topic.name in shard.seen else 0.0
                labels = topic.name, str(partition)
                self._metrics.set(LAG_RECORDS, behind, *labels)
                self._metrics.set(LAG_SECONDS, seconds, *labels)
                measured.add(labels)
        for labels in self._measured - measured:
            self._metrics.forget(LAG_RECORDS, *labels)
            self._metrics.forget(LAG_SECONDS, *labels)
        self._measured = measured
        self._metrics.set(STOPPED_SHARDS, self._ownership.stopped)
