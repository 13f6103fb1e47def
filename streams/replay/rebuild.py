"""The state of a shard made again from its source topics, along the steps that its decisions name.

A decision names the next offset of every source: what had been applied when it was made. Between two steps the same
records are applied again by the worker's own pipeline, then the same offers are decided again; when and whom to decide
is read from the log. At each decision the offer's row is compared with the one that its record keeps.

An offer begins with its first decision in the time looked at: with nothing, if that is the shard's first step and the
sources are whole, else with the recorded row. From there on every row follows from the sources. A row that differs is
counted and then put right, so that one fault is reported once.

What the log does not keep: how the worker had cut its batches between two steps without a decision. Sums of floats
depend on that in their last bits (all integers do not); such rows are counted as rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from pricing_core.recorded import RecordedError
from pricing_core.replaying import ReplayingEngine
from pricing_core.shards import Moment
from schemas.binary import BinaryArray
from schemas.topics import OFFER_POLICIES, Topic
from streams.changelog import FORMAT, ShardRecord
from streams.clock import wall_ms
from streams.log_reader import Offsets, read_ranges
from streams.metrics import Metrics
from streams.pipeline import Pipeline
from streams.records import Records
from streams.replay.again import Replayer, question_of, step_of
from streams.replay.decision_log import Found
from streams.replay.report import StateReport
from streams.replay.rows import judge
from streams.replay.sources import Source, spans
from streams.settings import Settings
from streams.shard import WINDOWED, Shard
from streams.state.old_shard import DEADLINE_S, deadline
from streams.state.replay import NOT_YET, REPLAYED, Place, dead_letters, refused_before
from streams.takeover import ShardLog
from streams.transport.partition import Partition


class Rebuild:
    """Rebuilds one shard after another."""

    def __init__(self, settings: Settings, replayer: Replayer) -> None:
        self._settings = settings.model_copy(update={"decide_during_catch_up": False})
        self._replayer = replayer
        self._engine: ReplayingEngine = replayer.engine
        self._pipeline = Pipeline(self._settings, self._engine, Metrics())
        self._offsets = Offsets(settings.consumer_config())

    def run(self, decisions: Iterable[Found]) -> StateReport:
        """Rebuild the rows of decisions, which come in the order of their partitions and numbers."""
        report = StateReport()
        for partition, founds in groupby(decisions, lambda found: found.partition):
            steps = [list(step) for _, step in groupby(founds, step_of)]
            obstacle = next((why for step in steps if (why := self._replayer.obstacle(step[0]))), None)
            if obstacle is None:
                obstacle = self._rebuild(partition, steps, report)
            if obstacle is not None:
                report.not_rebuilt[obstacle] += sum(map(len, steps))
        return report

    def _rebuild(self, partition: int, steps: Sequence[Sequence[Found]], report: StateReport) -> str | None:
        """Rebuild one shard. Returns why that is not possible, if it is not."""
        is_first = steps[0][0].sequence == 1
        applied = dict.fromkeys(steps[0][0].record.applied, 0) if is_first else dict(steps[0][0].record.applied)
        ranges, expired = spans(self._settings, self._offsets, partition, applied, steps[-1][0].record.applied)
        if expired:
            return "; ".join(expired)
        known = dead_letters(self._settings, self._offsets, partition)
        shard = self._begin(partition, applied, known, steps[0][0].sequence - 1)
        sources = [Source(self._settings, topic, partition, ranges[topic]) for topic in REPLAYED]
        begun: set[bytes] = set()
        try:
            for step in steps:
                self._apply(shard, sources, step[0], known)
                self._decide(partition, step, begun, report, from_nothing=is_first)
        except RecordedError as error:
            return str(error)
        finally:
            self._engine.drop_shard(partition)
        return None

    def _begin(self, partition: int, applied: dict[str, int], known: dict[Place, str], sequence: int) -> Shard:
        """Open a shard without rows, with the policies and the duplicate windows that it had."""
        refused = refused_before(self._settings, applied, known)
        record = ShardRecord(FORMAT, "", 0, applied, {}, 0, sequence, 0, {}, refused)
        log = ShardLog(partition, applied, dict.fromkeys(applied, NOT_YET), record)
        log.policies = list(self._before(OFFER_POLICIES, partition, applied[OFFER_POLICIES.name]))
        for topic in WINDOWED:
            log.recent[topic.name] = list(self._before(topic, partition, applied[topic.name]))
        return self._pipeline.restore(log, wall_ms())

    def _before(self, topic: Topic, partition: int, offset: int) -> Iterator[Records]:
        tp = Partition(topic.full_name(self._settings.topic_prefix), partition)
        start = self._offsets.start([tp])[tp]
        if topic.cleanup == "delete":
            start = max(start, offset - self._settings.duplicate_window)
        config = self._settings.consumer_config()
        yield from (page for _, page in read_ranges(config, {tp: (start, offset)}, cancelled=deadline(DEADLINE_S)))

    def _apply(self, shard: Shard, sources: Sequence[Source], found: Found, known: dict[Place, str]) -> None:
        """Apply what came between the step before and this one."""
        for source in sources:
            batch = source.up_to(found.record.applied[source.topic.name], known)
            if batch is not None:
                self._pipeline.apply([(shard, batch)], wall_ms())

    def _decide(
        self, partition: int, step: Sequence[Found], begun: set[bytes], report: StateReport, *, from_nothing: bool
    ) -> None:
        """Compare the rows of a step's offers, put them right, and decide as was decided then."""
        keys, question = BinaryArray.of(found.key for found in step), question_of(step)
        recorded = question.recorded
        self._engine.know(partition, keys)
        rebuilt = self._engine.look_at(partition, keys)
        for place, found in enumerate(step):
            if from_nothing or found.key in begun:
                judge(report, found.record.decision_id, recorded.at(place), rebuilt.at(place))
            else:
                report.begun += 1
        begun.update(found.key for found in step)
        self._engine.put(partition, keys, recorded)
        self._engine.number_from(partition, step[0].sequence - 1)
        self._replayer.use_model_of(step[0])
        self._engine.decide_named(partition, keys, Moment(step[0].now, step[0].record.run_mode), question.batch)
