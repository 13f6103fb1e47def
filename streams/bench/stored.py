"""A state in the changelog, as a worker with many offers leaves it: written without running the worker for hours."""

from __future__ import annotations

from itertools import chain, islice, repeat
from typing import Any

import confluent_kafka as ck

from pricing_core.engine import PricingEngine
from pricing_core.model_file import load_model
from pricing_core.state import Rows
from schemas.binary import BinaryArray
from schemas.codec import decoder_for
from schemas.topics import CHANGELOG, HOT_SOURCES, OFFER_POLICIES, Topic
from streams.bench import load
from streams.bench.progress import ends_of
from streams.changelog import FORMAT, SHARD_KEY, ShardRecord, encode_shard_record
from streams.clock import wall_ms
from streams.settings import Settings

SAMPLE = 1_000
"""Offers whose rows are really computed; the others have copies of them."""
SAMPLE_EVENTS = 50_000
CUT_ROWS = 5_000
TIMEOUT_S = 30.0


def store(settings: Settings, offers: int) -> None:
    """Publish policies, and the changelog of shards that know as many offers and have read all policies."""
    load.publish(settings, load.policies(offers))
    producer = ck.Producer(
        {
            **settings.producer_config(),
            "transactional.id": settings.transactional_id,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    producer.init_transactions(TIMEOUT_S)
    numbers, rows = iter(range(offers)), chain.from_iterable(repeat([row.tobytes() for row in sample_rows()]))
    while chunk := list(islice(numbers, CUT_ROWS)):
        producer.begin_transaction()
        _write_records(producer, settings)
        for number, row in zip(chunk, rows, strict=False):
            producer.produce(CHANGELOG.full_name(settings.topic_prefix), row, load.key(number))
        producer.commit_transaction(TIMEOUT_S)


def sample_rows() -> Rows:
    """Return rows of offers after the events of half a day and their decisions."""
    engine = PricingEngine(load_model(), capacity=1_024)
    engine.open_shard(0)
    by_topic: dict[Topic, list[tuple[bytes, bytes]]] = {}
    for topic, key, value in chain(load.policies(SAMPLE), load.events(0, SAMPLE_EVENTS, SAMPLE)):
        by_topic.setdefault(topic, []).append((key, value))
    for topic, records in by_topic.items():
        keys, values = map(BinaryArray.of, zip(*records, strict=True))
        engine.apply(0, decoder_for(topic)(keys, values, wall_ms()).columns)
    while len(engine.decide(0, load.FIRST_EVENT_MS + SAMPLE_EVENTS * load.MS_PER_EVENT, "ACTIVE")):
        pass
    return engine.snapshot(0)[1]


def _write_records(producer: Any, settings: Settings) -> None:
    ends = {tp.partition: end for tp, end in ends_of(settings, [OFFER_POLICIES]).items()}
    for partition, end in ends.items():
        record = ShardRecord(
            format=FORMAT,
            transactional_id=settings.transactional_id,
            generation=1,
            applied={topic.name: 0 for topic in HOT_SOURCES} | {OFFER_POLICIES.name: end},
            seen={},
            now=load.FIRST_EVENT_MS + SAMPLE_EVENTS * load.MS_PER_EVENT,
            sequence=SAMPLE,
            written_at=wall_ms(),
        )
        changelog = CHANGELOG.full_name(settings.topic_prefix)
        producer.produce(changelog, encode_shard_record(record), SHARD_KEY, partition)
