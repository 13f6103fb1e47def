"""A transactional producer on librdkafka's own interface: whole columns of records at a time, without Python's lock.

confluent-kafka's producer takes one record a call, with a list of headers made for it, and holds the interpreter
meanwhile: that was a quarter of what a decision cost. Errors are confluent-kafka's own.
"""

from __future__ import annotations

import ctypes
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from ctypes import c_void_p
from typing import Any

import confluent_kafka as ck
import numpy as np

from schemas.binary import BinaryArray, Int64
from streams.output import OutputBatch
from streams.transport.identity import Claim
from streams.transport.librdkafka import PRODUCER, Client, lib, places
from streams.transport.partition import Partition
from streams.transport.raw_messages import CODE, TOPIC
from streams.transport.raw_records import (
    COPY,
    HEADER,
    KEY,
    KEY_AT,
    MSGFLAGS,
    PARTITION,
    RKT,
    VALUE,
    VALUE_AT,
    VU_WORDS,
    Column,
    first_failed,
    produce,
)

QUEUE_FULL = ck.KafkaError._QUEUE_FULL  # noqa: SLF001  # librdkafka's public code, spelt private in Python
TIMED_OUT = ck.KafkaError._TIMED_OUT  # noqa: SLF001
DRAIN_MS = 10
GRACE_S = 1.0
"""The library ends a request itself; should it not, we do."""
EXPLANATION_S = 0.2
PURGE_ALL = 3  # RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT
ID_HEADER = b"ce_id"

_PRODUCEVA = ctypes.cast(lib.rd_kafka_produceva, c_void_p).value or 0
_NOTHING: Column = 0, np.empty(0, np.int64), np.empty(0, np.int64)


class Producer:
    """One transactional id. Of one thread; a call that hangs in the library is left to itself (`_bounded`)."""

    def __init__(
        self, config: Mapping[str, Any], *, on_undelivered: Callable[[ck.KafkaError, str], None] = lambda *_: None
    ) -> None:
        """Make it; no broker is waited for.

        Args:
            config: As confluent-kafka takes it.
            on_undelivered: Told error and topic of records that could not be delivered, the first of many at once.

        Raises:
            ConfigurationError: The configuration is refused.
        """
        self._on_undelivered = on_undelivered
        self._client = Client(PRODUCER, config)
        self._reports = lib.rd_kafka_queue_get_main(self._client.handle)
        self._topics: dict[str, int] = {}
        self._destroy = weakref.finalize(self, _destroy, self._client.handle, self._reports, self._topics)

    @staticmethod
    def warm_up() -> None:
        """Compile everything."""
        produce(0, 0, np.zeros((1, VU_WORDS), np.int64), 0, _NOTHING, _NOTHING, _NOTHING)
        first_failed(np.empty(0, np.int64))

    def init_transactions(self, timeout_s: float) -> None:
        """Settle what became of the last transaction of this id, and fence its former producer.

        Raises:
            confluent_kafka.KafkaException: If the broker refuses, or does not answer.
        """
        self._check(lib.rd_kafka_init_transactions(self._client.handle, _ms(timeout_s)))

    def begin_transaction(self) -> None:
        """Begin.

        Raises:
            confluent_kafka.KafkaException: If there is no producer id, or a fatal error.
        """
        self._check(lib.rd_kafka_begin_transaction(self._client.handle))

    def produce(self, batch: OutputBatch) -> None:
        """Put records into the transaction. Waits while the local queue is full; the messages' time limit bounds that.

        Raises:
            confluent_kafka.KafkaException: If the library refuses one.
        """
        arguments, kept = self._arguments(batch)
        columns = _column(batch.keys), _column(batch.values), _column(batch.ids)
        done = 0
        while done < len(batch):
            done, address = produce(_PRODUCEVA, self._client.handle, arguments, done, *columns)
            if address:
                error = _error(address)
                if error.code() != QUEUE_FULL:
                    raise ck.KafkaException(error)
                self._hear_reports(DRAIN_MS)
        del kept

    def send_offsets_to_transaction(self, offsets: Mapping[Partition, int], claim: Claim, timeout_s: float) -> None:
        """Make the group's offsets part of the transaction; here the broker compares the claim with the group.

        Raises:
            confluent_kafka.KafkaException: If the broker refuses, or does not answer.
        """
        member = claim.group.encode(), claim.generation, claim.member.encode(), None
        metadata = lib.rd_kafka_consumer_group_metadata_new_with_genid(*member)

        def send() -> int | None:
            try:
                with places(offsets) as where:
                    answer: int | None = lib.rd_kafka_send_offsets_to_transaction(
                        self._client.handle, where, metadata, _ms(timeout_s)
                    )
                    return answer
            finally:
                lib.rd_kafka_consumer_group_metadata_destroy(metadata)

        self._check(self._bounded(send, timeout_s + GRACE_S))

    def flush(self, timeout_s: float) -> None:
        """Wait until all records are delivered, or cannot be; at most ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        while lib.rd_kafka_outq_len(self._client.handle) and (left := deadline - time.monotonic()) > 0:
            self._hear_reports(_ms(left))

    def commit_transaction(self, timeout_s: float) -> None:
        """Wait until all records are delivered, and commit.

        The library would wait, too, but look only every 10 ms whether they are.

        Raises:
            confluent_kafka.KafkaException: If it is not committed, or whether it is remains unknown.
        """
        deadline = time.monotonic() + timeout_s
        self.flush(timeout_s)
        self._check(lib.rd_kafka_commit_transaction(self._client.handle, _ms(max(deadline - time.monotonic(), 0))))

    def close(self) -> None:
        """Drop what is queued, and let go of the broker and of all memory."""
        self._destroy()

    def _bounded(self, call: Callable[[], int | None], limit_s: float) -> int | None:
        """Wait for a call of the library that may never return.

        Looking for the group's coordinator has no time limit in librdkafka (2.16: ``creq_ts_timeout`` is set, and
        never read); after a broker had died twice, every other worker waited for ever. The thread is left behind.
        """
        answers: list[int | None] = []
        thread = threading.Thread(target=lambda: answers.append(call()), name="send_offsets", daemon=True)
        thread.start()
        thread.join(limit_s)
        if not answers:
            self._destroy.detach()  # the call goes on using it; the next producer of this id fences it
            raise ck.KafkaException(ck.KafkaError(TIMED_OUT, f"no answer within {limit_s:g} s"))
        return answers[0]

    def _arguments(self, batch: OutputBatch) -> tuple[Int64, list[Any]]:
        """Arguments of a call, and what they point to."""
        topic = self._topics.get(batch.topic)
        if topic is None:
            topic = lib.rd_kafka_topic_new(self._client.handle, batch.topic.encode(), None)
            if not topic:
                raise ck.KafkaException(ck.KafkaError(ck.KafkaError._INVALID_ARG, f"no topic {batch.topic!r}"))  # noqa: SLF001
            self._topics[batch.topic] = topic
        named = [] if batch.ids is None else [(ID_HEADER, b"")]
        named += [(name.encode(), value) for name, value in batch.headers]
        texts = [(ctypes.create_string_buffer(name), ctypes.create_string_buffer(value)) for name, value in named]
        arguments = np.zeros((5 + len(named), VU_WORDS), np.int64)
        arguments[VALUE_AT, 0], arguments[KEY_AT, 0] = VALUE, KEY
        for row, (name, value) in enumerate(texts, start=2):
            arguments[row, :4] = HEADER, ctypes.addressof(name), ctypes.addressof(value), len(value) - 1
        arguments[-3:, :2] = (RKT, topic), (PARTITION, batch.partition), (MSGFLAGS, COPY)
        return arguments, texts

    def _check(self, address: int | None) -> None:
        """Raise the error at an address, if there is one; first, tell what could not be delivered, which explains it.

        Within a limit: the report comes a little later than the transaction's error that follows from it.
        """
        if address:
            error = _error(address)
            self.flush(EXPLANATION_S)
            raise ck.KafkaException(error)

    def _hear_reports(self, timeout_ms: int) -> None:
        """Wait for a delivery report, which is of many records, and tell of the first that was not delivered."""
        event = lib.rd_kafka_queue_poll(self._reports, timeout_ms)
        if not event:
            return
        messages = np.empty(lib.rd_kafka_event_message_count(event), np.int64)
        n = lib.rd_kafka_event_message_array(event, messages.ctypes.data, len(messages))
        failed = first_failed(messages[:n])
        if failed >= 0:
            message = int(messages[failed])
            code = ctypes.c_int.from_address(message + CODE).value
            text = lib.rd_kafka_err2str(code).decode()  # rd_kafka_message_errstr gives the record itself
            topic = ctypes.c_void_p.from_address(message + TOPIC).value
            self._on_undelivered(ck.KafkaError(code, text), lib.rd_kafka_topic_name(topic).decode())
        lib.rd_kafka_event_destroy(event)


def _destroy(client: int, reports: int, topics: Mapping[str, int]) -> None:
    lib.rd_kafka_purge(client, PURGE_ALL)
    for topic in topics.values():
        lib.rd_kafka_topic_destroy(topic)
    lib.rd_kafka_queue_destroy(reports)
    lib.rd_kafka_destroy(client)


def _column(array: BinaryArray | None) -> Column:
    return _NOTHING if array is None else (array.data.ctypes.data, array.start, array.length)


def _error(address: int) -> ck.KafkaError:
    """Make the library's error confluent-kafka's own, and give its memory back."""
    error = ck.KafkaError(
        lib.rd_kafka_error_code(address),
        lib.rd_kafka_error_string(address).decode("utf-8", "replace"),
        bool(lib.rd_kafka_error_is_fatal(address)),
        bool(lib.rd_kafka_error_is_retriable(address)),
        bool(lib.rd_kafka_error_txn_requires_abort(address)),
    )
    lib.rd_kafka_error_destroy(address)
    return error


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
