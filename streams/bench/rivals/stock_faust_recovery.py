"""Stock Faust rebuilds a table from its changelog. ``stock_faust_recovery.py BROKERS PREFIX ROWS FOLDER``."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import faust
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic
from offer import end_with, new_offer

PARTITIONS = 4
TIMEOUT_S = 60.0


def write(brokers: str, app_id: str, rows: int) -> None:
    """Write the table's changelog, as its app would have."""
    name = f"{app_id}-offers-changelog"
    topic = NewTopic(name, PARTITIONS, 1, config={"cleanup.policy": "compact"})
    admin = AdminClient({"bootstrap.servers": brokers})
    for future in admin.create_topics([topic]).values():
        future.result(TIMEOUT_S)
    producer = Producer({"bootstrap.servers": brokers, "partitioner": "murmur2_random", "compression.type": "lz4"})
    for number in range(rows):
        key, value = f"web:sku-{number:07d}", new_offer() | {"units": number, "revenue": 1_000 * number}
        producer.produce(name, json.dumps(value), json.dumps(key))
        if number % 1_000 == 0:
            producer.poll(0)
    producer.flush(TIMEOUT_S)


def create_app(brokers: str, app_id: str, source: str, folder: str) -> Any:
    """Build the app; it ends its process when the table is there."""
    app = faust.App(app_id, broker=f"kafka://{brokers}", datadir=folder, web_enabled=False)
    offers = app.Table("offers", default=new_offer, partitions=PARTITIONS)
    began: list[float] = []

    async def count(stream: Any) -> None:
        async for event in stream.events():
            offers[event.key] = offers[event.key]

    async def assigned(*_: Any, **__: Any) -> None:
        began.append(time.perf_counter())

    async def recovered(*_: Any) -> None:
        end_with(len(offers) / (time.perf_counter() - began[0]))

    app.agent(app.topic(source, key_type=str, key_serializer="raw", value_serializer="json"))(count)
    app.on_partitions_assigned.connect(assigned)
    offers.on_recover(recovered)
    return app


if __name__ == "__main__":
    name = f"{sys.argv[2]}-faust-{sys.argv[4][-8:]}"
    write(sys.argv[1], name, int(sys.argv[3]))
    application = create_app(sys.argv[1], name, f"{sys.argv[2]}.orders", sys.argv[4])
    faust.Worker(application, loglevel="error").execute_from_commandline()
