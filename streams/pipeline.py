"""What happens to the record batches of a partition: each is applied, bytes to state; then all are decided together."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from pricing_core.engine import CapacityExceeded, Moment, PricingEngine
from pricing_core.slots import NO_SLOT
from pricing_core.state import FormatError
from schemas import packing
from schemas.binary import BinaryArray
from schemas.codec import BatchDecoder, Reject, decoder_for
from schemas.columns import AppliedColumns, Columns, CommandColumns, Int64
from schemas.dead_letter import Reason
from schemas.json_writer import JsonWriter
from schemas.offer_keys import channels_and_skus
from schemas.topics import HOT_SOURCES, OFFER_POLICIES, TICKS, Topic
from streams.alarms.book import AlarmWriter
from streams.alarms.demand import DemandWatch
from streams.breaker.fleet import FleetExcess, SummaryWriter
from streams.breaker.watch import FLEET, Breaker
from streams.changelog import REBUILD, state_rows
from streams.collector import collector_paused
from streams.duplicate_window import DuplicateWindow, judged_by
from streams.emit import Emitter
from streams.errors import ShardLost
from streams.families import FamilyWriter
from streams.hearing import hear
from streams.keeping import Controls
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

Applied = tuple[Int64, list[Reject]]
"""Event times of what was applied, and what was refused."""
Application = Generator[Columns, Any, Applied]
"""A batch on its way: yields what is to be folded, and is sent what the engine refused of it."""

DECISIONS_AT_ONCE = 1024
"""Offers decided in one call of the engine."""

SIBLINGS_AT_ONCE = 16
"""Members of a family in one shard that are decided in one step, one behind the other; the rest in the next ones."""


class Pipeline:
    """Applies and decides. Knows bytes on one side and the engine on the other; keeps nothing of a shard itself."""

    def __init__(self, settings: Settings, engine: PricingEngine, metrics: Metrics) -> None:
        self.engine = engine
        self._settings = settings
        self._metrics = metrics
        self._emit = Emitter(settings, engine, metrics)
        self._alarms = AlarmWriter(settings, metrics)
        self._demand = DemandWatch(engine)
        self._breaker = Breaker(settings, engine, metrics)
        self._summaries = SummaryWriter(settings)
        self._families = FamilyWriter(settings, engine)
        self._decoders: dict[str, BatchDecoder[Any]] = {topic.name: self._decoder(topic) for topic in HOT_SOURCES}
        self._topics = {topic.full_name(settings.topic_prefix): topic.name for topic in HOT_SOURCES}

    def warm_up(self) -> None:
        """Compile everything, so that no step has to wait for it."""
        self.engine.warm_up()
        DuplicateWindow.warm_up()
        LatestValues.warm_up()
        JsonWriter.warm_up()
        packing.warm_up()
        nothing = BinaryArray.of([b""])
        channels_and_skus(nothing)
        partitions_of(nothing, self._settings.partitions)
        for decoder in self._decoders.values():
            decoder(nothing, nothing, 0)

    def apply(self, arrived: Sequence[tuple[Shard, RecordBatch]], wall: int) -> dict[int, list[OutputBatch]]:
        """Apply batches: what they say is in the state afterwards, and what they make due is due.

        Args:
            arrived: Batches, none twice of the same source partition, with the shard of each; it is moved on.
            wall: Wall clock, ms. Refuses records from the future and dates outputs; decisions use event time.

        Returns:
            What each partition has to say.
        """
        outputs: dict[int, list[OutputBatch]] = {shard.partition: [] for shard, _ in arrived}
        by_topic: dict[str, dict[int, tuple[Shard, RecordBatch]]] = {}
        for shard, batch in arrived:
            by_topic.setdefault(self._topics[batch.topic], {})[shard.partition] = shard, batch
        for topic, parts in by_topic.items():
            applied = self._apply_together({p: self._apply(*part, topic, wall) for p, part in parts.items()})
            for partition, (shard, batch) in parts.items():
                times, rejects = applied[partition]
                self._note_refused(shard, topic, batch, rejects)
                self._breaker.note_records(shard, topic, len(batch))
                shard.advance(topic, batch.next_offset, at_end=batch.at_end, times=times)
                outputs[partition] += self._emit.dead_letters(batch, rejects, wall)
                if topic == TICKS.name and shard.caught_up:
                    outputs[partition] += self._emit.resends(shard, wall)
                    self._demand.look(partition, shard.now, shard.alarms)
        return outputs

    def decide(self, shards: Iterable[Shard], wall: int) -> dict[int, list[OutputBatch]]:
        """Decide what is due (due, ladder, decide, guard) in all shards together: a call costs as much as hundreds.

        Returns:
            What each partition has to say.
        """
        stepped = {shard.partition: shard for shard in shards}
        outputs: dict[int, list[OutputBatch]] = {}
        ready = {
            partition: shard
            for partition, shard in stepped.items()
            if shard.now and (shard.caught_up or self._settings.decide_during_catch_up)
        }
        for shard in ready.values():
            self._breaker.look(shard)
        permit, is_more, siblings = self._breaker.permit(ready), bool(ready), 1
        while is_more:
            moments = {partition: Moment(shard.now, shard.modes_in_force) for partition, shard in ready.items()}
            decided = self.engine.decide_together(moments, limit=DECISIONS_AT_ONCE, permit=permit)
            for partition, batches in self._emit.decisions(decided, ready, wall).items():
                outputs.setdefault(partition, []).extend(batches)
            self._breaker.settle()
            siblings += self.engine.families.waiting
            is_more = len(decided.decisions) == DECISIONS_AT_ONCE
            is_more |= self.engine.families.waiting and siblings <= SIBLINGS_AT_ONCE
        for partition, shard in stepped.items():
            if said := self._said(shard, wall):
                outputs.setdefault(partition, []).extend(said)
        return outputs

    def stop(self, shard: Shard, fleet: FleetExcess, wall: int) -> list[OutputBatch]:
        """Let a shard stand because all shards together exceed a limit, unless a person has resumed it since."""
        if shard.breaker.stop is not None or shard.breaker.resumed_at > fleet.resumed_at or not shard.now:
            return []
        self._breaker.stop(shard, fleet.found, {}, FLEET)
        return self._said(shard, wall)

    def _said(self, shard: Shard, wall: int) -> list[OutputBatch]:
        """What a shard has to say of itself, beside its decisions."""
        alarms = self._alarms.outputs(shard.partition, shard.alarms, wall)
        summary = self._summaries.outputs(shard, self.engine.offer_count(shard.partition), wall)
        return [*alarms, *summary, *self._families.outputs(shard, wall)]

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
            self.engine.restore(partition, log.keys, state_rows(log.rows), sequence=sequence)
        except FormatError as error:
            raise ShardLost(f"partition {partition}: {error}; {REBUILD}") from error
        except CapacityExceeded as error:
            raise ShardLost(f"partition {partition}: {error}; raise REPRICER_MAX_OFFERS") from error
        for policies in log.policies:
            self._replay(partition, OFFER_POLICIES, policies, wall)
        self.engine.families.restored(partition)
        size = self._settings.duplicate_window
        refused = refused_in(size, {} if record is None else record.refused)
        shard = Shard(partition, dict(log.applied), log.ends, new_windows(size), refused)
        shard.topic_ids = log.topic_ids
        if record is not None:
            shard.seen, shard.now = dict(record.seen), record.now
            shard.alarms, shard.breaker = record.alarms, record.breaker
        for name, pages in log.recent.items():
            for records in pages:
                self._remember(shard, name, records, wall)
        shard.breaker.taken_over()
        self.hear(shard, log.controls)
        shard.breaker.heard_all()
        return shard

    @staticmethod
    def hear(shard: Shard, controls: Controls) -> None:
        """Take over the run modes and experiments that the log holds."""
        for control in controls:
            hear(shard, *control)

    def control(self, shard: Shard, batch: RecordBatch, wall: int) -> list[OutputBatch]:
        """Take over what persons have said. A record that cannot be understood becomes a dead letter."""
        reject = hear(shard, batch.first_offset, batch.keys[0], batch.values[0])
        return [] if reject is None else self._emit.dead_letters(batch, [reject], wall)

    def _decoder(self, topic: Topic) -> BatchDecoder[Any]:
        return decoder_for(
            topic,
            max_bytes=self._settings.max_record_bytes,
            future_tolerance_ms=self._settings.future_tolerance_s * 1000,
        )

    def _apply_together(self, parts: Mapping[int, Application]) -> dict[int, Applied]:
        """Let the engine fold what applications of one topic ask for, one for each shard, until all have ended."""
        applied: dict[int, Applied] = {}
        refused: dict[int, list[Reject] | None] = dict.fromkeys(parts)
        while refused:
            asked: dict[int, Columns] = {}
            for partition, answer in refused.items():
                try:
                    asked[partition] = parts[partition].send(answer)
                except StopIteration as ended:
                    applied[partition] = ended.value
            refused = dict(self.engine.apply_together(asked)) if asked else {}
        return applied

    def _apply(self, shard: Shard, batch: RecordBatch, topic: str, wall: int) -> Application:
        """Decode, and have folded what is no duplicate and belongs here."""
        decoded = self._decoders[topic](batch.keys, batch.values, wall)
        if isinstance(decoded.columns, CommandColumns):  # decisions name a command by its offset
            offset = batch.offsets[decoded.columns.index]
            decoded = replace(decoded, columns=replace(decoded.columns, offset=offset))
        window, ids = shard.windows.get(topic), decoded.event_ids
        if window is None or not len(ids):
            columns, refused = yield from self._fold(shard, topic, decoded.columns)
            return columns.time, [*decoded.rejects, *refused]
        times: list[Int64] = [decoded.columns.time[:0]]  # a batch may hold nothing, or nothing good
        rejects: list[Reject] = decoded.rejects.copy()
        offsets = batch.offsets[decoded.columns.index]
        for stretch in window.stretches(offsets):
            rows = stretch
            while len(rows):
                fresh = window.admit(_at(ids, rows), offsets[rows])
                kept = rows if fresh is None else rows[fresh]
                columns, refused = yield from self._fold(shard, topic, _at(decoded.columns, kept))
                again = judged_by(refused, window, decoded, np.setdiff1d(rows, kept)) if refused else rows[:0]
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

    def _fold(
        self, shard: Shard, topic: str, columns: Columns
    ) -> Generator[Columns, list[Reject], tuple[Columns, list[Reject]]]:
        """Have folded what belongs to this partition. Returns that, and what was refused."""
        foreign: list[Reject] = []
        if topic != TICKS.name:
            columns, foreign = self._without_foreign(shard.partition, columns)
        if isinstance(columns, AppliedColumns):
            self._breaker.note_answers(shard, columns)
        refused = yield columns
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


def _at(columns: T, rows: Int64) -> T:
    """Rows of a batch; it is not copied if they are all."""
    return columns if len(rows) == len(columns) else columns.take(rows)
