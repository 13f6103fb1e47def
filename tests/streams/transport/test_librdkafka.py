"""Reading through librdkafka's C interface: the layout that we assume, and the records that come out."""

import ctypes
import time

import confluent_kafka as ck
import pytest

from streams.embedded_broker import EmbeddedBroker
from streams.errors import ConfigurationError
from streams.transport import raw_messages
from streams.transport.librdkafka import Consumer
from streams.transport.partition import Partition


class Message(ctypes.Structure):
    """``rd_kafka_message_t`` as rdkafka.h declares it."""

    _fields_ = (
        ("err", ctypes.c_int),
        ("rkt", ctypes.c_void_p),
        ("partition", ctypes.c_int32),
        ("payload", ctypes.c_void_p),
        ("len", ctypes.c_size_t),
        ("key", ctypes.c_void_p),
        ("key_len", ctypes.c_size_t),
        ("offset", ctypes.c_int64),
        ("_private", ctypes.c_void_p),
    )


def test_the_members_of_a_message_lie_where_the_kernels_look():
    names = ("err", "rkt", "partition", "payload", "len", "key", "key_len", "offset")
    ours = ("CODE", "TOPIC", "PARTITION", "VALUE", "VALUE_LENGTH", "KEY", "KEY_LENGTH", "OFFSET")
    assert [getattr(raw_messages, name) for name in ours] == [getattr(Message, name).offset for name in names]


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker(topic_prefix=None) as running:
        yield running


RECORDS = [
    (0, b"key", b"value"),
    (0, None, b"value without a key"),
    (0, b"tombstone", None),
    (1, b"", b""),
    (1, b"\xff\0", bytes(range(256)) * 500),
    (0, b"key", b"again"),
]


@pytest.fixture(scope="module")
def topic(broker):
    producer = ck.Producer({"bootstrap.servers": broker.bootstrap_servers, "linger.ms": 0})
    for partition, key, value in RECORDS:
        producer.produce("raw", value, key, partition)
        assert producer.flush(20) == 0
    return "raw"


def consumer(broker, **config):
    servers = {"bootstrap.servers": broker.bootstrap_servers, "group.id": "raw", "enable.partition.eof": True}
    return Consumer({**servers, **config}, max_records=100)


def read(reader, ends):
    """Records by partition, and where each partition ended, until ``ends`` of them have."""
    records, ended, deadline = {}, {}, time.monotonic() + 20
    while len(ended) < ends:
        raw = reader.consume()
        for start, stop in raw.runs():
            tp = Partition(raw.names[int(raw.topic[start])], int(raw.partition[start]))
            if start in raw.errors:
                assert raw.code[start] == ck.KafkaError._PARTITION_EOF
                ended[tp] = int(raw.offset[start])
            else:
                rows = range(start, stop)
                records.setdefault(tp, []).extend((int(raw.offset[i]), raw.keys[i], raw.values[i]) for i in rows)
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return records, ended


def test_records_come_out_as_they_were_put_in_nulls_and_all(broker, topic):
    reader = consumer(broker)
    reader.assign({Partition(topic, 0): 0, Partition(topic, 1): 0})
    records, ended = read(reader, 2)
    for partition in (0, 1):
        expected = [(key, value) for p, key, value in RECORDS if p == partition]
        assert records[Partition(topic, partition)] == [(i, *record) for i, record in enumerate(expected)]
        assert ended[Partition(topic, partition)] == len(expected)
        assert reader.end(topic, partition) == len(expected)
    reader.close()


def test_it_reads_on_from_where_it_is_told_and_nothing_else(broker, topic):
    reader = consumer(broker)
    reader.assign({Partition(topic, 0): 0, Partition(topic, 1): 0})
    read(reader, 2)
    reader.assign({Partition(topic, 0): 3})
    records, _ = read(reader, 1)
    assert records == {Partition(topic, 0): [(3, b"key", b"again")]}
    reader.close()


def test_a_setting_that_librdkafka_does_not_know_is_refused_by_name(broker):
    with pytest.raises(ConfigurationError, match=r"no\.such\.setting"):
        consumer(broker, **{"no.such.setting": 1})


def test_closing_twice_is_no_fault(broker):
    reader = consumer(broker)
    reader.close()
    reader.close()
