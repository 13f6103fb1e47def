"""Which shards a worker may keep in memory after a rebalance: those that nobody has touched since its last cut."""

import pytest

from schemas.topics import ORDERS
from streams.changelog import LastCut
from streams.shard import WINDOWED
from streams.takeover import Takeover
from streams.transport.partition import Partition
from streams.transport.raw_producer import Producer
from tests.integration.cuts import cut, membership, shop, writer

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka):
    return shop(kafka, 10)


@pytest.fixture
def claim(settings):
    with membership(settings) as ours:
        yield ours


@pytest.fixture
def ours(settings, claim):
    """What our last cut of partition 0 has written, after others of both partitions."""
    last = cut(settings, claim, applied=5, rows=[(b"web:a", 5), (b"web:b", 5)], outputs=["v"])
    for one in (cut(settings, claim, partition=1), cut(settings, claim, applied=2, rows=[(b"web:a", 2)]), last):
        writer(settings).commit(one)
    return {0: LastCut(last.shards[0].record, len(last.shards[0].keys))}


def confirmed(settings, last_cuts):
    return Takeover(settings, windowed=WINDOWED).confirm(last_cuts, lambda: False).keys()


def test_a_shard_that_nobody_has_touched_is_kept(settings, ours):
    assert confirmed(settings, ours) == {0}


def test_a_shard_that_another_worker_has_claimed_is_not_kept_though_nothing_was_applied(settings, claim, ours):
    writer(settings, "b").commit(cut(settings, claim, applied=5, instance="b"))
    assert confirmed(settings, ours) == set()


def test_a_shard_with_an_open_transaction_on_its_offsets_is_not_kept(settings, claim, ours):
    producer = Producer({**settings.producer_config(), "transactional.id": "frozen", "retry.backoff.ms": 2})
    producer.init_transactions(10)
    producer.begin_transaction()
    orders = Partition(ORDERS.full_name(settings.topic_prefix), 0)
    producer.send_offsets_to_transaction({orders: 7}, claim, 10)
    assert confirmed(settings, ours) == set()
    producer.commit_transaction(10)
    assert confirmed(settings, ours) == set(), "the group's offset is not that of the last cut"


def test_of_two_shards_the_one_that_moved_is_not_kept(settings, claim, ours):
    other = cut(settings, claim, applied=1, partition=1)
    writer(settings).commit(other)
    writer(settings, "b").commit(cut(settings, claim, applied=6, instance="b"))
    assert confirmed(settings, ours | {1: LastCut(other.shards[0].record, 0)}) == {1}
