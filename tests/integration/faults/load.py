"""A paced load with a record of its own: what the broker has acknowledged, and what it adds up to.

A process: ``python -m tests.integration.faults.load ACCOUNT --events N --rate R --seed S``. It publishes at least so
many records, goes on until SIGTERM, and writes its account at the end. Of its events 5 % come twice, 5 % are up to six
hours old, and 5 % are overtaken by later ones.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import sys
import time
from collections import defaultdict
from pathlib import Path
from random import Random

import confluent_kafka as ck
import msgspec
from msgspec.structs import replace

from schemas.codec import encode
from schemas.events import ClickRecorded, OrderRecorded
from schemas.examples import CLICK, ORDER, POLICY, RIVAL, STOCK
from schemas.timestamps import format_ms
from schemas.topics import HOT_SOURCES, offer_key
from streams.clock import wall_ms
from streams.settings import Settings, load_settings
from streams.stop_signal import stop_signal

TOPIC_OF = {topic.type: topic.name for topic in HOT_SOURCES}
SLICE_S = 0.05
SHARE = 0.05
LATE_MS = (600_000, 6 * 3_600_000)
OVERTAKEN_BY = (1, 200)
RESENT_AFTER = (1, 400)
FLUSH_S = 180.0
FREE = {
    "cooldown_s": 0,
    "min_change_bp": 0,
    "max_daily_change_bp": 10_000,
    "price_ending": None,
    "max_stock_age_s": None,
}


class Account(msgspec.Struct):
    """What was published, all of it acknowledged."""

    records: dict[str, int]
    """By topic, with those that came twice."""
    duplicates: int = 0
    late: int = 0
    overtaken: int = 0
    totals: dict[str, dict[str, int]] = {}
    """By offer key: what the state must have counted."""


class Shop:
    """Events of all kinds about so many offers, each with a name that nobody else has."""

    def __init__(self, random: Random, skus: int) -> None:
        self._random = random
        self._skus = [f"f-{number}" for number in range(skus)]
        self._number = itertools.count()
        self._run = f"{random.getrandbits(48):x}"

    def policies(self):
        """One for each offer; its price may move at every decision."""
        at = format_ms(wall_ms())
        return [replace(POLICY, sku=sku, version=1, updated_at=at, **FREE) for sku in self._skus]

    def event(self, at: int):
        """Something happens to an offer."""
        draw, sku = self._random.random(), self._random.choice(self._skus)
        when, name = format_ms(at), f"{self._run}-{next(self._number)}"
        if draw < 0.2:
            kind = self._random.choices(("placed", "cancelled", "returned"), (8, 1, 1))[0]
            pieces = self._random.randint(1, 4)
            named = {"event_id": name, "order_id": f"o-{name}"}
            return replace(
                ORDER, sku=sku, type=kind, quantity=pieces, line_total=1299 * pieces, occurred_at=when, **named
            )
        if draw < 0.7:
            kind = self._random.choice(("impression", "click", "add_to_cart"))
            return replace(
                CLICK, event_id=name, sku=sku, kind=kind, count=self._random.randint(1, 20), occurred_at=when
            )
        if draw < 0.9:
            price = self._random.randint(1000, 1500)
            return replace(RIVAL, event_id=name, sku=sku, price=price, in_stock=True, observed_at=when)
        return replace(STOCK, event_id=name, sku=sku, on_hand=self._random.randint(1, 500), occurred_at=when)


class Load:
    """Publishes a shop's events in disorder and keeps the account."""

    def __init__(self, settings: Settings, seed: int, skus: int) -> None:
        self._random = Random(seed)
        self._shop = Shop(self._random, skus)
        self._prefix = settings.topic_prefix
        self._producer = ck.Producer({**settings.producer_config(), "linger.ms": 20, "message.timeout.ms": 0})
        self._held = []
        self._turn = 0
        self._totals = defaultdict(lambda: defaultdict(int))
        self.account = Account(defaultdict(int))
        self.published = 0

    def tell_policies(self) -> None:
        for policy in self._shop.policies():
            self._publish(policy)
        self._flush()

    def publish(self, count: int) -> None:
        """So many new events, and whatever was held back until now."""
        for _ in range(count):
            self._turn += 1
            self._take(self._turn)
            while self._held and self._held[0][0] <= self._turn:
                self._publish(heapq.heappop(self._held)[2])
        self._producer.poll(0)

    def close(self) -> Account:
        while self._held:
            self._publish(heapq.heappop(self._held)[2])
        self._flush()
        self.account.totals = {key: dict(sums) for key, sums in self._totals.items()}
        return self.account

    def _take(self, turn: int) -> None:
        fate, at = self._random.random(), wall_ms()
        if fate < SHARE:
            self.account.late += 1
            at -= self._random.randint(*LATE_MS)
        event = self._shop.event(at)
        self._count(event)
        if SHARE <= fate < 2 * SHARE:
            self.account.overtaken += 1
            turn += self._random.randint(*OVERTAKEN_BY)
        elif 2 * SHARE <= fate < 3 * SHARE:
            self.account.duplicates += 1
            self._hold(turn + self._random.randint(*RESENT_AFTER), event)
        self._hold(turn, event)

    def _hold(self, turn: int, event) -> None:
        heapq.heappush(self._held, (turn, event.event_id, event))

    def _count(self, event) -> None:
        sums = self._totals[f"{event.channel}:{event.sku}"]
        if isinstance(event, OrderRecorded):
            sums[f"units_{event.type}"] += event.quantity
            sums["amount_placed"] += event.line_total if event.type == "placed" else 0
        elif isinstance(event, ClickRecorded) and event.kind != "add_to_cart":
            sums[f"{event.kind}s"] += event.count

    def _publish(self, event) -> None:
        topic, key = TOPIC_OF[type(event)], offer_key(event.channel, event.sku)
        while True:
            try:
                self._producer.produce(f"{self._prefix}.{topic}", encode(event), key, on_delivery=self._on_delivery)
            except BufferError:  # the broker is away: its records wait
                self._producer.poll(0.1)
            else:
                break
        self.account.records[topic] += 1
        self.published += 1

    def _on_delivery(self, error, _record) -> None:
        if error is not None:
            sys.exit(f"not acknowledged: {error}")

    def _flush(self) -> None:
        if self._producer.flush(FLUSH_S):
            sys.exit(f"not acknowledged within {FLUSH_S} s")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("account", type=Path)
    for name, default in (("events", 10_000), ("rate", 1500), ("seed", 0), ("skus", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    order = parser.parse_args()
    load = Load(load_settings(), order.seed, order.skus)
    load.tell_policies()
    began, due = time.monotonic(), 0
    with stop_signal() as stopping:
        while load.published < order.events or not stopping.is_set():
            now_due = int((time.monotonic() - began) * order.rate)
            load.publish(now_due - due)
            due = now_due
            time.sleep(SLICE_S)
    order.account.write_bytes(msgspec.json.encode(load.close()))


if __name__ == "__main__":
    main()
