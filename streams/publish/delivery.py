"""Records to Kafka, at full speed or at the pace of their event time, and an honest count of what arrived."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import confluent_kafka as ck

from schemas.cloud_events import EventType, Headers
from streams.errors import RepricerError
from streams.publish.convert import Records
from streams.settings import Settings

QUEUE_BYTES = 64 * 1024 * 1024
QUEUE_MESSAGES = 100_000
GIVE_UP_MS = 60_000
"""A record that no broker took within this time is an error."""
_POLL_S = 0.1


class NotDelivered(RepricerError):
    """The broker did not take all records."""


class Pace:
    """Lets event time pass ``speedup`` times as fast as the clock on the wall."""

    def __init__(self, speedup: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._speedup = speedup
        self._clock = clock
        self._first: tuple[float, int] | None = None

    def seconds_until(self, event_ms: int) -> float:
        """How long to wait before an event of this time; the first one fixes the beginning."""
        if self._first is None:
            self._first = (self._clock(), event_ms)
        began, first_ms = self._first
        return began + (event_ms - first_ms) / 1000 / self._speedup - self._clock()


class Delivery:
    """Publishes to one topic."""

    def __init__(
        self, settings: Settings, topic: str, event_type: EventType, source: str, *, pace: Pace | None = None
    ) -> None:
        self._topic = topic
        self._event_type = event_type
        self._source = source
        self._pace = pace
        self._sent = 0
        self._failed = 0
        self._error: ck.KafkaError | None = None
        self._producer = ck.Producer(
            {
                **settings.producer_config(),
                "linger.ms": 20,
                "message.timeout.ms": GIVE_UP_MS,
                "queue.buffering.max.kbytes": QUEUE_BYTES // 1024,
                "queue.buffering.max.messages": QUEUE_MESSAGES,
                "delivery.report.only.error": True,
            }
        )

    def send(self, records: Records) -> None:
        """Publish records, in their order. Returns when librdkafka has them, which is before the broker has.

        Raises:
            NotDelivered: the broker refused a record, of this call or an earlier one.
        """
        for key, value, event_id, at in zip(
            records.keys, records.values, records.event_ids, records.times, strict=True
        ):
            self._wait_for(at)
            self._produce(key, value, self._event_type.headers(event_id=event_id, source=self._source, time_ms=at))
        self._producer.poll(0)
        self._require_success()

    def finish(self) -> int:
        """Wait until the broker has everything.

        Returns:
            Number of records delivered.

        Raises:
            NotDelivered: it does not have everything.
        """
        while self._producer.flush(_POLL_S) and self._error is None:
            pass  # each record ends within GIVE_UP_MS, one way or the other
        self._require_success()
        return self._sent

    def _produce(self, key: bytes, value: bytes, headers: Headers) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, headers=headers, on_delivery=self._on_error)
            except BufferError:  # the queue is full: back-pressure
                self._producer.poll(_POLL_S)
                self._require_success()
            except ck.KafkaException as error:
                self._error = error.args[0]
                self._require_success()
            else:
                self._sent += 1
                return

    def _wait_for(self, at: int) -> None:
        while self._pace is not None and (wait := self._pace.seconds_until(at)) > 0:
            self._producer.poll(min(wait, _POLL_S))
            self._require_success()

    def _on_error(self, error: ck.KafkaError | None, _: Any) -> None:
        if error is not None:
            self._failed += 1
            self._error = self._error or error

    def _require_success(self) -> None:
        if self._error is None:
            return
        waiting = len(self._producer)
        raise NotDelivered(
            f"{self._topic}: {self._error.str()}; {self._sent - self._failed - waiting} records were delivered, "
            f"{self._failed} refused, {waiting} given up. Mend it and run the same command again: event ids stay the "
            "same, so the worker recognises what it has"
        )
