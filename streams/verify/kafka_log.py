"""The raw topics of a Kafka, through a plain consumer of confluent-kafka. Nothing of the worker's reading is used."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from itertools import groupby

import confluent_kafka as ck

from schemas.topics import HOT_SOURCES, TOPICS, Topic
from streams.dlq.coordinates import replayed_from
from streams.errors import BrokerUnreachable
from streams.settings import Settings
from streams.topic_admin import TopicAdmin
from streams.topic_presence import require_present
from streams.verify.log import Chunk, GroupOffsets

REQUEST_TIMEOUT_S = 15.0
STALL_S = 45.0
"""Nothing was read for so long. A transaction that nobody ends is aborted by the broker much earlier."""

_END = ck.KafkaError._PARTITION_EOF  # noqa: SLF001  # librdkafka's public code, spelt private in Python


class KafkaLog:
    """Implements `streams.verify.log.Log`. Joins no group and commits nothing.

    Raises:
        TopicMismatch: If a topic is missing.
        BrokerUnreachable: If the broker does not answer, or records do not come.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._config = {
            **settings.consumer_config(),
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 200_000,
            "queued.max.messages.kbytes": 131_072,
        }
        self._asking = ck.Consumer({**self._config, "isolation.level": "read_uncommitted"})
        self._partitions = require_present(settings, TOPICS)
        self._embedded = TopicAdmin(settings).embedded

    def close(self) -> None:
        """Leave the broker."""
        self._asking.close()

    @property
    def partitions(self) -> int:
        """Of every topic."""
        return self._partitions

    def starts(self, topic: Topic) -> dict[int, int]:
        """First offset that each partition still has."""
        return {p: low for p, (low, _) in self._watermarks(topic).items()}

    def ends(self, topic: Topic) -> dict[int, int]:
        """High watermark of each partition."""
        return {p: high for p, (_, high) in self._watermarks(topic).items()}

    def group_offsets(self) -> GroupOffsets | None:
        """What the workers' group has committed; transactions on it that are open are waited for."""
        if self._embedded:
            return None
        short = {topic.full_name(self._settings.topic_prefix): topic.name for topic in HOT_SOURCES}
        asked = [ck.TopicPartition(name, p) for name in short for p in range(self._partitions)]
        consumer, deadline = ck.Consumer(self._config), time.monotonic() + STALL_S
        try:
            while True:
                found = self._committed(consumer, asked, last=time.monotonic() > deadline)
                if found is not None:
                    return {(short[tp.topic], tp.partition): tp.offset if tp.offset >= 0 else None for tp in found}
        finally:
            consumer.close()

    def read(self, topic: Topic, ranges: Mapping[int, tuple[int, int]], *, replays: bool = False) -> Iterator[Chunk]:
        """Yield the committed records of every range."""
        name = topic.full_name(self._settings.topic_prefix)
        todo = {p: stop for p, (start, stop) in ranges.items() if start < stop}
        if not todo:
            return
        consumer = ck.Consumer(self._config)
        try:
            consumer.assign([ck.TopicPartition(name, p, ranges[p][0]) for p in todo])
            progress = time.monotonic()
            while todo:
                messages = consumer.consume(10_000, 0.1)
                if messages:
                    progress = time.monotonic()
                elif time.monotonic() - progress > STALL_S:
                    raise BrokerUnreachable(f"nothing came from {name} {sorted(todo)} for {STALL_S:g} s")
                yield from _chunks(messages, todo, replays=replays)
        finally:
            consumer.close()

    def _watermarks(self, topic: Topic) -> dict[int, tuple[int, int]]:
        name = topic.full_name(self._settings.topic_prefix)
        found = {}
        for p in range(self._partitions):
            try:
                low, high = self._asking.get_watermark_offsets(ck.TopicPartition(name, p), timeout=REQUEST_TIMEOUT_S)
            except ck.KafkaException as error:
                raise BrokerUnreachable(f"{name}[{p}]: {error}") from error
            found[p] = (low, high)
        return found

    @staticmethod
    def _committed(
        consumer: ck.Consumer, asked: list[ck.TopicPartition], *, last: bool
    ) -> list[ck.TopicPartition] | None:
        """Ask once; None if the answer is not there yet (a transaction is open, a coordinator is being chosen)."""
        try:
            found = consumer.committed(asked, timeout=REQUEST_TIMEOUT_S)
        except ck.KafkaException as error:
            if last:
                raise BrokerUnreachable(f"the group's offsets: {error}") from error
            time.sleep(0.1)
            return None
        return found if last or not any(tp.error for tp in found) else None


def _chunks(messages: list[ck.Message], todo: dict[int, int], *, replays: bool) -> Iterator[Chunk]:
    """Cut what was consumed into chunks of one partition; strike partitions that are done off ``todo``."""
    for partition, run in groupby(messages, ck.Message.partition):
        taken = list(run)
        reached = 0
        for message in taken:
            error = message.error()
            if error is None:
                continue
            if error.code() != _END:
                raise BrokerUnreachable(f"{message.topic()}[{partition}]: {error}")
            reached = int(message.offset() or 0)
        stop = todo.get(int(partition or 0), 0)
        records = [m for m in taken if m.error() is None]
        if records:
            reached = max(reached, int(records[-1].offset() or 0) + 1)
            if reached > stop:
                records = [m for m in records if int(m.offset() or 0) < stop]
            yield _chunk(int(partition or 0), records, replays=replays)
        if reached >= stop:
            todo.pop(int(partition or 0), None)


def _chunk(partition: int, records: list[ck.Message], *, replays: bool) -> Chunk:
    offsets = [int(offset or 0) for offset in map(ck.Message.offset, records)]
    marks = {}
    if replays:
        headers = zip(offsets, map(ck.Message.headers, records), strict=True)
        marks = {offset: mark for offset, found in headers if found and (mark := replayed_from(found))}
    return Chunk(partition, offsets, list(map(ck.Message.key, records)), list(map(ck.Message.value, records)), marks)
