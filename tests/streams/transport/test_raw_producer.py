"""Producing through librdkafka's C interface: the layout that we assume, and what arrives."""

import ctypes
import gc
import logging
import threading

import confluent_kafka as ck
import numpy as np
import pytest

from schemas.binary import BinaryArray
from streams.embedded_broker import EmbeddedBroker
from streams.output import OutputBatch
from streams.transport import raw_producer, raw_records
from streams.transport.identity import Claim
from streams.transport.librdkafka import PRODUCER, Client
from streams.transport.partition import Partition
from streams.transport.raw_producer import Producer

CLAIM = Claim("g", 1, "member", frozenset({0}))


class Memory(ctypes.Structure):
    _fields_ = (("ptr", ctypes.c_void_p), ("size", ctypes.c_size_t))


class Header(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("val", ctypes.c_void_p), ("size", ctypes.c_ssize_t))


class Value(ctypes.Union):
    _fields_ = (("i32", ctypes.c_int32), ("mem", Memory), ("header", Header), ("_pad", ctypes.c_char * 64))


class Argument(ctypes.Structure):
    """``rd_kafka_vu_t`` as rdkafka.h declares it."""

    _fields_ = (("vtype", ctypes.c_int), ("u", Value))


def test_the_members_of_an_argument_lie_where_the_kernel_writes():
    assert ctypes.sizeof(Argument) == 8 * raw_records.VU_WORDS
    assert (Argument.u.offset, Memory.size.offset, Header.val.offset, Header.size.offset) == (8, 8, 8, 16)


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker(topic_prefix=None) as running:
        yield running


@pytest.fixture
def producer(broker):
    made = Producer(
        {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "raw", "linger.ms": 0, "log_level": 0}
    )
    made.init_transactions(20)
    yield made
    made.close()


def read(broker, topic, count):
    consumer = ck.Consumer(
        {"bootstrap.servers": broker.bootstrap_servers, "group.id": "look", "auto.offset.reset": "earliest"}
    )
    consumer.assign([ck.TopicPartition(topic, 0, 0)])
    messages = consumer.consume(count, 20)
    consumer.close()
    return [(message.key(), message.value(), message.headers()) for message in messages]


RECORDS = [
    (b"key", b"value"),
    (None, b"no key"),
    (b"tombstone", None),
    (b"", b""),
    (b"\xff\0", bytes(range(256)) * 500),
]


def test_what_goes_in_comes_out(broker, producer):
    plain = OutputBatch.of("plain", 0, RECORDS)
    ids = BinaryArray.of([b"0-%d" % i for i in range(len(RECORDS))])
    shared = [("ce_source", b"/us"), ("empty", b"")]
    full = OutputBatch("headers", 0, plain.keys, plain.values, ids, shared)
    producer.begin_transaction()
    producer.produce(plain)
    producer.produce(full)
    producer.produce(OutputBatch.of("plain", 0, []))
    producer.commit_transaction(20)
    assert read(broker, "plain", len(RECORDS)) == [(key, value, None) for key, value in RECORDS]
    assert read(broker, "headers", len(RECORDS)) == [
        (key, value, [("ce_id", b"0-%d" % i), *shared]) for i, (key, value) in enumerate(RECORDS)
    ]


def test_a_queue_that_is_full_is_waited_for(broker):
    config = {"bootstrap.servers": broker.bootstrap_servers, "transactional.id": "narrow", "linger.ms": 0}
    narrow = Producer({**config, "queue.buffering.max.messages": 10})
    narrow.init_transactions(20)
    narrow.begin_transaction()
    numbers = np.arange(1000).astype("S4").tolist()
    narrow.produce(OutputBatch.of("many", 0, [(None, number) for number in numbers]))
    narrow.commit_transaction(20)
    narrow.close()
    assert [value for _, value, _ in read(broker, "many", 1000)] == numbers


def test_what_cannot_be_delivered_is_named_with_its_topic():
    heard = []
    limits = {"message.timeout.ms": 1000, "transaction.timeout.ms": 1000, "transactional.id": "late"}
    with EmbeddedBroker(topic_prefix=None) as mortal:
        late = Producer(
            {"bootstrap.servers": mortal.bootstrap_servers, **limits},
            on_undelivered=lambda error, topic: heard.append((error.str(), topic)),
        )
        late.init_transactions(20)
        late.begin_transaction()
    late.produce(OutputBatch.of("topic", 0, [(b"k", b"v"), (b"k", b"w")]))
    with pytest.raises(ck.KafkaException):
        late.commit_transaction(5)
    assert heard == [("Local: Message timed out", "topic")]
    late.close()


def test_a_record_that_is_too_large_is_refused_by_its_topic_name(producer):
    producer.begin_transaction()
    with pytest.raises(ck.KafkaException, match="MSG_SIZE_TOO_LARGE"):
        producer.produce(OutputBatch.of("plain", 0, [(b"k", bytes(2_000_000))]))


def test_an_answer_that_never_comes_is_not_waited_for(producer, monkeypatch):
    """librdkafka 2.16 waits without a limit for a group coordinator that it has asked for in vain."""
    released = threading.Event()

    class Hanging:
        def __getattr__(self, name):
            return (
                (lambda *_: released.wait()) if name == "rd_kafka_send_offsets_to_transaction" else getattr(lib, name)
            )

    lib = raw_producer.lib
    monkeypatch.setattr(raw_producer, "lib", Hanging())
    monkeypatch.setattr(raw_producer, "GRACE_S", 0.05)
    producer.begin_transaction()
    with pytest.raises(ck.KafkaException, match="no answer within"):
        producer.send_offsets_to_transaction({Partition("plain", 0): 1}, CLAIM, 0.05)
    producer.close()  # returns, though the call is still inside
    released.set()


def test_a_client_that_was_dropped_without_being_closed_does_no_harm():
    """Its threads live on, and log: here that nobody listens at its address."""
    logger = logging.getLogger("dropped")
    heard = threading.Event()
    logger.addFilter(lambda _: heard.set() or False)
    Client(PRODUCER, {"bootstrap.servers": "127.0.0.1:1", "logger": logger})
    gc.collect()
    assert heard.wait(20)
