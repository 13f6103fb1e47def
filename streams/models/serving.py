"""By which model each shard decided last: whether the workers follow what is live."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import confluent_kafka as ck
import msgspec

from schemas.topics import PRICE_DECISIONS
from streams.settings import Settings
from streams.topic_presence import require_present

LAST = 100
"""Offsets at the end of a partition, some of which are records and not markers of transactions."""
DEADLINE_S = 3.0
REQUEST_S = 10.0


class _Decision(msgspec.Struct, frozen=True, gc=False):
    model: str


class Decided(NamedTuple):
    """The last decision of a shard."""

    model: str
    """Label."""
    at_ms: int
    """Wall clock of the broker."""


def last_decided(settings: Settings) -> Mapping[int, Decided]:
    """Look at the last decision of each shard that has made one.

    Raises:
        TopicMismatch: The topic is missing.
        BrokerUnreachable: No broker answered.
        confluent_kafka.KafkaException: It does not say.
    """
    partitions = require_present(settings, (PRICE_DECISIONS,))
    topic, decode = PRICE_DECISIONS.full_name(settings.topic_prefix), msgspec.json.Decoder(_Decision).decode
    consumer: Any = ck.Consumer({**settings.consumer_config(), "log_level": 0, "enable.partition.eof": True})
    found: dict[int, Decided] = {}
    try:
        ends = [consumer.get_watermark_offsets(ck.TopicPartition(topic, p), REQUEST_S) for p in range(partitions)]
        consumer.assign([ck.TopicPartition(topic, p, max(low, high - LAST)) for p, (low, high) in enumerate(ends)])
        unread, deadline = set(range(partitions)), time.monotonic() + DEADLINE_S
        while unread and time.monotonic() < deadline:
            for record in consumer.consume(partitions * LAST, 0.2):
                if record.error() is None:
                    found[record.partition()] = Decided(decode(record.value() or b"").model, record.timestamp()[1])
                elif record.error().code() == ck.KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
                    unread.discard(record.partition())
    finally:
        consumer.close()
    return found
