"""librdkafka's own interface, as far as the data plane needs it: a consumer that makes no Python object for a record.

confluent-kafka's consumer makes one for each and is asked for key, value, topic, partition, offset and error of each:
half of what a record costs. This is the same library, the one that confluent-kafka has loaded, through the C
functions that its documentation promises to keep (``rdkafka.h``). Messages stay in C; their bytes are copied once,
into the buffer of a `BinaryArray`.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_int32, c_int64, c_size_t, c_ssize_t, c_void_p
from functools import cache, partial
from typing import Any

import numpy as np
from confluent_kafka import cimpl

from schemas.binary import BinaryArray, Int64
from streams.errors import ConfigurationError, SourceUnreadable
from streams.transport.partition import Partition
from streams.transport.raw_messages import measure, unpack

NO_ERROR = 0
PRODUCER, CONSUMER = 0, 1  # rd_kafka_type_t
DELIVERY_REPORTS = 1  # RD_KAFKA_EVENT_DR: as events, many messages each, instead of a call for each
ERROR_TEXT = 512

_log_callback = CFUNCTYPE(None, c_void_p, c_int, c_char_p, c_char_p)
_SIGNATURES: Mapping[str, tuple[Any, tuple[Any, ...]]] = {
    "rd_kafka_conf_new": (c_void_p, ()),
    "rd_kafka_conf_set": (c_int, (c_void_p, c_char_p, c_char_p, c_char_p, c_size_t)),
    "rd_kafka_conf_set_log_cb": (None, (c_void_p, _log_callback)),
    "rd_kafka_new": (c_void_p, (c_int, c_void_p, c_char_p, c_size_t)),
    "rd_kafka_poll_set_consumer": (c_int, (c_void_p,)),
    "rd_kafka_queue_get_consumer": (c_void_p, (c_void_p,)),
    "rd_kafka_queue_destroy": (None, (c_void_p,)),
    "rd_kafka_consume_batch_queue": (c_ssize_t, (c_void_p, c_int, c_void_p, c_size_t)),
    "rd_kafka_message_errstr": (c_char_p, (c_void_p,)),
    "rd_kafka_message_destroy": (None, (c_void_p,)),
    "rd_kafka_topic_name": (c_char_p, (c_void_p,)),
    "rd_kafka_topic_partition_list_new": (c_void_p, (c_int,)),
    "rd_kafka_topic_partition_list_add": (c_void_p, (c_void_p, c_char_p, c_int32)),
    "rd_kafka_topic_partition_list_set_offset": (c_int, (c_void_p, c_char_p, c_int32, c_int64)),
    "rd_kafka_topic_partition_list_destroy": (None, (c_void_p,)),
    "rd_kafka_assign": (c_int, (c_void_p, c_void_p)),
    "rd_kafka_get_watermark_offsets": (c_int, (c_void_p, c_char_p, c_int32, POINTER(c_int64), POINTER(c_int64))),
    "rd_kafka_err2str": (c_char_p, (c_int,)),
    "rd_kafka_consumer_close": (c_int, (c_void_p,)),
    "rd_kafka_conf_set_events": (None, (c_void_p, c_int)),
    "rd_kafka_queue_get_main": (c_void_p, (c_void_p,)),
    "rd_kafka_queue_poll": (c_void_p, (c_void_p, c_int)),
    "rd_kafka_event_message_count": (c_size_t, (c_void_p,)),
    "rd_kafka_event_message_array": (c_size_t, (c_void_p, c_void_p, c_size_t)),
    "rd_kafka_event_destroy": (None, (c_void_p,)),
    "rd_kafka_outq_len": (c_int, (c_void_p,)),
    "rd_kafka_topic_new": (c_void_p, (c_void_p, c_char_p, c_void_p)),
    "rd_kafka_topic_destroy": (None, (c_void_p,)),
    "rd_kafka_produceva": (c_void_p, (c_void_p, c_void_p, c_size_t)),
    "rd_kafka_purge": (c_int, (c_void_p, c_int)),
    "rd_kafka_init_transactions": (c_void_p, (c_void_p, c_int)),
    "rd_kafka_begin_transaction": (c_void_p, (c_void_p,)),
    "rd_kafka_send_offsets_to_transaction": (c_void_p, (c_void_p, c_void_p, c_void_p, c_int)),
    "rd_kafka_commit_transaction": (c_void_p, (c_void_p, c_int)),
    "rd_kafka_consumer_group_metadata_new_with_genid": (c_void_p, (c_char_p, c_int32, c_char_p, c_char_p)),
    "rd_kafka_consumer_group_metadata_destroy": (None, (c_void_p,)),
    "rd_kafka_error_code": (c_int, (c_void_p,)),
    "rd_kafka_error_string": (c_char_p, (c_void_p,)),
    "rd_kafka_error_is_fatal": (c_int, (c_void_p,)),
    "rd_kafka_error_is_retriable": (c_int, (c_void_p,)),
    "rd_kafka_error_txn_requires_abort": (c_int, (c_void_p,)),
    "rd_kafka_error_destroy": (None, (c_void_p,)),
    "rd_kafka_destroy": (None, (c_void_p,)),
}


def _load() -> Any:
    """The library behind confluent-kafka's extension, wherever its wheel or its build has put it."""
    library = ctypes.CDLL(cimpl.__file__)  # a symbol is looked for in what the extension is linked to, too
    for name, (result, arguments) in _SIGNATURES.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


lib = _load()
_DESTROY = ctypes.cast(lib.rd_kafka_message_destroy, c_void_p).value or 0


class Client:
    """A handle of the library, made from a configuration as confluent-kafka takes it."""

    def __init__(self, kind: int, config: Mapping[str, Any]) -> None:
        """Make it; no broker is waited for.

        Args:
            kind: `PRODUCER` or `CONSUMER`.
            config: ``logger`` is Python's, all else the library's own.

        Raises:
            ConfigurationError: The configuration is refused.
        """
        logger = config.get("logger") or logging.getLogger("librdkafka")
        conf = lib.rd_kafka_conf_new()
        lib.rd_kafka_conf_set_log_cb(conf, _log_to(logger))
        if kind == PRODUCER:
            lib.rd_kafka_conf_set_events(conf, DELIVERY_REPORTS)
        text = ctypes.create_string_buffer(ERROR_TEXT)
        for name, value in config.items():
            if name != "logger" and lib.rd_kafka_conf_set(conf, name.encode(), _plain(value), text, ERROR_TEXT):
                raise ConfigurationError(text.value.decode())
        self.handle = lib.rd_kafka_new(kind, conf, text, ERROR_TEXT)
        if not self.handle:
            raise ConfigurationError(text.value.decode())


class RawMessages:
    """What one call has fetched, as columns. Nothing of it lives in C any more."""

    def __init__(self, addresses: Int64) -> None:
        n = len(addresses)
        self.code, self.partition, self.offset = (np.empty(n, np.int64) for _ in range(3))
        self.topic = np.empty(n, np.int64)
        """A number for each topic: its name is in ``names``."""
        size = measure(addresses, self.code, self.topic, self.partition, self.offset)
        self.names = {handle: _topic_name(handle) for handle in set(self.topic[self._changes()].tolist())}
        self.errors = {
            row: (lib.rd_kafka_message_errstr(int(addresses[row])) or b"").decode("utf-8", "replace")
            for row in np.flatnonzero(self.code).tolist()
        }
        """Text of each event that is no record, by row."""
        data = np.empty(size, np.uint8)
        places = [np.empty(n, np.int64) for _ in range(4)]
        unpack(addresses, _DESTROY, data, *places)
        self.keys, self.values = BinaryArray(data, *places[:2]), BinaryArray(data, *places[2:])

    def __len__(self) -> int:
        return len(self.code)

    def runs(self) -> list[tuple[int, int]]:
        """Stretches of rows of one topic partition, in order."""
        edges = np.append(self._changes(), len(self))
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    def _changes(self) -> Int64:
        """Rows that are of another topic partition than the one before, or an event."""
        new = np.ones(len(self), np.bool_)
        new[1:] = (self.topic[1:] != self.topic[:-1]) | (self.partition[1:] != self.partition[:-1])
        new[1:] |= (self.code[1:] != NO_ERROR) | (self.code[:-1] != NO_ERROR)
        changes: Int64 = np.flatnonzero(new)
        return changes


class Consumer:
    """A consumer with `assign`, outside of any group. Of one thread."""

    def __init__(self, config: Mapping[str, Any], *, max_records: int) -> None:
        """Make it; no broker is waited for.

        Raises:
            ConfigurationError: The configuration is refused.
        """
        self._client = Client(CONSUMER, config)
        self._handle = self._client.handle
        lib.rd_kafka_poll_set_consumer(self._handle)
        self._queue = lib.rd_kafka_queue_get_consumer(self._handle)
        self._fetched = np.empty(max_records, np.int64)

    @staticmethod
    def warm_up() -> None:
        """Compile everything."""
        RawMessages(np.empty(0, np.int64))

    def assign(self, positions: Mapping[Partition, int]) -> None:
        """Read on from ``positions`` and nothing else.

        Raises:
            SourceUnreadable: librdkafka has given up.
        """
        with places(positions) as where:
            code = lib.rd_kafka_assign(self._handle, where)
        if code:
            raise SourceUnreadable(lib.rd_kafka_err2str(code).decode())

    def consume(self, wait_s: float = 0.0) -> RawMessages:
        """Take what has arrived, at most ``max_records``; where nothing has, what comes first within ``wait_s``."""
        count = self._take(0, len(self._fetched), 0.0)
        if not count and wait_s and self._take(0, 1, wait_s):  # a call that waits does so until it has all it may take
            count = 1 + self._take(1, len(self._fetched) - 1, 0.0)
        return RawMessages(self._fetched[:count])

    def _take(self, at: int, most: int, wait_s: float) -> int:
        """Write addresses of messages from ``at`` on; returns how many."""
        wait_ms, place = int(wait_s * 1000), self._fetched[at:].ctypes.data
        return max(int(lib.rd_kafka_consume_batch_queue(self._queue, wait_ms, place, most)), 0)

    def end(self, topic: str, partition: int) -> int:
        """High watermark as the last fetch has told it; negative if none has."""
        low, high = c_int64(-1), c_int64(-1)
        lib.rd_kafka_get_watermark_offsets(self._handle, topic.encode(), partition, low, high)
        return high.value

    def close(self) -> None:
        """Let go of the broker and of all memory."""
        if self._handle:
            lib.rd_kafka_queue_destroy(self._queue)
            lib.rd_kafka_consumer_close(self._handle)
            lib.rd_kafka_destroy(self._handle)
            self._handle = None


@contextmanager
def places(positions: Mapping[Partition, int]) -> Iterator[int]:
    """Partitions with offsets as C reads them."""
    found = lib.rd_kafka_topic_partition_list_new(len(positions))
    try:
        for (topic, partition), offset in positions.items():
            lib.rd_kafka_topic_partition_list_add(found, topic.encode(), partition)
            lib.rd_kafka_topic_partition_list_set_offset(found, topic.encode(), partition, offset)
        yield found
    finally:
        lib.rd_kafka_topic_partition_list_destroy(found)


_LEVELS = (*3 * (logging.CRITICAL,), logging.ERROR, logging.WARNING, *2 * (logging.INFO,), logging.DEBUG)
"""Of Python's logging, by syslog's number."""


@cache
def _log_to(logger: logging.Logger) -> Any:
    """What C calls to log. Never freed: the threads of a client that nobody has closed go on calling it."""
    return _log_callback(partial(_log, logger))


def _log(logger: logging.Logger, _: object, level: int, facility: bytes, text: bytes) -> None:
    logger.log(_LEVELS[level], "%s: %s", facility.decode("utf-8", "replace"), text.decode("utf-8", "replace"))


def _plain(value: object) -> bytes:
    """A configuration value as librdkafka reads it."""
    return str(value).lower().encode() if isinstance(value, bool) else str(value).encode()


def _topic_name(handle: int) -> str:
    return "" if not handle else str(lib.rd_kafka_topic_name(handle).decode())
