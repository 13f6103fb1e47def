"""What the systems around the repricer say: well-formed events of one offer after another, and the records of Kafka."""

from __future__ import annotations

import itertools
import time
import uuid
from typing import Any, NamedTuple

import confluent_kafka as ck
import msgspec
import orjson
from msgspec.structs import replace

from schemas.codec import encode
from schemas.events import ClickRecorded, OrderRecorded
from schemas.examples import CLICK, ORDER, POLICY
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms
from schemas.topics import HOT_SOURCES, Topic, offer_key
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.topic_admin import TopicAdmin
from tests.integration.worker_process import read_committed

TOPIC_OF = {topic.type: topic for topic in HOT_SOURCES}


class Place(NamedTuple):
    """Where a record is."""

    topic: str
    partition: int
    offset: int


def new_settings(servers: str, **given: Any) -> Settings:
    """Settings with topics and a group of their own; the topics are there."""
    name = f"w{uuid.uuid4().hex[:8]}"
    chosen = {"instance": "a", "partitions": 4, "session_timeout_s": 6, "heartbeat_interval_s": 1, **given}
    settings = Settings(bootstrap_servers=servers, topic_prefix=name, group=name, **chosen)
    TopicAdmin(settings).apply()
    return settings


def now(later_s: float = 0) -> str:
    """The wall clock, as events say it."""
    return format_ms(time.time_ns() // 1_000_000 + int(later_s * 1000))


def order(sku: str, **given: Any) -> OrderRecorded:
    """One piece was ordered now."""
    fields = {"event_id": uuid.uuid4().hex, "sku": sku, "quantity": 1, "line_total": 1299, "occurred_at": now()}
    return replace(ORDER, **(fields | given))


def impressions(sku: str, **given: Any) -> ClickRecorded:
    """The offer was seen a hundred times."""
    fields = {"event_id": uuid.uuid4().hex, "kind": "impression", "sku": sku, "count": 100, "occurred_at": now()}
    return replace(CLICK, **(fields | given))


def policy(sku: str, version: int, ceiling: int, **given: Any) -> OfferPolicy:
    """List price 1299, floor 900. A ceiling below the price lets the worker repair it at once, and do nothing else."""
    free: dict[str, Any] = {"cooldown_s": 0, "min_margin_bp": None, "price_ending": None, "max_stock_age_s": None}
    free["min_change_bp"] = 10_000  # whatever the model thinks
    fields = {"sku": sku, "version": version, "ceiling": ceiling, "updated_at": now(), **free}
    return replace(POLICY, **(fields | given))


def skus_of_every_partition(settings: Settings, stem: str) -> list[str]:
    """One SKU for each partition, in their order."""
    found: dict[int, str] = {}
    for number in itertools.count():
        sku = f"{stem}-{number}"
        found.setdefault(partition_of(offer_key("web", sku), settings.partitions), sku)
        if len(found) == settings.partitions:
            return [found[partition] for partition in sorted(found)]
    raise AssertionError


class Publisher:
    """Publishes to our topics, records that are no events too."""

    def __init__(self, settings: Settings, **config: Any) -> None:
        self._prefix = settings.topic_prefix
        self.producer = ck.Producer({**settings.producer_config(), "message.max.bytes": 20_000_000, **config})

    def tell(self, *events: Any) -> None:
        """Publish events on their topics, in this order."""
        for event in events:
            topic = TOPIC_OF[type(event)].full_name(self._prefix)
            self.producer.produce(topic, encode(event), offer_key(event.channel, event.sku))
        assert self.producer.flush(30) == 0

    def put(self, topic: Topic, key: bytes | None, value: bytes | None, partition: int) -> Place:
        """Publish any record and say where it is."""
        places: list[Place] = []

        def on_delivery(error: ck.KafkaError | None, record: ck.Message) -> None:
            assert error is None, error
            places.append(Place(record.topic(), record.partition(), record.offset()))

        self.producer.produce(topic.full_name(self._prefix), value, key, partition, on_delivery=on_delivery)
        assert self.producer.flush(30) == 0
        return places[0]


def records_of(settings: Settings, topic: Topic, sku: str) -> list[dict[str, Any]]:
    """What a topic holds about an offer, decoded."""
    found = [r for r in read_committed(settings, topic) if r.key() == offer_key("web", sku)]
    assert all(r.value() is None or msgspec.json.decode(r.value(), type=topic.type) for r in found)
    return [orjson.loads(r.value()) for r in found]
