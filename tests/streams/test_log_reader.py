"""Stretches of topic partitions, read as columns."""

import time

import confluent_kafka as ck
import pytest

from streams.embedded_broker import EmbeddedBroker
from streams.errors import BrokerUnreachable
from streams.log_reader import Cancelled, read_patiently, read_ranges
from streams.transport.partition import Partition

A, B = Partition("stretch", 0), Partition("stretch", 1)
RECORDS = {A: [(b"key", b"%d" % n) for n in range(5)], B: [(None, b"without a key"), (b"tombstone", None)]}


@pytest.fixture(scope="module")
def config():
    with EmbeddedBroker(topic_prefix=None) as broker:
        producer = ck.Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0})
        for (topic, partition), records in RECORDS.items():
            for key, value in records:
                producer.produce(topic, value, key, partition)
        assert producer.flush(20) == 0
        yield {"bootstrap.servers": broker.bootstrap_servers, "group.id": "stretch", "log_level": 0}


def read(config, ranges, **options):
    found = {}
    until = time.monotonic() + 20
    options = {"cancelled": lambda: time.monotonic() > until} | options
    for tp, records in read_ranges(config, ranges, **options):
        found.setdefault(tp, []).extend(records)
    return found


def test_of_each_partition_its_stretch_and_nothing_else_is_read(config):
    found = read(config, {A: (1, 3), B: (0, 2)})
    assert found == {
        A: [(1, b"key", b"1"), (2, b"key", b"2")],
        B: [(0, None, b"without a key"), (1, b"tombstone", None)],
    }


def test_an_empty_stretch_is_done_at_once_and_asks_nobody():
    assert read({"bootstrap.servers": "127.0.0.1:1"}, {A: (3, 3)}) == {}


def test_where_nothing_arrives_the_reader_says_what_it_waits_for_until_it_is_told_to_stop(config):
    waited = []
    with pytest.raises(Cancelled):
        read(config, {A: (0, 5), B: (0, 9)}, on_stall=waited.append, cancelled=lambda: len(waited) == 2)
    assert waited == [{B}, {B}]


def test_what_is_done_with_a_page_may_take_longer_than_one_is_patient(config):
    """A takeover that has much to make again is slow, and does not stand still."""
    found = []
    for _, records in read_patiently(config, {A: (0, 5), B: (0, 2)}, patience_s=2.0):
        time.sleep(2.2)
        found += records

    assert len(found) == 7


def test_reading_that_stands_still_is_an_error_with_a_name(config):
    with pytest.raises(BrokerUnreachable, match=r"stretch\[0\]"):
        list(read_patiently(config, {A: (0, 100)}, patience_s=0.5))
