"""Quix Streams: RocksDB state with a changelog topic. ``quix.py BROKERS PREFIX EVENTS FOLDER``."""

from __future__ import annotations

import sys
from typing import Any

from offer import TOPICS, Finish, add, new_offer
from quixstreams import Application


def run(brokers: str, prefix: str, events: int, folder: str) -> None:
    """Count; ends the process after ``events``."""
    app = Application(
        brokers,
        consumer_group=f"{prefix}-quix-{folder[-8:]}",
        auto_offset_reset="earliest",
        state_dir=folder,
        loglevel="ERROR",
    )
    finish = Finish(events)

    def register(topic: str) -> None:
        def count(event: dict[str, Any], state: Any) -> None:
            state.set("offer", add(state.get("offer") or new_offer(), topic, event))
            finish.seen()

        frame = app.dataframe(app.topic(f"{prefix}.{topic}", value_deserializer="json"))
        frame.update(count, stateful=True)

    for topic in TOPICS:
        register(topic)
    app.run()


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4])
