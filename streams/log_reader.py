"""Read stretches of topic partitions from start to end, outside of any group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import confluent_kafka as ck
import numpy as np
from confluent_kafka.admin import AdminClient, OffsetSpec

from schemas.binary import Int64
from streams import embedded_broker
from streams.errors import BrokerUnreachable
from streams.records import Records
from streams.transport.librdkafka import Consumer, RawMessages
from streams.transport.partition import Partition

LATEST: OffsetSpec = OffsetSpec.latest()
EARLIEST: OffsetSpec = OffsetSpec.earliest()
REQUEST_TIMEOUT_S = 10.0
GRACE_S = 2.0
"""librdkafka ends a request itself; should it not, we do."""
NO_OFFSET = -1001
"""The group has committed none."""
PAGE_RECORDS = 10_000
WAIT_S = 0.05
STALL_S = 0.25
"""Nothing arrived for so long: time to ask why."""
CONSUMER_ONLY = frozenset({"group.id", "isolation.level", "enable.auto.commit", "auto.offset.reset"})


PATIENCE_S = 120.0
"""So long may reading stand still; how long it may take in all depends on how much there is."""


class Cancelled(Exception):
    """Reading was given up because its result is no longer wanted."""


class Offsets:
    """Asks where partitions begin and end.

    For a short while, one takeover: an admin client that lived through a broker's restart answered
    FENCED_LEADER_EPOCH for ever.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._admin = AdminClient({key: config[key] for key in config if key not in CONSUMER_ONLY})
        self._cluster: str | None = None

    def end(self, tps: list[Partition], *, committed: bool) -> dict[Partition, int]:
        """Return the end of each partition: of what is committed, or the high watermark."""
        level = ck.IsolationLevel.READ_COMMITTED if committed else ck.IsolationLevel.READ_UNCOMMITTED
        return self._ask(tps, LATEST, level)

    def start(self, tps: list[Partition]) -> dict[Partition, int]:
        """Return the first offset that each partition still has."""
        return self._ask(tps, EARLIEST, ck.IsolationLevel.READ_UNCOMMITTED)

    def topic_ids(self, topics: list[str]) -> dict[str, str]:
        """Return what the broker calls the topics; a topic that is created anew gets another id.

        Empty on the embedded broker, which knows no such request.

        Raises:
            confluent_kafka.KafkaException: If one is not there, or the broker fails us.
        """
        if embedded_broker.is_embedded(self._greet(topics[0])):
            return {}
        futures = self._admin.describe_topics(ck.TopicCollection(topics), request_timeout=REQUEST_TIMEOUT_S)
        return {name: str(_answer(future).topic_id) for name, future in futures.items()}

    def _greet(self, topic: str) -> str:
        """Ask who is there first, else one first question in three waited 3 s for nothing (librdkafka 2.16)."""
        if self._cluster is None:
            self._cluster = self._admin.list_topics(topic, timeout=REQUEST_TIMEOUT_S).cluster_id or ""
        return self._cluster

    def _ask(self, tps: list[Partition], spec: OffsetSpec, level: ck.IsolationLevel) -> dict[Partition, int]:
        if not tps:
            return {}
        self._greet(tps[0].topic)
        asked = {ck.TopicPartition(*tp): spec for tp in tps}
        futures = self._admin.list_offsets(asked, isolation_level=level, request_timeout=REQUEST_TIMEOUT_S)
        return {Partition(tp.topic, tp.partition): _answer(f).offset for tp, f in futures.items()}


def _answer(future: Future[Any]) -> Any:
    """The answer, or librdkafka's error: one that is late is an error of the broker's, too, and may be tried again."""
    try:
        return future.result(REQUEST_TIMEOUT_S + GRACE_S)
    except TimeoutError as error:
        raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT)) from error  # noqa: SLF001  # librdkafka's code


def read_ranges(
    config: Mapping[str, Any],
    ranges: Mapping[Partition, tuple[int, int]],
    *,
    cancelled: Callable[[], bool],
    on_stall: Callable[[set[Partition]], None] | None = None,
    committed: bool = True,
) -> Iterator[tuple[Partition, Records]]:
    """Yield the records of ``[start, stop)`` of every partition, a page at a time, in order within a partition.

    A partition is done when its position reaches ``stop``; transaction markers and compacted records count as read.

    Args:
        config: A consumer's configuration (`Settings.consumer_config`).
        ranges: What to read. Explicit starts: OFFSET_BEGINNING costs half a second.
        cancelled: Asked between fetches.
        on_stall: Called with the partitions that are not done when nothing has arrived for `STALL_S`.
        committed: Whether records of open and aborted transactions are left out.

    Raises:
        Cancelled: If ``cancelled`` says so.
        confluent_kafka.KafkaException: If the broker reports an error.
    """
    todo = {tp: stop for tp, (start, stop) in ranges.items() if start < stop}
    if not todo:
        return
    consumer = Consumer(reader_config(config, committed=committed), max_records=PAGE_RECORDS)
    try:
        consumer.assign({tp: ranges[tp][0] for tp in todo})
        progress = time.monotonic()
        while todo:
            if cancelled():
                raise Cancelled
            raw = consumer.consume(WAIT_S)
            if len(raw):
                progress = time.monotonic()
                yield from _pages(raw, todo)
            elif on_stall is not None and time.monotonic() - progress > STALL_S:
                progress = time.monotonic()
                on_stall(set(todo))
    finally:
        consumer.close()


def read_patiently(
    config: Mapping[str, Any], ranges: Mapping[Partition, tuple[int, int]], *, patience_s: float = PATIENCE_S
) -> Iterator[tuple[Partition, Records]]:
    """As `read_ranges`, for as long as it takes: too long is only a time in which nothing comes.

    Raises:
        BrokerUnreachable: Nothing came for ``patience_s``, though there was more to read.
        confluent_kafka.KafkaException: As of `read_ranges`.
    """
    came = time.monotonic()

    def stands_still() -> bool:
        return time.monotonic() - came > patience_s

    try:
        for page in read_ranges(config, ranges, cancelled=stands_still):
            yield page
            came = time.monotonic()  # behind what was done with it
    except Cancelled as error:
        names = ", ".join(sorted(f"{tp.topic}[{tp.partition}]" for tp in ranges))
        raise BrokerUnreachable(f"nothing came of {names} for {patience_s:g} s, and there was more to read") from error


def reader_config(config: Mapping[str, Any], *, committed: bool) -> dict[str, Any]:
    """A consumer's configuration for reading stretches as fast as they come."""
    return {
        **config,
        "group.id": f"{config['group.id']}-reader",  # assign() joins no group; librdkafka wants a name
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 20,
        "fetch.queue.backoff.ms": 5,
        "queued.min.messages": 1_000_000,
        "queued.max.messages.kbytes": 65_536,
    }


def _pages(raw: RawMessages, todo: dict[Partition, int]) -> Iterator[tuple[Partition, Records]]:
    """Group by partition, drop what lies at or behind the stop, and strike finished partitions off ``todo``."""
    rows: dict[Partition, list[Int64]] = {}
    reached: dict[Partition, int] = {}
    for start, stop in raw.runs():
        tp = Partition(raw.names[int(raw.topic[start])], int(raw.partition[start]))
        if start in raw.errors:
            _require_end(int(raw.code[start]), raw.errors[start])
            reached[tp] = int(raw.offset[start])
        else:
            rows.setdefault(tp, []).append(np.arange(start, stop))
            reached[tp] = int(raw.offset[stop - 1]) + 1
    for tp, runs in rows.items():
        page = np.concatenate(runs)
        page = page[raw.offset[page] < todo.get(tp, -1)]
        if len(page):
            yield tp, Records(raw.offset[page], raw.keys.take(page), raw.values.take(page))
    for tp, offset in reached.items():
        if offset >= todo.get(tp, offset + 1):
            del todo[tp]


def _require_end(code: int, text: str) -> None:
    """An end of partition is expected; any other event is an error."""
    if code != ck.KafkaError._PARTITION_EOF:  # noqa: SLF001  # librdkafka's public code
        raise ck.KafkaException(ck.KafkaError(code, text))
