"""A worker of plain dictionaries that does everything right, one record at a time, into a log in memory.

It decides at random and within the rules; what it knows of an offer it keeps in a dictionary. The real worker is
tested on a real Kafka; this one is for damaging what it wrote.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections import defaultdict

import numpy as np
import orjson
from msgspec.structs import replace

from schemas.codec import encode
from schemas.examples import CLICK, NOW, ORDER, POLICY, RIVAL, STOCK
from schemas.timestamps import format_ms
from schemas.topics import HOT_SOURCES, offer_key
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.verify.changelog import ROW, ROW_FORMAT, SALES, SHARD_KEY, SHOPPERS, VALUES
from tests.streams.verify.memory_log import MemoryLog

TOTALS = SALES + SHOPPERS
SETTINGS = Settings(partitions=2, duplicate_window=12)
SKUS = [f"SKU-{n}" for n in range(5)]
BLANK = dict.fromkeys(TOTALS + VALUES, 0) | {"on_hand": -1}


def row_of(state):
    """The bytes of a state row."""
    row = np.zeros(1, ROW)
    row["format"], row["totals"] = ROW_FORMAT, [[state[name] for name in TOTALS]]
    for name in VALUES:
        row[name] = state[name]
    return row.tobytes()


class SyntheticWorker:
    """Both the systems around the worker and the worker."""

    def __init__(self, seed, events):
        self.log = MemoryLog(SETTINGS.partitions)
        self._random = random.Random(seed)
        self._states = defaultdict(lambda: dict(BLANK))
        self._applied = {p: {topic.name: 0 for topic in HOT_SOURCES} for p in range(SETTINGS.partitions)}
        self._seen = defaultdict(dict)  # source partition -> event id -> offset
        self._sequence = dict.fromkeys(range(SETTINGS.partitions), 0)
        self._sent = []
        self._now = NOW
        for sku in SKUS:
            self._publish("offer-policies", replace(POLICY, sku=sku, min_margin_bp=None, price_ending=None))
        for number in range(events):
            self._event(number)
            if self._random.random() < 0.3:
                self._decide(self._random.choice(SKUS))
            if self._random.random() < 0.1:
                self._cut()
        self._cut()

    def _event(self, number):
        """One of everything that producers do, wrong things too."""
        choice, sku = self._random.random(), self._random.choice(SKUS)
        at, name = format_ms(NOW + self._random.randrange(10**6)), f"e-{number}"
        order = replace(
            ORDER, event_id=name, sku=sku, occurred_at=at, quantity=self._random.randrange(1, 9),
            type=self._random.choice(["placed", "cancelled", "returned"]),
        )  # fmt: skip
        kind = self._random.choice(["impression", "click", "add_to_cart"])
        if choice < 0.35:
            self._publish("orders", order)
        elif choice < 0.55:
            self._publish("clicks", replace(CLICK, event_id=name, sku=sku, kind=kind, occurred_at=at))
        elif choice < 0.6:
            self._publish("competitor-prices", replace(RIVAL, event_id=name, sku=sku, observed_at=at))
        elif choice < 0.7:
            count = self._random.randrange(100)
            self._publish("inventory", replace(STOCK, event_id=name, sku=sku, on_hand=count, occurred_at=at))
        elif choice < 0.8 and self._sent:
            self._put(*self._random.choice(self._sent))
        elif choice < 0.85:
            self._publish("orders", order, reason="currency_mismatch")
        elif choice < 0.9:
            home = partition_of(offer_key("web", sku), SETTINGS.partitions)
            self._put("orders", 1 - home, offer_key("web", sku), encode(order), "wrong_partition")
        else:
            self._put("orders", self._random.randrange(2), b"web:x", b"{", "malformed_json")

    def _publish(self, topic, event, reason=None):
        key = offer_key(event.channel, event.sku)
        self._put(topic, partition_of(key, SETTINGS.partitions), key, encode(event), reason)

    def _put(self, topic, partition, key, value, reason=None):
        offset = self.log.append(topic, partition, key, value)
        if reason is None:
            self._sent = [*self._sent[-20:], (topic, partition, key, value)]
            self._apply(topic, partition, offset, key, orjson.loads(value))
        elif reason == "malformed_json" or not self._is_duplicate(topic, partition, offset, orjson.loads(value)):
            self._refuse(topic, partition, offset, (key, value), reason)
        self._applied[partition][topic] = offset + 1

    def _is_duplicate(self, topic, partition, offset, event):
        last = self._seen[topic, partition].get(event.get("event_id"))
        return last is not None and offset - last <= SETTINGS.duplicate_window

    def _apply(self, topic, partition, offset, key, event):
        duplicate = self._is_duplicate(topic, partition, offset, event)
        if "event_id" in event:
            self._seen[topic, partition][event["event_id"]] = offset
        if not duplicate:
            fold(self._states[key], topic, event)

    def _refuse(self, topic, partition, offset, record, reason):
        key, value = record
        where = f"repricer.{topic}/{partition}/{offset}".encode()
        letter = {
            "topic": f"repricer.{topic}", "partition": partition, "offset": offset, "reason": reason, "detail": "",
            "key": base64.b64encode(key).decode(), "value": base64.b64encode(value).decode(), "length": len(value),
            "sha256": hashlib.sha256(value).hexdigest(), "rejected_at": format_ms(NOW),
        }  # fmt: skip
        self.log.append("dead-letters", partition, where, orjson.dumps(letter))

    def _decide(self, sku):
        key = offer_key("web", sku)
        p, state = partition_of(key, SETTINGS.partitions), self._states[key]
        current = state["price"] or POLICY.list_price
        price = min(max(current + self._random.randrange(-80, 81), POLICY.floor), POLICY.ceiling)
        moves = abs(price - current) * 10_000 >= POLICY.min_change_bp * current and price != current
        self._sequence[p] += 1
        self._now += 1000
        decision = {
            "decision_id": f"{p}-{self._sequence[p]}", "sku": sku, "channel": "web",
            "outcome": "changed" if moves else "held", "reason": "demand" if moves else "model_holds",
            "decided_at": format_ms(self._now), "price": price if moves else current, "previous_price": current,
            "currency": "EUR", "version": state["decided_version"] + 1 if moves else None, "policy_version": 3,
            "run_mode": "ACTIVE", "model": "m/1@0", "features": [0.5],
            "candidates": {"prices": [current, price], "q": [0.0, 1.0], "masked": [None, None]},
            "chosen": 1 if moves else 0, "propensity": 0.5, "lower_bound": POLICY.floor, "upper_bound": POLICY.ceiling,
            "verdict": {"code": "demand"}, "applied": self._applied[p],
        }  # fmt: skip
        self.log.append("price-decisions", p, key, orjson.dumps(decision))
        if moves:
            state["decided_version"] = decision["version"]
            for again in range(1 + (self._random.random() < 0.1)):
                self.log.append("price-changes", p, key, change_of(decision, self._now + again))
            self._answer(key, sku, decision)

    def _answer(self, key, sku, decision):
        manual = self._random.random() < 0.1  # a version that the catalog had before us
        version = decision["version"] + (2 if manual else 0)
        answer = {
            "sku": sku, "channel": "web", "version": version, "status": "manual" if manual else "applied",
            "price": decision["price"], "currency": "EUR", "applied_at": format_ms(self._now),
        }  # fmt: skip
        self._put("price-applied", partition_of(key, SETTINGS.partitions), key, orjson.dumps(answer))

    def _cut(self):
        for p in range(SETTINGS.partitions):
            record = {"format": 1, "applied": self._applied[p], "now": self._now, "sequence": self._sequence[p]}
            self.log.append("changelog", p, SHARD_KEY, orjson.dumps(record))
            for key, state in self._states.items():
                if partition_of(key, SETTINGS.partitions) == p:
                    self.log.append("changelog", p, key, row_of(state))
            self.log.group |= {(topic, p): offset for topic, offset in self._applied[p].items()}


def change_of(decision, now):
    """The price change of a decision."""
    names = ("decision_id", "sku", "channel", "version", "price", "previous_price", "currency", "policy_version")
    times = {"valid_from": format_ms(now), "expires_at": format_ms(now + 3_600_000), "reason": decision["reason"]}
    return orjson.dumps({name: decision[name] for name in names} | times)


def fold(state, topic, event):
    """One event into one offer's dictionary."""
    if topic == "orders":
        state[f"units_{event['type']}"] += event["quantity"]
        state[f"amount_{event['type']}"] += event["line_total"]
        state["orders"] += event["type"] == "placed"
        state["order_rows"] += 1
    elif topic == "clicks":
        state[{"impression": "impressions", "click": "clicks", "add_to_cart": "add_to_carts"}[event["kind"]]] += event[
            "count"
        ]
    elif topic == "inventory":
        at = ms_of(event["occurred_at"])
        if at >= state["stock_at"]:
            state["on_hand"], state["stock_at"] = event["on_hand"], at
    elif topic == "price-applied":
        if event["version"] >= state["price_version"]:
            state["price"], state["price_version"] = event["price"], event["version"]
        state["decided_version"] = max(state["decided_version"], event["version"])


def ms_of(text):
    """Of the one form that this file writes."""
    return int(np.datetime64(text[:-1], "ms").astype(np.int64))
