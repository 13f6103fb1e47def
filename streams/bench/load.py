"""The load: policies, then mixed events of about 200 bytes about Zipf-distributed offers.

The same arguments give the same bytes, from any event on: rounds of one benchmark read different stretches of one
stream, and a soak is published piece by piece.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import confluent_kafka as ck
import numpy as np
import orjson

from schemas.timestamps import format_many, format_ms
from schemas.topics import CLICKS, COMPETITOR_PRICES, HOT_SOURCES, INVENTORY, OFFER_POLICIES, ORDERS, Topic
from streams.errors import BrokerUnreachable
from streams.settings import Settings

SHARES: Mapping[Topic, float] = {CLICKS: 0.31, ORDERS: 0.368, COMPETITOR_PRICES: 0.213, INVENTORY: 0.109}
MANY = 100_000
"""Offers from which on `SHARES_OF_MANY` hold: there nearly every event that matters makes another offer due."""
SHARES_OF_MANY: Mapping[Topic, float] = {CLICKS: 0.78, ORDERS: 0.11, COMPETITOR_PRICES: 0.07, INVENTORY: 0.04}
"""Both give a decision for every 12 to 20 events."""
ZIPF = 1.1
SEED = 1
CHUNK = 50_000
FIRST_EVENT_MS = 1_735_689_600_000
MS_PER_EVENT = 100
"""Event time between two events: a shop with 10 events a second."""
AUTOMATIC = 8
"""Every so-manieth offer is priced automatically, the others by recommendation: nobody answers price changes here, and
an offer whose change is not answered is held with a short record. A recommendation takes the whole way."""
FLUSH_S = 60.0

MEASURED = b"web:measured-"
"""How keys of measured offers begin."""

Record = tuple[Topic, bytes, bytes]
"""Topic, key, value."""


def publish(settings: Settings, records: Iterable[Record]) -> int:
    """Publish records to the settings' topics; returns how many they were.

    Raises:
        BrokerUnreachable: If the broker does not take them.
    """
    producer = ck.Producer({**settings.producer_config(), "linger.ms": 50, "queue.buffering.max.messages": 1_000_000})
    names = {topic: topic.full_name(settings.topic_prefix) for topic in HOT_SOURCES}
    count = 0
    for topic, offer, value in records:
        while True:
            try:
                producer.produce(names[topic], value, offer)
                break
            except BufferError:
                producer.poll(0.1)
        count += 1
    if producer.flush(FLUSH_S):
        raise BrokerUnreachable(f"the broker did not take the load within {FLUSH_S:.0f} s")
    return count


def key(number: int) -> bytes:
    """Return the key of an offer."""
    return b"web:sku-%07d" % number


def policies(offers: int) -> Iterator[Record]:
    """Yield one policy for each offer."""
    for number in range(offers):
        yield OFFER_POLICIES, key(number), _policy(number)


def events(first: int, count: int, offers: int) -> Iterator[Record]:
    """Yield events number ``first`` to ``first + count - 1``; ``first`` is a multiple of `CHUNK`."""
    weights = np.cumsum(1.0 / np.arange(1, offers + 1) ** ZIPF)
    shares = SHARES if offers < MANY else SHARES_OF_MANY
    topics = list(shares)
    for start in range(first, first + count, CHUNK):
        draw = np.random.default_rng((SEED, start // CHUNK))
        skus = np.searchsorted(weights, draw.random(CHUNK) * weights[-1]).tolist()
        kinds = draw.choice(len(topics), CHUNK, p=list(shares.values())).tolist()
        times = format_many(FIRST_EVENT_MS + MS_PER_EVENT * np.arange(start, start + CHUNK, dtype=np.int64))
        draws = draw.integers(0, 1_000, CHUNK).tolist()
        for i in range(min(CHUNK, first + count - start)):
            topic = topics[kinds[i]]
            yield topic, key(skus[i]), _event(topic, start + i, skus[i], draws[i], times[i])


def measured_key(number: int) -> bytes:
    """Return the key of an offer apart from the load's, whose price the next order changes."""
    return MEASURED + b"%06d" % number


def measured_policies(numbers: Iterable[int]) -> Iterator[Record]:
    """Yield policies under which the model has a mind to move the price several times, each time when it is asked."""
    for number in numbers:
        policy = {"sku": f"measured-{number:06d}", "mode": "auto", "cooldown_s": 0, "ceiling": 20_000}
        yield OFFER_POLICIES, measured_key(number), orjson.dumps(_POLICY | policy)


def measured_order(event: int, number: int) -> Record:
    """Event number ``event`` as an order of a measured offer."""
    at = format_ms(FIRST_EVENT_MS + MS_PER_EVENT * event)
    body = _event(ORDERS, event, 0, number % 1_000, at)
    return ORDERS, measured_key(number), body.replace(b"sku-0000000", b"measured-%06d" % number)


_POLICY = {
    "channel": "web",
    "version": 1,
    "currency": "EUR",
    "unit_cost": 1_000,
    "list_price": 4_000,
    "floor": 1_000,
    "updated_at": "2025-01-01T00:00:00.000Z",
}


def _policy(number: int) -> bytes:
    cost = 500 + number % 1_500
    return orjson.dumps(
        _POLICY
        | {
            "sku": f"sku-{number:07d}",
            "unit_cost": cost,
            "list_price": 2 * cost,
            "floor": cost,
            "ceiling": 4 * cost,
            "mode": "recommend" if number % AUTOMATIC else "auto",
            "cooldown_s": 900,
        }
    )


def _event(topic: Topic, number: int, sku: int, draw: int, at: str) -> bytes:
    """Event ``number`` with a body that depends on ``draw`` (0 to 999)."""
    price = 1_000 + draw
    body = {
        CLICKS: f'"kind":"impression","count":{1 + draw % 5},"price_shown":{price},"session":"{number:012x}",',
        ORDERS: f'"type":"placed","order_id":"o-{number:010d}","quantity":1,"line_total":{price},"currency":"EUR",',
        COMPETITOR_PRICES: f'"competitor":"shop-{draw % 5}","price":{price},"shipping":490,"currency":"EUR",',
        INVENTORY: f'"on_hand":{draw},"warehouse":"w-{draw % 7}","source":"wms",',
    }[topic]
    time_name = "observed_at" if topic is COMPETITOR_PRICES else "occurred_at"
    head = f'{{"event_id":"{topic.name}-{number:010d}","sku":"sku-{sku:07d}","channel":"web",'
    return f'{head}{body}"{time_name}":"{at}"}}'.encode()
