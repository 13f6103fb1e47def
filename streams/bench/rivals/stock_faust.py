"""Stock Faust: its own aiokafka driver, one table with a changelog. ``stock_faust.py BROKERS PREFIX EVENTS FOLDER``."""

from __future__ import annotations

import sys
from typing import Any

import faust
from offer import TOPICS, Finish, add, new_offer


def create_app(brokers: str, prefix: str, events: int, folder: str) -> Any:
    """Build the app; it ends its process after ``events``."""
    app = faust.App(f"{prefix}-faust-{folder[-8:]}", broker=f"kafka://{brokers}", datadir=folder, web_enabled=False)
    offers = app.Table("offers", default=new_offer, partitions=4)
    finish = Finish(events)

    def register(topic: str) -> None:
        channel = app.topic(f"{prefix}.{topic}", key_type=str, key_serializer="raw", value_serializer="json")

        async def count(stream: Any) -> None:
            async for key, event in stream.items():
                offers[key] = add(offers[key], topic, event)
                finish.seen()

        app.agent(channel, name=topic)(count)

    for topic in TOPICS:
        register(topic)
    return app


if __name__ == "__main__":
    faust.Worker(
        create_app(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]), loglevel="error"
    ).execute_from_commandline()
