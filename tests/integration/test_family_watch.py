"""What a worker hears of families on a real Kafka: in pieces, and known to be all of it, or its members stay."""

import asyncio
import contextlib
import time

import confluent_kafka as ck
import pytest

from schemas.codec import encode
from schemas.examples import FAMILY
from schemas.topics import FAMILY_SUMMARIES, family_key
from streams import families
from streams.families import FamilyWatch
from streams.topic_admin import TopicAdmin
from tests.integration.shop import new_settings
from tests.pricing_core.engines import engine

pytestmark = pytest.mark.kafka

RECORDS = 3_000


async def until(holds, seconds):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_members_stay_where_they_are_once_it_is_not_certain_that_all_was_heard(kafka, monkeypatch):
    """The topic of the families alone is gone; brokers and all other topics are well."""
    settings, made = new_settings(kafka, partitions=2), engine(0)
    topic = FAMILY_SUMMARIES.full_name(settings.topic_prefix)
    producer = ck.Producer(settings.producer_config())
    for number in range(RECORDS):
        name = number.to_bytes(8, "little").hex()
        producer.produce(topic, encode(FAMILY), family_key(name, 1), number % 2)
    assert producer.flush(30) == 0
    monkeypatch.setattr(families, "CHECK_S", 0.2)
    monkeypatch.setattr(families, "STALE_S", 3.0)
    heard, turns, hear = [], [0], families.hear

    def note(*record):
        heard.append(turns[0])
        hear(*record)

    monkeypatch.setattr(families, "hear", note)

    async def take_turns():
        while True:
            turns[0] += 1
            await asyncio.sleep(0)

    async def scenario():
        watch = asyncio.create_task(FamilyWatch(settings, made).run())
        beside = asyncio.create_task(take_turns())
        await until(lambda: made.families.complete, 60)
        assert len(heard) == RECORDS
        assert max(heard.count(turn) for turn in set(heard)) <= families.AT_ONCE
        await asyncio.sleep(4.0)
        assert made.families.complete  # nothing was said, and that is certain

        for future in TopicAdmin(settings).client.delete_topics([topic]).values():
            future.result(30)
        await until(lambda: not made.families.complete, 30)
        for task in (watch, beside):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(scenario())
