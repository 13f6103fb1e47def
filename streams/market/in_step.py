"""How far workers and catalog are: a market that waits for them runs its course on a slow machine as on a fast one.

Without that prices would hold from a later period on than the catalog says, and sales would count to other prices.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from threading import Event
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np
import structlog

from schemas.topics import PRICE_CHANGES, TICKS
from streams.market.broker import AppliedPrices
from streams.market.events import OfferName
from streams.settings import Settings

LOOK_S = 0.02
REQUEST_S = 15.0
AT_ONCE = 10_000
ANSWER_S = 10.0
"""A catalog that does not answer for longer is not waited for."""

log = structlog.get_logger(__name__)


class _Change(msgspec.Struct, frozen=True, gc=False):
    version: int


class InStep:
    """Waits until what was published is decided, and what was decided is shown."""

    def __init__(self, settings: Settings, partitions: int, names: Sequence[OfferName], applied: AppliedPrices) -> None:
        self._applied = applied
        self._rows = {name.key: row for row, name in enumerate(names)}
        self._asked = np.zeros(len(names), np.int64)
        """Version of the last price change of each offer."""
        self._decode = msgspec.json.Decoder(_Change).decode
        self._workers: Any = ck.Consumer(settings.consumer_config())  # asks for the group's offsets, and never joins
        self._changes: Any = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.topic_prefix}-market"})
        ticks, changes = (topic.full_name(settings.topic_prefix) for topic in (TICKS, PRICE_CHANGES))
        self._ticks = [ck.TopicPartition(ticks, partition) for partition in range(partitions)]
        self._places = [ck.TopicPartition(changes, partition, ck.OFFSET_BEGINNING) for partition in range(partitions)]
        self._changes.assign(self._places)

    def wait(self, stopping: Event) -> None:
        """Wait for the workers and then for the catalog, or until somebody stops it.

        Raises:
            confluent_kafka.KafkaException: The broker does not say.
        """
        ticks = self._ends(self._ticks)  # a tick comes behind all events of its period
        while self._is_behind(ticks) and not stopping.wait(LOOK_S):
            pass
        changes, deadline = self._ends(self._places), time.monotonic() + ANSWER_S
        while self._is_unanswered(changes) and not stopping.wait(LOOK_S):
            if time.monotonic() > deadline:
                log.warning("price changes without an answer", offers=int((self._asked > self._applied.versions).sum()))
                return

    def close(self) -> None:
        """Stop asking."""
        self._workers.close()
        self._changes.close()

    def _ends(self, places: Sequence[ck.TopicPartition]) -> list[int]:
        return [self._workers.get_watermark_offsets(place, REQUEST_S)[1] for place in places]

    def _is_behind(self, ends: Sequence[int]) -> bool:
        committed = self._workers.committed(self._ticks, REQUEST_S)
        return any(max(place.offset, 0) < end for place, end in zip(committed, ends, strict=True))

    def _is_unanswered(self, ends: Sequence[int]) -> bool:
        for record in self._changes.consume(AT_ONCE, 0.0):
            row = self._rows.get(record.key()) if record.error() is None else None
            if row is not None:
                self._asked[row] = self._decode(record.value()).version
        self._applied.read()
        read = [max(place.offset, 0) for place in self._changes.position(self._places)]
        # the last offset of a transaction is its marker, which nobody reads
        unread = any(end - at > 1 for end, at in zip(ends, read, strict=True))
        return unread or bool((self._asked > self._applied.versions).any())
