"""What only a real Kafka can answer: the positions of the consumer group."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from schemas.topics import ORDERS
from streams.doctor import examine
from streams.settings import Settings
from streams.topic_admin import TopicAdmin

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka):
    name = f"d{uuid.uuid4().hex[:8]}"
    settings = Settings(bootstrap_servers=kafka, topic_prefix=name, group=name, partitions=2)
    TopicAdmin(settings).apply()
    return settings


def commit(settings, *offsets):
    consumer = Consumer(settings.consumer_config())
    topic = ORDERS.full_name(settings.topic_prefix)
    consumer.commit(offsets=[TopicPartition(topic, p, offset) for p, offset in enumerate(offsets)], asynchronous=False)
    consumer.close()


def group(settings):
    return [(finding.state, finding.found) for finding in examine(settings) if finding.area == "group"]


def test_a_group_without_offsets_is_no_fault(settings):
    ((state, _),) = group(settings)

    assert state == "unknown"


def test_the_lag_is_the_distance_to_the_end_of_the_log(settings):
    producer = Producer(settings.producer_config())
    for _ in range(10):
        producer.produce(ORDERS.full_name(settings.topic_prefix), b"{}", b"web:a", partition=0)
    assert producer.flush(20) == 0
    commit(settings, 4, 0)

    ((state, found),) = group(settings)

    assert state == "ok"
    assert "6 records behind on 2 partitions" in found


def test_a_position_that_the_log_never_had_is_wrong(settings):
    commit(settings, 7)

    ((state, found),) = group(settings)

    assert state == "wrong"
    assert "next is 7, the log holds 0 to 0" in found
