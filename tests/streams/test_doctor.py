from __future__ import annotations

import pytest
from confluent_kafka import Producer

from schemas.topics import CLICKS, ORDERS
from streams.doctor import examine
from streams.embedded_broker import EmbeddedBroker
from streams.settings import Settings


@pytest.fixture(scope="module")
def findings():
    """Orders by a producer with librdkafka's own placement, clicks by one that places like Java."""
    with EmbeddedBroker("repricer") as broker:
        for topic, partitioner in ((ORDERS, "consistent_random"), (CLICKS, "murmur2_random")):
            producer = Producer({"bootstrap.servers": broker.bootstrap_servers, "partitioner": partitioner})
            for i in range(200):
                producer.produce(topic.full_name("repricer"), b"{}", f"web:{i}")
            assert producer.flush(20) == 0
        yield list(examine(Settings(bootstrap_servers=broker.bootstrap_servers, partitions=4)))


def test_a_foreign_partitioner_is_found_and_its_cure_named(findings):
    by_topic = {finding.found.split(":")[0]: finding for finding in findings if finding.area == "partitioner"}

    assert by_topic["repricer.orders"].state == "wrong"
    assert "murmur2_random" in by_topic["repricer.orders"].fix
    assert by_topic["repricer.clicks"].state == "ok"
    assert by_topic["repricer.inventory"].state == "unknown"


def test_broker_topics_device_and_model_are_each_looked_at(findings):
    states = {finding.area: finding.state for finding in findings if finding.area != "partitioner"}

    assert states == {
        "broker": "ok",
        "topics": "ok",
        "group": "unknown",
        "breaker": "unknown",
        "live model": "unknown",
        "device": "ok",
        "model": "ok",
    }


def test_without_a_broker_the_rest_is_looked_at_all_the_same():
    found = {finding.area: finding.state for finding in examine(Settings(bootstrap_servers="127.0.0.1:1"))}

    assert found == {"broker": "wrong", "device": "ok", "model": "ok"}


def test_a_model_file_that_is_none_is_wrong(tmp_path):
    path = tmp_path / "model"
    path.mkdir()

    found = list(examine(Settings(bootstrap_servers="127.0.0.1:1", model_path=path)))

    assert [finding.state for finding in found if finding.area == "model"] == ["wrong"]
