"""Bytewax: Kafka source, state in a stateful map. ``bytewax_map.py BROKERS PREFIX EVENTS FOLDER``.

Recovery is off, as it is unless one asks for it: its state is in memory only.
"""

from __future__ import annotations

import sys
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import TestingSink, run_main
from offer import TOPICS, Finish, Offer, add, new_offer


def flow(brokers: str, prefix: str, events: int) -> Dataflow:
    """Count; ends the process after ``events``."""
    finish = Finish(events)

    def parse(message: Any) -> tuple[str, tuple[str, dict[str, Any]]]:
        return message.key.decode(), (message.topic[len(prefix) + 1 :], orjson.loads(message.value))

    def count(offer: Offer | None, event: tuple[str, dict[str, Any]]) -> tuple[Offer, tuple[()]]:
        offer = add(offer or new_offer(), *event)
        finish.seen()
        return offer, ()

    dataflow = Dataflow("offers")
    messages = op.input("kafka", dataflow, KafkaSource([brokers], [f"{prefix}.{topic}" for topic in TOPICS]))
    keyed = op.map("parse", messages, parse)
    op.output("nothing", op.stateful_flat_map("count", keyed, count), TestingSink([]))
    return dataflow


if __name__ == "__main__":
    run_main(flow(sys.argv[1], sys.argv[2], int(sys.argv[3])))
