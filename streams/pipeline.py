"""The step: what happens to one record batch of one partition, from bytes to outputs."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pricing_core.engine import CapacityExceeded, PricingEngine
from pricing_core.offers import ACTIVE
from pricing_core.state import ROW, FormatError
from schemas.codec import BatchDecoder, Decoded, Reject, decode_run_mode, decoder_for
from schemas.columns import Columns
from schemas.dead_letter import Reason
from schemas.topics import HOT_SOURCES, OFFER_POLICIES, TICKS, Topic
from streams.changelog import REBUILD
from streams.emit import Emitter
from streams.errors import ShardLost
from streams.metrics import DUPLICATES, EVENTS, Metrics
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.shard import Shard, drop_rows, new_windows
from streams.takeover import Records, ShardLog
from streams.transaction import Output
from streams.transport.record_batch import RecordBatch

DECISIONS_AT_ONCE = 1024
"""Offers decided in one call of the engine."""


class Pipeline:
    """Runs steps. Knows bytes on one side and the engine on the other; keeps nothing of a shard itself."""

    def __init__(self, settings: Settings, engine: PricingEngine, metrics: Metrics) -> None:
        self.engine = engine
        self._settings = settings
        self._metrics = metrics
        self._emit = Emitter(settings, engine, metrics)
        self._decoders: dict[str, BatchDecoder[Any]] = {topic.name: self._decoder(topic) for topic in HOT_SOURCES}
        self._topics = {topic.full_name(settings.topic_prefix): topic.name for topic in HOT_SOURCES}

    def step(self, shard: Shard, batch: RecordBatch, wall: int) -> list[Output]:
        """Apply a batch and decide what it makes due. Everything that follows from it is in the result.

        Args:
            shard: Where the batch belongs; moved on.
            batch: Consecutive records of one source partition.
            wall: Wall clock, ms. Refuses records from the future and dates outputs; decisions use event time.
        """
        topic = self._topics[batch.topic]
        decoded = self._decoders[topic](batch.keys, batch.values, wall)  # decode
        columns, foreign = self._admit(shard, topic, batch, decoded)
        refused = self.engine.apply(shard.partition, columns)  # apply
        shard.advance(topic, batch.next_offset, at_end=batch.at_end, times=columns.time)
        self._metrics.add(EVENTS, len(columns) - len(refused), topic)
        outputs = self._emit.dead_letters(batch, [*decoded.rejects, *foreign, *refused], wall)
        outputs += self._decide(shard, wall)  # due, ladder, decide, guard
        if topic == TICKS.name and shard.caught_up and shard.run_mode == ACTIVE:
            outputs += self._emit.resends(shard, wall)
        return outputs

    def restore(self, log: ShardLog, wall: int) -> Shard:
        """Rebuild a shard from its log, exactly as the cut left it.

        Raises:
            ShardLost: If the changelog has rows of another format, damaged ones, or more than fit.
        """
        partition, record = log.partition, log.record
        self.engine.open_shard(partition)
        sequence = 0 if record is None else record.sequence
        try:
            self.engine.restore(partition, list(log.rows), _rows(log.rows.values()), sequence=sequence)
        except FormatError as error:
            raise ShardLost(f"partition {partition}: {error}; {REBUILD}") from error
        except CapacityExceeded as error:
            raise ShardLost(f"partition {partition}: {error}; raise REPRICER_MAX_OFFERS") from error
        self._replay(partition, OFFER_POLICIES, log.policies, wall)
        shard = Shard(partition, dict(log.applied), log.ends, new_windows(self._settings.duplicate_window))
        shard.topic_ids = log.topic_ids
        if record is not None:
            shard.seen, shard.now = dict(record.seen), record.now
        for name, (offsets, records) in log.recent.items():
            keys_, values = zip(*records, strict=True)
            decoded = self._decoders[name](keys_, values, wall)
            shard.windows[name].admit(decoded.event_ids, _at(offsets, decoded.columns.index))
        self.hear(shard, log.controls)
        return shard

    @staticmethod
    def hear(shard: Shard, controls: Iterable[tuple[int, bytes | None]]) -> None:
        """Take over the run mode that the log holds: offsets and values of ``pricing-control``."""
        for offset, value in controls:
            _set_run_mode(shard, value, offset)

    def control(self, shard: Shard, batch: RecordBatch, wall: int) -> list[Output]:
        """Set the run mode of a shard. A record that cannot be understood becomes a dead letter; the mode stays."""
        reject = _set_run_mode(shard, batch.values[0], batch.first_offset)
        return [] if reject is None else self._emit.dead_letters(batch, [reject], wall)

    def _decoder(self, topic: Topic) -> BatchDecoder[Any]:
        return decoder_for(
            topic,
            max_bytes=self._settings.max_record_bytes,
            future_tolerance_ms=self._settings.future_tolerance_s * 1000,
        )

    def _admit(
        self, shard: Shard, topic: str, batch: RecordBatch, decoded: Decoded[Any]
    ) -> tuple[Columns, list[Reject]]:
        """Leave out duplicates, and records whose key belongs to another partition."""
        columns: Columns = decoded.columns
        window = shard.windows.get(topic)
        if window is not None:
            fresh = window.admit(decoded.event_ids, _at(batch.offsets, columns.index))
            if fresh is not None:
                self._metrics.add(DUPLICATES, len(columns) - len(fresh), topic)
                columns = columns.take(fresh)
        if topic == TICKS.name:
            return columns, []
        return self._without_foreign(shard.partition, columns)

    def _without_foreign(self, partition: int, columns: Columns) -> tuple[Columns, list[Reject]]:
        foreign = self._foreign(partition, columns)
        if not foreign:
            return columns, []
        rows = [row for row, key in enumerate(columns.keys) if key in foreign]
        rejects = [
            Reject(
                int(columns.index[row]), Reason.WRONG_PARTITION, f"its place is partition {foreign[columns.keys[row]]}"
            )
            for row in rows
        ]
        return columns.take(drop_rows(len(columns), rows)), rejects

    def _foreign(self, partition: int, columns: Columns) -> dict[bytes, int]:
        """Keys that were placed by another partitioner than murmur2, and where they belong. Known keys are right."""
        unknown = self.engine.unknown_keys(partition, columns.keys)
        places = {key: partition_of(key, self._settings.partitions) for key in unknown}
        return {key: place for key, place in places.items() if place != partition}

    def _decide(self, shard: Shard, wall: int) -> list[Output]:
        outputs: list[Output] = []
        if not (shard.now and (shard.caught_up or self._settings.decide_during_catch_up)):
            return outputs
        while True:
            decisions = self.engine.decide(shard.partition, shard.now, shard.run_mode, limit=DECISIONS_AT_ONCE)
            outputs += self._emit.decisions(shard, decisions, wall)
            if len(decisions) < DECISIONS_AT_ONCE:
                return outputs

    def _replay(self, partition: int, topic: Topic, records: Records, wall: int) -> None:
        """Fold in what was already applied once: nothing becomes due or dirty by it."""
        if not records:
            return
        keys, values = zip(*records, strict=True)
        columns = self._decoders[topic.name](keys, values, wall).columns
        columns, _ = self._without_foreign(partition, columns)  # refused then, refused again
        self.engine.apply(partition, columns, due=False)


def _set_run_mode(shard: Shard, value: bytes | None, offset: int) -> Reject | None:
    command = decode_run_mode(value)
    if isinstance(command, Reject):
        return command
    shard.set_run_mode(command.mode, offset)
    return None


def _rows(values: Collection[bytes]) -> NDArray[np.void]:
    """State rows out of changelog records.

    Raises:
        FormatError: If one has not the size of a row.
    """
    if any(len(value) != ROW.itemsize for value in values):
        raise FormatError(f"a row of the changelog has not {ROW.itemsize} bytes: another format, or damaged")
    return np.frombuffer(b"".join(values), ROW) if values else np.zeros(0, ROW)


def _at(offsets: list[int] | range, index: np.ndarray[Any, np.dtype[np.int64]]) -> list[int]:
    """Offsets of the records at ``index``."""
    if len(index) == len(offsets):
        return list(offsets)
    return [offsets[i] for i in index.tolist()]
