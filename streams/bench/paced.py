"""Publishes the load at a steady rate, with orders among it whose way is measured. Run as a process of its own.

Reads a `Task` on stdin, says ``ready`` on stdout, starts when it reads one more line, and prints when each measured
order was published.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from typing import Any

import confluent_kafka as ck
import msgspec

from schemas.topics import ORDERS
from streams.bench import load
from streams.errors import BrokerUnreachable
from streams.settings import load_settings

TICK_S = 0.001
FLUSH_S = 30.0


class Task(msgspec.Struct):
    """What to publish."""

    first: int
    """Number of the first event, see `load.events`."""
    count: int
    offers: int
    rate: float
    """Records a second."""
    measured: list[int]
    """Numbers of the offers whose orders are measured: one order each, evenly spread."""


class Published(msgspec.Struct):
    """What was published."""

    sent: dict[str, int]
    """Key of each measured order → when it was given to the producer, ns of the machine's monotonic clock."""
    rate: float
    """Records a second, as it came out."""


def records(task: Task) -> Iterator[tuple[load.Record, bool]]:
    """Yield the records, and whether each is measured."""
    every = max(task.count // max(len(task.measured), 1), 1)
    measured = iter(task.measured)
    for number, record in enumerate(load.events(task.first, task.count, task.offers)):
        sku = next(measured, None) if number % every == 0 else None
        if sku is None:
            yield record, False
        else:
            yield load.measured_order(task.first + number, sku), True


def publish(task: Task, producer: ck.Producer, prefix: str) -> Published:
    """Publish at the task's rate."""
    names = {topic: topic.full_name(prefix) for topic in (*load.SHARES, ORDERS)}
    ready = [(names[topic], key, value, measured) for (topic, key, value), measured in records(task)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.buffer.readline()
    gc.freeze()
    sent: dict[str, int] = {}
    began = time.monotonic()
    for number, (topic, key, value, measured) in enumerate(ready):
        while time.monotonic() - began < number / task.rate:
            time.sleep(TICK_S)
        producer.poll(0)  # also where the rate is not reached: what is delivered makes room
        if measured:
            sent[key.decode()] = time.monotonic_ns()
        producer.produce(topic, value, key)
    took = time.monotonic() - began
    if producer.flush(FLUSH_S):
        raise BrokerUnreachable(f"the broker did not take the load within {FLUSH_S:.0f} s")
    return Published(sent, len(ready) / took)


def _main() -> None:
    settings = load_settings()
    config: dict[str, Any] = {**settings.producer_config(), "linger.ms": 0}
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    published = publish(task, ck.Producer(config), settings.topic_prefix)
    sys.stdout.buffer.write(msgspec.json.encode(published) + b"\n")


if __name__ == "__main__":
    _main()
