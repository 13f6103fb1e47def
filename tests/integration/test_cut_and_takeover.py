"""The delivery protocol on a real Kafka: what a cut makes visible, who may commit, and what a takeover finds."""

import time

import confluent_kafka as ck
import numpy as np
import pytest
from confluent_kafka.admin import AdminClient

from schemas.topics import CHANGELOG, ORDERS, PRICE_CHANGES, TICKS
from streams.errors import CutFailed, GroupReset, OffsetGap
from streams.log_reader import Cancelled, Offsets
from streams.shard import WINDOWED
from streams.state.skip import Skipped, skip_expired
from streams.takeover import Takeover
from streams.transport.identity import Claim
from streams.transport.partition import Partition
from streams.transport.raw_producer import Producer
from tests.integration.cuts import ROW, cut, membership, publish, read, rows_of, shop, visible, writer

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka):
    return shop(kafka, 10)


@pytest.fixture
def claim(settings):
    with membership(settings) as ours:
        yield ours


def test_a_cut_makes_rows_outputs_and_offsets_visible_together(settings, claim):
    writer(settings).commit(cut(settings, claim, applied=7, rows=[(b"web:a", 5)], outputs=["v0", "v1"]))
    shard = read(settings)[0]
    assert rows_of(shard) == {b"web:a": np.array([(5,)], ROW).tobytes()}
    assert shard.applied[ORDERS.name] == 7
    assert visible(settings, PRICE_CHANGES) == [b"v0", b"v1"]
    consumer = ck.Consumer(settings.consumer_config())
    (committed,) = consumer.committed([ck.TopicPartition(ORDERS.full_name(settings.topic_prefix), 0)], timeout=10)
    consumer.close()
    assert committed.offset == 7


def test_an_old_generation_cannot_commit_and_leaves_nothing(settings, claim):
    old = Claim(claim.group, claim.generation - 1, claim.member, claim.partitions)
    with pytest.raises(CutFailed):
        writer(settings).commit(cut(settings, old, applied=7, rows=[(b"web:a", 5)], outputs=["v0", "v1"]))
    assert visible(settings, PRICE_CHANGES) == []
    assert read(settings, instance="b")[0].record is None


def test_an_unknown_member_cannot_commit(settings, claim):
    stranger = Claim(claim.group, claim.generation, "somebody-else", claim.partitions)
    with pytest.raises(CutFailed):
        writer(settings).commit(cut(settings, stranger, applied=7, outputs=["v0"]))
    assert visible(settings, PRICE_CHANGES) == []


def test_a_second_producer_with_our_transactional_id_fences_the_first_for_good(settings, claim):
    first, second = writer(settings), writer(settings)
    first.open()
    second.open()
    with pytest.raises(CutFailed):
        first.commit(cut(settings, claim, applied=3, outputs=["v0"]))
    second.commit(cut(settings, claim, applied=4))
    assert visible(settings, PRICE_CHANGES) == []
    assert read(settings)[0].applied[ORDERS.name] == 4


def test_a_failed_cut_can_be_followed_by_a_good_one(settings, claim):
    ours = writer(settings)
    stranger = Claim(claim.group, claim.generation, "somebody-else", claim.partitions)
    with pytest.raises(CutFailed):
        ours.commit(cut(settings, stranger, applied=7, outputs=["v0"]))
    ours.commit(cut(settings, claim, applied=8, outputs=["v0"]))
    assert read(settings)[0].applied[ORDERS.name] == 8


class _DiedError(BaseException):
    """Stands for the process being gone: nothing of the writer's clean-up runs."""


@pytest.mark.parametrize("point", ["produced", "offsets_added"])
def test_a_takeover_ends_a_dead_owners_transaction_at_once_and_sees_nothing_of_it(settings, claim, point):
    def die(at):
        if at == point:
            if dead._producer is not None:
                dead._producer.flush(5)
            raise _DiedError

    dead = writer(settings, at_point=die)
    alive = writer(settings, instance="before")
    alive.commit(cut(settings, claim, applied=2, rows=[(b"web:a", 2)], instance="before"))
    with pytest.raises(_DiedError):
        dead.commit(cut(settings, claim, applied=5, rows=[(b"web:a", 5)], outputs=["v0"]))
    started = time.monotonic()
    shard = read(settings, instance="b")[0]
    assert shard.applied[ORDERS.name] == 2
    assert rows_of(shard) == {b"web:a": np.array([(2,)], ROW).tobytes()}
    assert time.monotonic() - started < 30, "the transaction's own timeout is 60 s"
    tp = Partition(CHANGELOG.full_name(settings.topic_prefix), 0)
    offsets = Offsets(settings.consumer_config())
    assert offsets.end([tp], committed=True) == offsets.end([tp], committed=False)


def test_a_group_that_somebody_reset_is_refused(settings, claim):
    writer(settings).commit(cut(settings, claim, applied=7))
    producer = Producer({**settings.producer_config(), "transactional.id": "op", "retry.backoff.ms": 2})
    producer.init_transactions(10)
    producer.begin_transaction()
    orders = Partition(ORDERS.full_name(settings.topic_prefix), 0)
    producer.send_offsets_to_transaction({orders: 3}, claim, 10)
    producer.commit_transaction(10)
    with pytest.raises(GroupReset, match="the group's offset is 3, the shard record says 7"):
        read(settings)


def test_what_the_next_owner_commits_while_we_read_is_no_reset(settings, claim):
    """A worker that was frozen for longer than its session reads shards that are at work elsewhere."""
    owner, positions = writer(settings, instance="next"), [8, 9]
    owner.commit(cut(settings, claim, applied=7, instance="next"))

    class OvertakenTakeover(Takeover):
        def _read_changelog(self, *asked):
            if positions:
                owner.commit(cut(settings, claim, applied=positions.pop(0), instance="next"))
            return super()._read_changelog(*asked)

    shard = OvertakenTakeover(settings, windowed=WINDOWED).read([0], lambda: False)[0]
    assert shard.applied[ORDERS.name] == 9


def test_records_that_expired_before_they_were_read_are_an_error_until_a_person_skips_them(settings):
    topic = ORDERS.full_name(settings.topic_prefix)
    with membership(settings) as claim:
        writer(settings).commit(cut(settings, claim, applied=2, rows=[(b"web:a", 2)]))
    admin = AdminClient(settings.client_config())
    for future in admin.delete_records([ck.TopicPartition(topic, 0, 6)]).values():
        future.result(10)
    with pytest.raises(OffsetGap, match=r"records 2 to 5 have expired.*`repricer state skip-expired`"):
        read(settings)
    assert skip_expired(settings) == [Skipped(ORDERS.name, 0, 2, 5)]
    shard = read(settings)[0]
    assert (shard.applied[ORDERS.name], list(shard.keys)) == (6, [b"web:a"])
    assert skip_expired(settings) == []


def test_ticks_may_expire_because_later_ones_say_the_same(settings, claim):
    publish(settings, 6, TICKS)
    writer(settings).commit(cut(settings, claim))
    admin = AdminClient(settings.client_config())
    place = ck.TopicPartition(TICKS.full_name(settings.topic_prefix), 0, 4)
    for future in admin.delete_records([place]).values():
        future.result(10)
    assert read(settings)[0].applied[TICKS.name] == 4


def test_a_topic_that_ends_before_what_was_applied_is_not_the_one_that_the_state_came_from(settings, claim):
    writer(settings).commit(cut(settings, claim, applied=11))
    with pytest.raises(OffsetGap, match="the topic ends at 10"):
        read(settings)


def test_a_takeover_that_is_no_longer_wanted_stops(settings):
    with pytest.raises(Cancelled):
        Takeover(settings, windowed=WINDOWED).read([0], lambda: True)
