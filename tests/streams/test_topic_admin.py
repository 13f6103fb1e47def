from __future__ import annotations

import time

import pytest

from schemas.topics import TOPICS
from streams.embedded_broker import EmbeddedBroker
from streams.errors import BrokerUnreachable, TopicMismatch
from streams.settings import Settings
from streams.topic_admin import TopicAdmin, require


@pytest.fixture
def broker():
    with EmbeddedBroker(topic_prefix=None) as broker:
        yield broker


def settings_for(broker, **changes):
    return Settings(bootstrap_servers=broker.bootstrap_servers, **{"partitions": 4, **changes})


def test_apply_creates_every_topic_once_and_then_nothing_differs(broker):
    admin = TopicAdmin(settings_for(broker))

    assert [fault.what for fault in admin.differences()] == ["missing"] * len(TOPICS)
    assert admin.apply() == [topic.full_name("repricer") for topic in TOPICS]
    assert admin.apply() == []
    assert admin.differences() == []


def test_the_embedded_brokers_partition_count_is_named_in_the_cure(broker):
    admin = TopicAdmin(settings_for(broker, partitions=12))
    admin.apply()

    faults = admin.differences()

    assert {(fault.what, fault.found, fault.wanted) for fault in faults} == {("partitions", "4", "12")}
    assert "REPRICER_PARTITIONS" in faults[0].fix


def test_a_worker_is_refused_with_the_list_of_what_is_missing(broker):
    with pytest.raises(TopicMismatch, match=r"repricer\.orders, .*repricer\.changelog: missing; create with"):
        require(settings_for(broker))


def test_an_unreachable_broker_is_one_clear_line_within_ten_seconds(capfd):
    began = time.monotonic()

    with pytest.raises(BrokerUnreachable, match=r"127\.0\.0\.1:1 .*Connection refused.*REPRICER_BOOTSTRAP_SERVERS"):
        TopicAdmin(Settings(bootstrap_servers="127.0.0.1:1"))

    assert time.monotonic() - began < 10
    assert capfd.readouterr() == ("", "")
