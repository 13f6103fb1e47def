"""librdkafka reads the hot partitions: explicit positions, epochs, batches of one partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import confluent_kafka as ck
import numpy as np
import structlog

from schemas.binary import Int64
from streams.errors import OffsetGap, SourceUnreadable
from streams.transport.librdkafka import Consumer, RawMessages
from streams.transport.partition import Partition
from streams.transport.record_batch import RecordBatch

log = structlog.get_logger(__name__)

_END = ck.KafkaError._PARTITION_EOF  # noqa: SLF001  # librdkafka's public code, spelt private in Python
_OUT_OF_RANGE = frozenset({ck.KafkaError._AUTO_OFFSET_RESET, ck.KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001
_HOPELESS = frozenset(
    {
        ck.KafkaError._FATAL,  # noqa: SLF001  # as above
        ck.KafkaError.TOPIC_AUTHORIZATION_FAILED,
        ck.KafkaError.GROUP_AUTHORIZATION_FAILED,
    }
)


@dataclass(slots=True)
class _Run:
    """Rows of one partition in one call of ``consume``, and where the partition ended, if it did."""

    rows: list[Int64] = field(default_factory=list)
    end: int | None = None


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
        self._consumer: Consumer | None = None
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
            self._consumer = Consumer(self._config, max_records=self._max_records)
        if self._consumer is not None:
            self._consumer.assign(positions)
        return self.epoch

    def poll(self) -> list[RecordBatch]:
        """Return what has arrived, one batch for each partition, without waiting.

        Raises:
            OffsetGap: If a position is no longer in the log (retention has passed it, or the topic was cut).
            SourceUnreadable: If the broker refuses us, or librdkafka gives up.
        """
        if self._consumer is None or not self._positions:
            return []
        raw = self._consumer.consume()
        self.quiet, self.full = not len(raw), 2 * len(raw) > self._max_records
        return list(self._batches(raw))

    def high_watermark(self, tp: Partition) -> int:
        """Return the end of the partition as last seen by a fetch, or -1 if none has been made. Asks nobody."""
        if self._consumer is None:
            return -1
        return self._consumer.end(*tp)

    def close(self) -> None:
        """Leave the broker."""
        self._positions = {}
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None

    def _batches(self, raw: RawMessages) -> Iterator[RecordBatch]:
        for tp, run in self._runs(raw).items():
            position = self._positions[tp]
            rows = np.concatenate(run.rows) if run.rows else np.empty(0, np.int64)
            offsets = raw.offset[rows]
            following = max(run.end or 0, int(offsets[-1]) + 1 if len(offsets) else 0, position)
            self._positions[tp] = following
            yield RecordBatch(
                *tp,
                epoch=self.epoch,
                first_offset=int(offsets[0]) if len(offsets) else position,
                next_offset=following,
                offsets=offsets,
                keys=raw.keys.take(rows),
                values=raw.values.take(rows),
                at_end=run.end == following,
            )

    def _runs(self, raw: RawMessages) -> dict[Partition, _Run]:
        """Rows by partition, in their order."""
        runs: dict[Partition, _Run] = {}
        for start, stop in raw.runs():
            tp = Partition(raw.names[int(raw.topic[start])], int(raw.partition[start]))
            if start in raw.errors:
                self._note(tp, int(raw.code[start]), int(raw.offset[start]), raw.errors[start], runs)
            elif tp in self._positions:
                runs.setdefault(tp, _Run()).rows.append(np.arange(start, stop))
        return runs

    def _note(self, tp: Partition, code: int, offset: int, text: str, runs: dict[Partition, _Run]) -> None:
        """Take note of an event that is no record."""
        where = f"{tp.topic}[{tp.partition}]"
        if code == _END:
            if tp in self._positions:
                runs.setdefault(tp, _Run()).end = offset
        elif code in _OUT_OF_RANGE:
            raise OffsetGap(f"{where}: offset {self._positions.get(tp)} is not in the log: {text}")
        elif code in _HOPELESS:
            raise SourceUnreadable(f"{where}: {text}")
        else:
            log.warning("source_error", topic=tp.topic, partition=tp.partition, error=text)
