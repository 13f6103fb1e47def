"""What a person says to all shards: one record to each partition of ``pricing-control``, and the last words on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaError, Producer

from schemas.topics import PRICING_CONTROL
from streams.errors import BrokerUnreachable
from streams.operate.reading import pages_of
from streams.settings import Settings
from streams.topic_admin import require

TIMEOUT_S = 15.0


def to_every_partition(settings: Settings, key: bytes, value: bytes, *, what: str) -> int:
    """Publish a record to every partition, and wait until all have it.

    Returns:
        Number of partitions.

    Raises:
        TopicMismatch: the topics are not as they must be.
        BrokerUnreachable: not every partition has acknowledged; say it again.
    """
    partitions = require(settings)
    producer = Producer({**settings.producer_config(), "log_level": 0, "message.timeout.ms": int(TIMEOUT_S * 1000)})
    failed: dict[int, str] = {}

    def on_delivery(error: KafkaError | None, record: Any) -> None:
        if error is not None:
            failed[record.partition()] = error.str()

    for partition in range(partitions):
        topic = PRICING_CONTROL.full_name(settings.topic_prefix)
        producer.produce(topic, value, key, partition=partition, on_delivery=on_delivery)
    if producer.flush(TIMEOUT_S + 5) or failed:
        raise BrokerUnreachable(f"{what} may not have reached partitions {sorted(failed) or 'of a silent broker'}")
    return partitions


def heard(settings: Settings) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """Yield partition, key and value of all that was said and is not compacted yet, in order within a partition.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: the topic is missing.
    """
    for tp, records in pages_of(settings, PRICING_CONTROL):
        for _, key, value in records:
            yield tp.partition, key, value
