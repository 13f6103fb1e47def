"""Cuts and takeovers without a worker: a real membership of a group, the writer, and the reader of the log."""

import contextlib
import functools
import struct
import time
import uuid

import confluent_kafka as ck
import numpy as np

from schemas.binary import BinaryArray
from schemas.topics import CHANGELOG, HOT_SOURCES, ORDERS, PRICE_CHANGES
from streams.changelog import FORMAT, ShardRecord, encode_shard_record
from streams.keeping import identities
from streams.log_reader import Offsets
from streams.output import OutputBatch
from streams.settings import Settings
from streams.shard import WINDOWED
from streams.takeover import Takeover
from streams.topic_admin import TopicAdmin
from streams.transaction import Cut, ShardRows, TransactionWriter
from streams.transport.identity import Claim
from streams.transport.partition import Partition

ROW = np.dtype([("n", "<i8")])


def shop(servers, records):
    """Settings with topics of their own, and orders in partition 0."""
    name = f"t{uuid.uuid4().hex[:8]}"
    ours = Settings(bootstrap_servers=servers, topic_prefix=name, group=name, instance="a", partitions=2)
    TopicAdmin(ours).apply()
    publish(ours, records)
    return ours


def publish(settings, records, topic=ORDERS):
    producer = ck.Producer(settings.producer_config())
    for _ in range(records):
        producer.produce(topic.full_name(settings.topic_prefix), b"{}", b"k", 0)
    assert producer.flush(10) == 0


@contextlib.contextmanager
def membership(settings):
    """A real membership of the group, taken from a consumer that stays in it."""
    consumer = ck.Consumer({**settings.consumer_config(), "session.timeout.ms": 6000})
    consumer.subscribe([ORDERS.full_name(settings.topic_prefix)])
    deadline = time.monotonic() + 20
    while not consumer.assignment() and time.monotonic() < deadline:
        consumer.poll(0.1)
    metadata = consumer.consumer_group_metadata()
    (generation,) = struct.unpack("<i", metadata[7:11])
    member = metadata[11:].split(b"\0")[1].decode()
    try:
        yield Claim(settings.group, generation, member, frozenset({0, 1}))
    finally:
        consumer.close()


def writer(settings, instance="a", at_point=lambda _: None):
    return TransactionWriter(
        settings.producer_config(),
        transactional_id=f"{settings.group}-{instance}",
        changelog=CHANGELOG.full_name(settings.topic_prefix),
        transaction_timeout_s=60,
        at_point=at_point,
    )


@functools.cache
def topic_ids(servers, prefix):
    """What the broker calls the topics of a shop."""
    return identities(Offsets({"bootstrap.servers": servers}), prefix)


def cut(settings, claim, *, applied=0, rows=(), outputs=(), instance="a", partition=0, record_format=FORMAT):
    positions = {topic.name: 0 for topic in HOT_SOURCES} | {ORDERS.name: applied}
    ids = {} if record_format == 1 else topic_ids(settings.bootstrap_servers, settings.topic_prefix)
    record = ShardRecord(record_format, f"{settings.group}-{instance}", 1, positions, {}, 0, 0, 0, ids)
    keys = BinaryArray.of(key for key, _ in rows)
    values = np.array([(n,) for _, n in rows], ROW)
    prefix = settings.topic_prefix
    return Cut(
        claim,
        [ShardRows(partition, encode_shard_record(record), keys, values)],
        [OutputBatch.of(PRICE_CHANGES.full_name(prefix), partition, [(b"k", value.encode()) for value in outputs])],
        {Partition(topic.full_name(prefix), partition): positions[topic.name] for topic in HOT_SOURCES},
    )


def read(settings, partitions=(0,), instance="a"):
    reader = settings.model_copy(update={"instance": instance})
    return Takeover(reader, windowed=WINDOWED).read(partitions, lambda: False)


def rows_of(shard):
    """State rows that a takeover has read, by key."""
    return dict(zip(shard.keys, shard.rows, strict=True))


def visible(settings, topic):
    tp = Partition(topic.full_name(settings.topic_prefix), 0)
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": "look", "enable.partition.eof": True})
    consumer.assign([ck.TopicPartition(*tp, 0)])
    values = []
    while True:
        for message in consumer.consume(100, 5):
            if message.error():
                consumer.close()
                return values
            values.append(message.value())


def recreate(settings, topic):
    """Delete a topic and create it anew, as `repricer topics apply` does."""
    admin, name = TopicAdmin(settings), topic.full_name(settings.topic_prefix)
    admin.client.delete_topics([name])[name].result(20)
    deadline = time.monotonic() + 30
    while name in admin.cluster().topics:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert TopicAdmin(settings).apply() == [name]
