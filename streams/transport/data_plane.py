"""librdkafka reads the hot partitions: explicit positions, epochs, batches of one partition."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import confluent_kafka as ck
import numpy as np
import structlog

from streams.errors import OffsetGap, SourceUnreadable
from streams.transport.record_batch import RecordBatch

log = structlog.get_logger(__name__)

_END = ck.KafkaError._PARTITION_EOF  # noqa: SLF001  # librdkafka's public code, spelt private in Python
_OUT_OF_RANGE = frozenset({ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
_REFUSED = frozenset({ck.KafkaError.TOPIC_AUTHORIZATION_FAILED, ck.KafkaError.GROUP_AUTHORIZATION_FAILED})


class Partition(NamedTuple):
    """A topic partition."""

    topic: str
    partition: int


@dataclass(slots=True)
class _Run:
    """Messages of one partition in one call of ``consume``, and where the partition ended, if it did."""

    messages: list[ck.Message] = field(default_factory=list)
    end: int | None = None


def _offsets(messages: list[ck.Message]) -> list[int] | range:
    first, last = messages[0].offset(), messages[-1].offset()
    if first is not None and last is not None and last - first + 1 == len(messages):
        return range(first, last + 1)
    return [offset for m in messages if (offset := m.offset()) is not None]


class DataPlane:
    """A consumer without a group: `assign` says where to read, `poll` returns what is there.

    Called from the event loop's thread only, and never blocks: handing batches over from another thread costs more
    than the calls.
    """

    def __init__(self, config: Mapping[str, Any], *, max_records: int) -> None:
        self._config = {
            **config,
            "group.id": f"{config['group.id']}-data-plane",  # assign() joins no group; librdkafka wants a name
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
            "auto.offset.reset": "error",  # expired input is an error, not a silent jump
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 65_536,
        }
        self._max_records = max_records
        self._consumer: ck.Consumer | None = None
        self._positions: dict[Partition, int] = {}
        self.epoch = 0
        self.quiet = True
        """The last poll found nothing."""
        self.full = False
        """The last poll found so much that the next one should follow at once."""

    @property
    def assigned(self) -> bool:
        """Whether there is anything to read."""
        return bool(self._positions)

    def assign(self, positions: Mapping[Partition, int]) -> int:
        """Read on from ``positions`` and nothing else. Returns the new epoch: older batches are void."""
        self.epoch += 1
        self.quiet, self.full = True, False
        self._positions = dict(positions)
        if self._consumer is None and positions:
            self._consumer = ck.Consumer(self._config)
        if self._consumer is not None:
            self._consumer.assign([ck.TopicPartition(*tp, offset) for tp, offset in positions.items()])
        return self.epoch

    def poll(self) -> list[RecordBatch]:
        """Return what has arrived, one batch for each partition, without waiting.

        Raises:
            OffsetGap: If a position is no longer in the log (retention has passed it, or the topic was cut).
            SourceUnreadable: If the broker refuses us, or librdkafka gives up.
        """
        if self._consumer is None or not self._positions:
            return []
        messages = self._consumer.consume(self._max_records, 0)
        self.quiet, self.full = not messages, 2 * len(messages) > self._max_records
        return list(self._batches(messages))

    def high_watermark(self, tp: Partition) -> int:
        """Return the end of the partition as last seen by a fetch, or -1 if none has been made. Asks nobody."""
        if self._consumer is None:
            return -1
        watermarks = self._consumer.get_watermark_offsets(ck.TopicPartition(*tp), cached=True)
        return -1 if watermarks is None else int(watermarks[1])

    def close(self) -> None:
        """Leave the broker."""
        self._positions = {}
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _batches(self, messages: list[ck.Message]) -> Iterator[RecordBatch]:
        for tp, run in self._runs(messages).items():
            position = self._positions[tp]
            taken = run.messages
            offsets: list[int] | range = range(position, position)
            if taken:
                offsets = _offsets(taken)
            following = max(run.end or 0, offsets[-1] + 1 if taken else 0, position)
            self._positions[tp] = following
            yield RecordBatch(
                *tp,
                epoch=self.epoch,
                first_offset=offsets[0] if taken else position,
                next_offset=following,
                offsets=offsets,
                keys=list(map(ck.Message.key, taken)),
                values=list(map(ck.Message.value, taken)),
                at_end=run.end == following,
            )

    def _runs(self, messages: list[ck.Message]) -> dict[Partition, _Run]:
        """Group messages by partition, keeping their order."""
        runs: dict[Partition, _Run] = {}
        if any(map(ck.Message.error, messages)):
            messages = [m for m in messages if m.error() is None or self._note(m, runs)]
        if not messages:
            return runs
        topics = list(map(ck.Message.topic, messages))
        partitions = np.fromiter(map(ck.Message.partition, messages), np.int32, len(messages))
        changes = np.fromiter(map(operator.ne, topics[1:], topics), np.bool_, len(topics) - 1)
        changes |= partitions[1:] != partitions[:-1]
        edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(messages)]
        for start, stop in pairwise(edges):
            tp = Partition(str(topics[start]), int(partitions[start]))
            if tp in self._positions:
                runs.setdefault(tp, _Run()).messages += messages[start:stop]
        return runs

    def _note(self, message: ck.Message, runs: dict[Partition, _Run]) -> bool:
        """Take note of an error event; returns False, because it is no record."""
        error = message.error()
        if error is None:
            return True
        tp = Partition(str(message.topic()), int(message.partition() or 0))
        code = error.code()
        if code == _END:
            if tp in self._positions:
                runs.setdefault(tp, _Run()).end = message.offset()
        elif code in _OUT_OF_RANGE:
            raise OffsetGap(f"{tp.topic}[{tp.partition}]: offset {self._positions.get(tp)} is not in the log: {error}")
        elif error.fatal() or code in _REFUSED:
            raise SourceUnreadable(f"{tp.topic}[{tp.partition}]: {error}")
        else:
            log.warning("source_error", topic=tp.topic, partition=tp.partition, error=str(error))
        return False
