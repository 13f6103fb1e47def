"""The yardstick: ``consume(n)`` and decode into the same structs, nothing else. Run as a process of its own.

Reads a `Task` on stdin and prints a `Found`.
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


class Found(msgspec.Struct):
    """How fast it was."""

    per_s: float
    cpu_us: float
    """Of a record, in all threads of the process."""


def read(settings: Settings, task: Task) -> Found:
    """Read and decode the load."""
    consumer = ck.Consumer({**settings.consumer_config(), "fetch.queue.backoff.ms": 5, "queued.min.messages": 100_000})
    prefix = settings.topic_prefix
    decoders = {topic.full_name(prefix): msgspec.json.Decoder(kind).decode for topic, kind in TYPES.items()}
    consumer.assign([ck.TopicPartition(*position) for position in task.positions])
    first = len(consumer.consume(1, 30.0))  # connecting is not part of it
    started, cpu, seen = time.perf_counter(), time.process_time(), first
    while seen < task.events:
        messages = consumer.consume(CONSUME, 1.0)
        for message in messages:
            decoders[str(message.topic())](message.value() or b"")
        seen += len(messages)
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    consumer.close()
    return Found((seen - first) / elapsed, cpu / (seen - first) * 1e6)


if __name__ == "__main__":
    found = read(load_settings(), msgspec.json.decode(sys.stdin.buffer.read(), type=Task))
    sys.stdout.buffer.write(msgspec.json.encode(found))
