"""What only a real Kafka can answer: configuration of topics."""

from __future__ import annotations

import uuid

import pytest
from confluent_kafka.admin import NewTopic

from schemas.topics import CHANGELOG, ORDERS, TOPICS
from streams.settings import Settings
from streams.topic_admin import TopicAdmin

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka):
    return Settings(bootstrap_servers=kafka, topic_prefix=f"t{uuid.uuid4().hex[:8]}", partitions=3)


def test_apply_creates_topics_as_the_check_wants_them(settings):
    admin = TopicAdmin(settings)

    created = admin.apply()

    assert len(created) == len(TOPICS)
    assert admin.differences() == []
    config = next(state.config for state in admin.states() if state.topic is CHANGELOG)
    assert config["cleanup.policy"] == "compact"


def test_every_kind_of_difference_is_found_and_nothing_that_exists_is_changed(settings):
    admin = TopicAdmin(settings)
    orders, changelog = (topic.full_name(settings.topic_prefix) for topic in (ORDERS, CHANGELOG))
    wrong = [
        NewTopic(orders, 3, 1, config={"retention.ms": "1000", "max.message.bytes": "2000"}),
        NewTopic(changelog, 5, 1, config={"cleanup.policy": "compact,delete"}),
    ]
    for future in admin.client.create_topics(wrong).values():
        future.result(20)

    admin.apply()
    found = {(fault.topic, fault.what, fault.found) for fault in admin.differences()}

    assert found == {
        (orders, "retention", "1000 ms"),
        (orders, "message size", "2000 bytes"),
        (changelog, "partitions", "5"),
        (changelog, "cleanup", "compact,delete"),
    }


def test_more_replicas_than_brokers_are_refused_with_the_brokers_reason(settings):
    from streams.errors import TopicMismatch

    admin = TopicAdmin(settings.model_copy(update={"replication_factor": 3}))

    with pytest.raises(TopicMismatch, match=r"cannot create .*replication factor"):
        admin.apply()
