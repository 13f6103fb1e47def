"""How far the workers have read: a market that waits for them runs its course on a slow machine as on a fast one."""

from __future__ import annotations

from threading import Event
from typing import Any

import confluent_kafka as ck

from schemas.topics import TICKS
from streams.settings import Settings

LOOK_S = 0.05
REQUEST_S = 15.0


class Workers:
    """The workers' group, as the broker knows it. A tick comes behind all events of its period."""

    def __init__(self, settings: Settings, partitions: int) -> None:
        name = TICKS.full_name(settings.topic_prefix)
        self._consumer: Any = ck.Consumer(settings.consumer_config())  # asks for the group's offsets, and never joins
        self._ticks = [ck.TopicPartition(name, partition) for partition in range(partitions)]

    def wait(self, stopping: Event) -> None:
        """Wait until they have committed every tick, or until somebody stops it.

        Raises:
            confluent_kafka.KafkaException: The broker does not say.
        """
        ends = [self._consumer.get_watermark_offsets(tick, REQUEST_S)[1] for tick in self._ticks]
        while self._behind(ends) and not stopping.wait(LOOK_S):
            pass

    def close(self) -> None:
        """Stop asking."""
        self._consumer.close()

    def _behind(self, ends: list[int]) -> bool:
        committed = self._consumer.committed(self._ticks, REQUEST_S)
        return any(max(place.offset, 0) < end for place, end in zip(committed, ends, strict=True))
