"""Two controls: what goes wrong when a protection of the protocol is switched off."""

import struct
import threading

import confluent_kafka as ck
import pytest

from schemas.topics import HOT_SOURCES, ORDERS, PRICE_CHANGES
from streams.shard import WINDOWED
from streams.takeover import Takeover
from streams.transport.partition import Partition
from tests.integration.cuts import cut, membership, shop, visible, writer

pytestmark = pytest.mark.kafka


@pytest.fixture
def settings(kafka):
    return shop(kafka, 10)


@pytest.fixture
def claim(settings):
    with membership(settings) as ours:
        yield ours


def test_control_without_our_check_the_broker_accepts_the_identity_of_a_lost_member(settings, claim):
    """The hole that `Claim` closes: generation -1 and no member is what aiokafka resets to."""
    lost = b"CGMDv2:" + struct.pack("<i", -1) + claim.group.encode() + b"\0\0\x01"
    producer = ck.Producer({**settings.producer_config(), "transactional.id": "lost", "retry.backoff.ms": 2})
    producer.init_transactions(10)
    producer.begin_transaction()
    topic = ORDERS.full_name(settings.topic_prefix)
    producer.send_offsets_to_transaction([ck.TopicPartition(topic, 0, 99)], lost, 10)
    producer.commit_transaction(10)
    consumer = ck.Consumer(settings.consumer_config())
    (committed,) = consumer.committed([ck.TopicPartition(topic, 0)], timeout=10)
    consumer.close()
    assert committed.offset == 99


class Hasty(Takeover):
    """Takes what the group has committed without waiting for transactions that are pending on it."""

    def _stable_offsets(self, partitions, _fencer, _cancelled):
        consumer = ck.Consumer({**self._config, "isolation.level": "read_uncommitted"})
        names = [topic.full_name(self._settings.topic_prefix) for topic in HOT_SOURCES]
        answer = consumer.committed([ck.TopicPartition(name, p) for name in names for p in partitions], timeout=10)
        consumer.close()
        return {Partition(tp.topic, tp.partition): tp.offset for tp in answer}


class Frozen:
    """A cut that stops between adding offsets and committing; its records have not left the process by then."""

    def __init__(self, settings, claim):
        self._stopped, self._go_on = threading.Event(), threading.Event()
        self._writer = writer(settings, "frozen", self._at_point)
        self._writer._config["linger.ms"] = 10_000
        self._cut = cut(settings, claim, applied=7, rows=[(b"web:a", 7)], outputs=["0-7"], instance="frozen")
        self._thread = threading.Thread(target=self._writer.commit, args=[self._cut])
        self._thread.start()
        assert self._stopped.wait(30)

    def _at_point(self, name):
        if name == "offsets_added":
            self._stopped.set()
            assert self._go_on.wait(60)

    def thaw(self):
        self._go_on.set()
        self._thread.join(30)


def take_over_from_a_frozen_worker(settings, takeover):
    """The successor reads, and applies three orders more; the frozen worker thaws before that or after it."""
    with membership(settings) as old:
        frozen = Frozen(settings, old)
    with membership(settings) as new:
        assert new.generation > old.generation
        found = []
        reading = threading.Thread(target=lambda: found.append(takeover.read([0], lambda: False)[0]))
        reading.start()
        reading.join(3)
        was_quick = not reading.is_alive()
        if not was_quick:
            frozen.thaw()
            reading.join(30)
        start = found[0].applied[ORDERS.name]
        outputs = [f"{start}-{start + 3}"]
        writer(settings, "next").commit(cut(settings, new, applied=start + 3, outputs=outputs, instance="next"))
        if was_quick:
            frozen.thaw()
    return visible(settings, PRICE_CHANGES)


def test_a_worker_frozen_before_its_commit_commits_after_the_rebalance_and_the_takeover_waits_for_it(settings):
    takeover = Takeover(settings, windowed=WINDOWED)
    assert take_over_from_a_frozen_worker(settings, takeover) == [b"0-7", b"7-10"]


def test_control_without_the_wait_for_stable_offsets_the_same_orders_are_worked_on_twice(settings):
    takeover = Hasty(settings, windowed=WINDOWED)
    assert take_over_from_a_frozen_worker(settings, takeover) == [b"0-3", b"0-7"]
