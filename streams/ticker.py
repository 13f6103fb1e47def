"""Event time goes on although nothing happens: the leader publishes it to every partition."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import confluent_kafka as ck
import orjson

from schemas.timestamps import format_ms
from schemas.topics import TICKS
from streams.clock import wall_ms
from streams.settings import Settings

LEADER_PARTITION = 0
"""Whoever owns it publishes the ticks. Two leaders for a moment do no harm: a tick only says how late it is."""


class Ticker:
    """Publishes a tick to every partition at the settings' interval, while ``is_leader`` says so."""

    def __init__(self, settings: Settings, *, is_leader: Callable[[], bool]) -> None:
        self._interval = settings.tick_interval_s
        self._topic = TICKS.full_name(settings.topic_prefix)
        self._partitions = settings.partitions
        self._is_leader = is_leader
        self._producer = ck.Producer(settings.producer_config())

    async def run(self) -> None:
        """Tick until cancelled."""
        try:
            while self._interval:
                await asyncio.sleep(self._interval)
                if self._is_leader():
                    self._tick(wall_ms())
                self._producer.poll(0)
        finally:
            self._producer.purge()  # a tick that has not gone out is no longer true

    def _tick(self, at: int) -> None:
        value = orjson.dumps({"at": format_ms(at)})
        for partition in range(self._partitions):
            self._producer.produce(self._topic, value, partition=partition)
