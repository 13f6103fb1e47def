"""What happens to the record batches of a partition: each is applied, bytes to state; then all are decided together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pricing_core.engine import CapacityExceeded, PricingEngine
from pricing_core.offers import ACTIVE
from pricing_core.slots import NO_SLOT
from pricing_core.state import ROW, FormatError
from schemas.binary import BinaryArray
from schemas.codec import BatchDecoder, Decoded, Reject, decode_run_mode, decoder_for
from schemas.columns import Columns, Int64
from schemas.dead_letter import Reason
from schemas.json_writer import JsonWriter
from schemas.offer_keys import channels_and_skus
from schemas.topics import HOT_SOURCES, OFFER_POLICIES, TICKS, Topic
from streams.changelog import REBUILD
from streams.collector import collector_paused
from streams.duplicate_window import DuplicateWindow
from streams.emit import Emitter
from streams.errors import ShardLost
from streams.latest_values import LatestValues
from streams.metrics import DUPLICATES, EVENTS, Metrics
from streams.output import OutputBatch
from streams.partitioner import partitions_of
from streams.records import Records
from streams.settings import Settings
from streams.shard import Shard, new_windows, refused_in
from streams.takeover import ShardLog
from streams.transport.record_batch import RecordBatch

T = TypeVar("T", Columns, BinaryArray)

DECISIONS_AT_ONCE = 1024
"""Offers decided in one call of the engine."""


class Pipeline:
    """Applies and decides. Knows bytes on one side and the engine on the other; keeps nothing of a shard itself."""

    def __init__(self, settings: Settings, engine: PricingEngine, metrics: Metrics) -> None:
        self.engine = engine
        self._settings = settings
        self._metrics = metrics
        self._emit = Emitter(settings, engine, metrics)
        self._decoders: dict[str, BatchDecoder[Any]] = {topic.name: self._decoder(topic) for topic in HOT_SOURCES}
        self._topics = {topic.full_name(settings.topic_prefix): topic.name for topic in HOT_SOURCES}

    def warm_up(self) -> None:
        """Compile everything, so that no step has to wait for it."""
        self.engine.warm_up()
        DuplicateWindow.warm_up()
        LatestValues.warm_up()
        JsonWriter.warm_up()
        nothing = BinaryArray.of([b""])
        channels_and_skus(nothing)
        partitions_of(nothing, self._settings.partitions)
        for decoder in self._decoders.values():
            decoder(nothing, nothing, 0)

    def apply(self, shard: Shard, batch: RecordBatch, wall: int) -> list[OutputBatch]:
        """Apply a batch: what it says is in the state afterwards, and what it makes due is due.

        Args:
            shard: Where the batch belongs; moved on.
            batch: Consecutive records of one source partition.
            wall: Wall clock, ms. Refuses records from the future and dates outputs; decisions use event time.
        """
        topic = self._topics[batch.topic]
        decoded = self._decoders[topic](batch.keys, batch.values, wall)  # decode
        times, refused = self._apply(shard, topic, batch, decoded)  # admit, apply
        self._note_refused(shard, topic, batch, [*decoded.rejects, *refused])
        shard.advance(topic, batch.next_offset, at_end=batch.at_end, times=times)
        outputs = self._emit.dead_letters(batch, [*decoded.rejects, *refused], wall)
        if topic == TICKS.name and shard.caught_up and shard.run_mode == ACTIVE:
            outputs += self._emit.resends(shard, wall)
        return outputs

    def decide(self, shard: Shard, wall: int) -> list[OutputBatch]:
        """Decide what is due: due, ladder, decide, guard. A call costs as much as hundreds of decisions."""
        outputs: list[OutputBatch] = []
        if not (shard.now and (shard.caught_up or self._settings.decide_during_catch_up)):
            return outputs
        while True:
            decisions = self.engine.decide(shard.partition, shard.now, shard.run_mode, limit=DECISIONS_AT_ONCE)
            outputs += self._emit.decisions(shard, decisions, wall)
            if len(decisions) < DECISIONS_AT_ONCE:
                return outputs

    def restore(self, log: ShardLog, wall: int) -> Shard:
        """Rebuild a shard from its log, exactly as the cut left it.

        Raises:
            ShardLost: If the changelog has rows of another format, damaged ones, or more than fit.
        """
        with collector_paused():
            return self._restore(log, wall)

    def _restore(self, log: ShardLog, wall: int) -> Shard:
        partition, record = log.partition, log.record
        self.engine.open_shard(partition)
        sequence = 0 if record is None else record.sequence
        try:
            self.engine.restore(partition, log.keys, _rows(log.rows), sequence=sequence)
        except FormatError as error:
            raise ShardLost(f"partition {partition}: {error}; {REBUILD}") from error
        except CapacityExceeded as error:
            raise ShardLost(f"partition {partition}: {error}; raise REPRICER_MAX_OFFERS") from error
        for policies in log.policies:
            self._replay(partition, OFFER_POLICIES, policies, wall)
        size = self._settings.duplicate_window
        refused = refused_in(size, {} if record is None else record.refused)
        shard = Shard(partition, dict(log.applied), log.ends, new_windows(size), refused)
        shard.topic_ids = log.topic_ids
        if record is not None:
            shard.seen, shard.now = dict(record.seen), record.now
        for name, pages in log.recent.items():
            for records in pages:
                self._remember(shard, name, records, wall)
        self.hear(shard, log.controls)
        return shard

    @staticmethod
    def hear(shard: Shard, controls: Iterable[tuple[int, bytes | None]]) -> None:
        """Take over the run mode that the log holds: offsets and values of ``pricing-control``."""
        for offset, value in controls:
            _set_run_mode(shard, value, offset)

    def control(self, shard: Shard, batch: RecordBatch, wall: int) -> list[OutputBatch]:
        """Set the run mode of a shard. A record that cannot be understood becomes a dead letter; the mode stays."""
        reject = _set_run_mode(shard, batch.values[0], batch.first_offset)
        return [] if reject is None else self._emit.dead_letters(batch, [reject], wall)

    def _decoder(self, topic: Topic) -> BatchDecoder[Any]:
        return decoder_for(
            topic,
            max_bytes=self._settings.max_record_bytes,
            future_tolerance_ms=self._settings.future_tolerance_s * 1000,
        )

    def _apply(self, shard: Shard, topic: str, batch: RecordBatch, decoded: Decoded[Any]) -> tuple[Int64, list[Reject]]:
        """Apply what is no duplicate and belongs here. Returns the event times of that, and what was refused."""
        window, ids = shard.windows.get(topic), decoded.event_ids
        if window is None or not len(ids):
            columns, refused = self._fold(shard, topic, decoded.columns)
            return columns.time, refused
        times: list[Int64] = [decoded.columns.time[:0]]  # a batch may hold nothing, or nothing good
        rejects: list[Reject] = []
        offsets = batch.offsets[decoded.columns.index]
        for stretch in window.stretches(offsets):
            rows = stretch
            while len(rows):
                fresh = window.admit(_at(ids, rows), offsets[rows])
                kept = rows if fresh is None else rows[fresh]
                columns, refused = self._fold(shard, topic, _at(decoded.columns, kept))
                again = _judged_by(refused, window, decoded, np.setdiff1d(rows, kept)) if refused else rows[:0]
                self._metrics.add(DUPLICATES, len(rows) - len(kept) - len(again), topic)
                times.append(columns.time)
                rejects += refused
                rows = again
        return np.concatenate(times), rejects

    @staticmethod
    def _note_refused(shard: Shard, topic: str, batch: RecordBatch, rejects: list[Reject]) -> None:
        if rejects and topic in shard.refused:
            gone = [reject.index for reject in rejects]
            shard.refused[topic].add(sorted(batch.offsets[gone].tolist()))

    def _fold(self, shard: Shard, topic: str, columns: Columns) -> tuple[Columns, list[Reject]]:
        """Let the engine apply what belongs to this partition. Returns that, and what was refused."""
        foreign: list[Reject] = []
        if topic != TICKS.name:
            columns, foreign = self._without_foreign(shard.partition, columns)
        refused = self.engine.apply(shard.partition, columns)
        self._metrics.add(EVENTS, len(columns) - len(refused), topic)
        return columns, [*foreign, *refused]

    def _without_foreign(self, partition: int, columns: Columns) -> tuple[Columns, list[Reject]]:
        """Leave out keys that another partitioner than murmur2 has placed. Known keys are in their place."""
        new = np.flatnonzero(self.engine.known(partition, columns.keys) == NO_SLOT)
        places = partitions_of(columns.keys.take(new), self._settings.partitions)
        rows, places = new[places != partition], places[places != partition]
        if not len(rows):
            return columns, []
        rejects = [
            Reject(index, Reason.WRONG_PARTITION, f"its place is partition {place}")
            for index, place in zip(columns.index[rows].tolist(), places.tolist(), strict=True)
        ]
        return columns.take(np.delete(np.arange(len(columns)), rows)), rejects

    def _remember(self, shard: Shard, topic: str, records: Records, wall: int) -> None:
        """Fill the duplicate window with what was not refused then; now it may well be decoded."""
        kept = records.take(np.flatnonzero(~shard.refused[topic].among(records.offsets)))
        decoded = self._decoders[topic](kept.keys, kept.values, wall)
        shard.windows[topic].admit(decoded.event_ids, kept.offsets[decoded.columns.index])

    def _replay(self, partition: int, topic: Topic, records: Records, wall: int) -> None:
        """Fold in what was already applied once: nothing becomes due or dirty by it."""
        columns = self._decoders[topic.name](records.keys, records.values, wall).columns
        columns, _ = self._without_foreign(partition, columns)  # refused then, refused again
        self.engine.apply(partition, columns, due=False)


def _set_run_mode(shard: Shard, value: bytes | None, offset: int) -> Reject | None:
    command = decode_run_mode(value)
    if isinstance(command, Reject):
        return command
    shard.set_run_mode(command.mode, offset)
    return None


def _at(columns: T, rows: Int64) -> T:
    """Rows of a batch; it is not copied if they are all."""
    return columns if len(rows) == len(columns) else columns.take(rows)


def _judged_by(rejects: list[Reject], window: DuplicateWindow, decoded: Decoded[Any], dropped: Int64) -> Int64:
    """Let the window forget what was refused. Returns the dropped rows that it took for duplicates of just that."""
    refused = np.searchsorted(decoded.columns.index, [reject.index for reject in rejects])
    ids = decoded.event_ids.take(refused)
    window.forget(ids)
    names = set(ids)
    return dropped[np.array([name in names for name in decoded.event_ids.take(dropped)], np.bool_)]


def _rows(values: BinaryArray) -> NDArray[np.void]:
    """State rows out of the values of changelog records: not copied if they lie one after the other.

    Raises:
        FormatError: If one has not the size of a row.
    """
    size = ROW.itemsize
    if (values.length != size).any():
        raise FormatError(f"a row of the changelog has not {size} bytes: another format, or damaged")
    if not len(values):
        return np.empty(0, ROW)
    first = int(values.start[0])
    if (values.start == first + size * np.arange(len(values))).all():
        return values.data[first : first + size * len(values)].view(ROW)
    return sliding_window_view(values.data, size)[values.start].reshape(-1).view(ROW)
