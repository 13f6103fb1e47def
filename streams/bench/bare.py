"""The yardstick: ``consume(n)`` and decode into the same structs, nothing else. Run as a process of its own.

Reads ``{"positions": [[topic, partition, offset], ...], "events": n}`` on stdin; prints records a second.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import confluent_kafka as ck
import msgspec

from schemas.events import ClickRecorded, CompetitorPriceObserved, InventoryCounted, OrderRecorded
from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, ORDERS, Topic
from streams.settings import Settings, load_settings

TYPES: Mapping[Topic, type[msgspec.Struct]] = {
    CLICKS: ClickRecorded,
    ORDERS: OrderRecorded,
    COMPETITOR_PRICES: CompetitorPriceObserved,
    INVENTORY: InventoryCounted,
}
CONSUME = 5_000


class Task(msgspec.Struct):
    """What to read."""

    positions: list[tuple[str, int, int]]
    events: int


def read(settings: Settings, task: Task) -> float:
    """Read and decode the load; returns records a second."""
    consumer = ck.Consumer({**settings.consumer_config(), "fetch.queue.backoff.ms": 5, "queued.min.messages": 100_000})
    prefix = settings.topic_prefix
    decoders = {topic.full_name(prefix): msgspec.json.Decoder(kind).decode for topic, kind in TYPES.items()}
    consumer.assign([ck.TopicPartition(*position) for position in task.positions])
    first = len(consumer.consume(1, 30.0))  # connecting is not part of it
    started, seen = time.perf_counter(), first
    while seen < task.events:
        messages = consumer.consume(CONSUME, 1.0)
        for message in messages:
            decoders[str(message.topic())](message.value() or b"")
        seen += len(messages)
    elapsed = time.perf_counter() - started
    consumer.close()
    return (seen - first) / elapsed


if __name__ == "__main__":
    rate = read(load_settings(), msgspec.json.decode(sys.stdin.buffer.read(), type=Task))
    sys.stdout.write(f"{rate}\n")
