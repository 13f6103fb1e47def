"""Read stretches of topic partitions from start to end, outside of any group."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from itertools import pairwise
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, OffsetSpec

from streams import embedded_broker
from streams.transport.partition import Partition

LATEST: OffsetSpec = OffsetSpec.latest()
EARLIEST: OffsetSpec = OffsetSpec.earliest()
REQUEST_TIMEOUT_S = 10.0
GRACE_S = 2.0
"""librdkafka ends a request itself; should it not, we do."""
NO_OFFSET = -1001
"""The group has committed none."""
STALL_S = 0.25
"""Nothing arrived for so long: time to ask why."""
CONSUMER_ONLY = frozenset({"group.id", "isolation.level", "enable.auto.commit", "auto.offset.reset"})


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
) -> Iterator[tuple[Partition, list[ck.Message]]]:
    """Yield the messages of ``[start, stop)`` of every partition, in order within a partition.

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
    consumer = _reader(config, committed=committed)
    try:
        consumer.assign([ck.TopicPartition(*tp, ranges[tp][0]) for tp in todo])
        progress = time.monotonic()
        while todo:
            if cancelled():
                raise Cancelled
            messages = consumer.consume(10_000, 0.05)
            if messages:
                progress = time.monotonic()
                yield from _group(messages, todo)
            elif on_stall is not None and time.monotonic() - progress > STALL_S:
                progress = time.monotonic()
                on_stall(set(todo))
    finally:
        consumer.close()


def _reader(config: Mapping[str, Any], *, committed: bool) -> ck.Consumer:
    return ck.Consumer(
        {
            **config,
            "group.id": f"{config['group.id']}-reader",  # assign() joins no group
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 1_000_000,
            "queued.max.messages.kbytes": 65_536,
        }
    )


def _group(messages: list[ck.Message], todo: dict[Partition, int]) -> Iterator[tuple[Partition, list[ck.Message]]]:
    """Group by partition, drop what lies at or behind the stop, and strike finished partitions off ``todo``."""
    runs: dict[Partition, list[ck.Message]] = {}
    reached: dict[Partition, int] = {}
    for tp, run in _runs([message for message in messages if message.error() is None]):
        reached[tp] = int(run[-1].offset() or 0) + 1
        stop = todo.get(tp, -1)
        if reached[tp] > stop:
            run = [message for message in run if int(message.offset() or 0) < stop]  # noqa: PLW2901  # the same run, cut
        if run:
            runs.setdefault(tp, []).extend(run)
    reached |= map(_end, [message for message in messages if message.error() is not None])
    yield from runs.items()
    for tp, offset in reached.items():
        if offset >= todo.get(tp, offset + 1):
            del todo[tp]


def _runs(messages: list[ck.Message]) -> Iterator[tuple[Partition, list[ck.Message]]]:
    """Stretches of one partition. They are long: what is asked of each message is little."""
    places = [(message.topic(), message.partition()) for message in messages]
    edges = [i for i in range(1, len(places)) if places[i] != places[i - 1]]
    for start, stop in pairwise([0, *edges, len(places)]):
        if start < stop:
            topic, partition = places[start]
            yield Partition(str(topic), int(partition or 0)), messages[start:stop]


def _end(message: ck.Message) -> tuple[Partition, int]:
    """Partition and offset of an end of partition; any other event is an error."""
    error = message.error()
    if error is None or error.code() != ck.KafkaError._PARTITION_EOF:  # noqa: SLF001  # librdkafka's public code
        raise ck.KafkaException(error)
    return Partition(str(message.topic()), int(message.partition() or 0)), int(message.offset() or 0)
