"""What the worker knows about one shard beside its rows: positions, event time, duplicates, run mode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pricing_core.experiments.assignment import Experiment
from pricing_core.run_modes import ALL, RunModes, Scope
from schemas.summaries import ShardSummarised
from schemas.topics import CLICKS, COMMANDS, COMPETITOR_PRICES, HOT_SOURCES, INVENTORY, ORDERS, TICKS
from streams.alarms.book import AlarmBook
from streams.breaker.state import BreakerState
from streams.duplicate_window import DuplicateWindow
from streams.errors import OffsetGap
from streams.refused_offsets import RefusedOffsets, Run
from streams.transport.record_batch import RecordBatch

WINDOWED = (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY, COMMANDS)
"""Sources whose producers give event ids. Answers and policies resolve by version, ticks by time."""

TIME_SOURCES = tuple(topic.name for topic in (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY, TICKS))


@dataclass(slots=True)
class Shard:
    """Positions and time of one shard."""

    partition: int
    applied: dict[str, int]
    """Next offset to apply, by source topic."""
    ends: dict[str, int]
    """Ends of the sources when the shard was taken over."""
    windows: dict[str, DuplicateWindow]
    refused: dict[str, RefusedOffsets] = field(default_factory=dict)
    """By source topic, for those that have a window."""
    seen: dict[str, int] = field(default_factory=dict)
    """Highest event time, by source topic; ms."""
    now: int = 0
    """Event time; ms. 0 before the first event."""
    run_modes: RunModes = field(default_factory=RunModes)
    """As far as the records of ``pricing-control`` were heard."""
    run_mode_offset: int = -1
    """Of the latest of them."""
    heard: dict[Scope | str, int] = field(default_factory=dict)
    """Offset of the record that set each scope's mode, or the experiment of a name: the log's order counts, not the
    clocks of those who wrote it."""
    caught_up: bool = False
    at_end: set[str] = field(default_factory=set)
    topic_ids: dict[str, str] = field(default_factory=dict)
    """What the broker called the topics when the shard was taken over."""
    alarms: AlarmBook = field(default_factory=AlarmBook)
    breaker: BreakerState = field(default_factory=BreakerState)
    summary: ShardSummarised | None = None
    """What the shard has told the others last, since it is here."""
    summarised_at: int = 0
    """Wall clock, ms."""

    @property
    def modes_in_force(self) -> RunModes:
        """The run modes, unless the breaker has stopped the shard."""
        return self.run_modes if self.breaker.stop is None else self.run_modes.halted_by_breaker()

    def advance(self, topic: str, next_offset: int, *, at_end: bool, times: NDArray[np.int64] | None) -> None:
        """Move a source's position, and event time with it."""
        self.applied[topic] = next_offset
        if at_end:
            self.at_end.add(topic)
        else:
            self.at_end.discard(topic)
        if times is not None and len(times) and topic in TIME_SOURCES:
            self.seen[topic] = max(self.seen.get(topic, 0), int(times.max()))
        self.now = max(self.now, self._watermark())
        self.caught_up = self.caught_up or all(map(self._has_reached_end, HOT_NAMES))

    def require_next(self, topic: str, batch: RecordBatch, *, may_have_holes: bool) -> int:
        """Refuse records that were skipped or are applied already.

        Compaction and transaction markers leave holes in a log; anything else that does has lost records.

        Returns:
            Offsets without a record.

        Raises:
            OffsetGap: If records came again, or offsets are missing that should not be.
        """
        position = self.applied[topic]
        holes = batch.next_offset - position - len(batch)
        where = f"{batch.topic}[{batch.partition}]"
        if batch.first_offset < position or holes < 0:
            raise OffsetGap(f"{where}: offset {batch.first_offset} came again, {position} is next")
        if holes and not may_have_holes:
            raise OffsetGap(
                f"{where}: {holes} offsets are missing in [{position}, {batch.next_offset}). If its producers use "
                f"transactions, add {topic!r} to REPRICER_TRANSACTIONAL_SOURCES; else records were lost."
            )
        return holes

    def refused_lately(self) -> dict[str, list[Run]]:
        """Offsets that were refused within the duplicate windows, by source topic."""
        found = {topic: refused.in_front_of(self.applied[topic]) for topic, refused in self.refused.items()}
        return {topic: runs for topic, runs in found.items() if runs}

    def _watermark(self) -> int:
        """Return the smallest event time over the sources that still have something to say.

        A source at its end says nothing more for now: it does not hold back the others. So clicks that run ahead of
        orders in a backlog do not look like collapsed demand.
        """
        behind = [self.seen.get(topic, 0) for topic in TIME_SOURCES if topic not in self.at_end]
        return min(behind) if behind else max(self.seen.values(), default=0)

    def _has_reached_end(self, topic: str) -> bool:
        return topic in self.at_end or self.applied[topic] >= self.ends[topic]

    def set_run_mode(self, mode: str, offset: int, scope: Scope = ALL) -> None:
        """Take over a run mode, unless a later one of its scope is known."""
        if offset > self.heard.get(scope, -1):
            self.run_modes, self.heard[scope] = self.run_modes.having(scope, mode), offset
            self.run_mode_offset = max(offset, self.run_mode_offset)

    def set_experiment(self, experiment: Experiment, offset: int) -> None:
        """Take over an experiment, unless a later word about it is known."""
        if offset > self.heard.get(experiment.name, -1):
            self.run_modes, self.heard[experiment.name] = self.run_modes.testing(experiment), offset
            self.run_mode_offset = max(offset, self.run_mode_offset)


HOT_NAMES = tuple(topic.name for topic in HOT_SOURCES)


def new_windows(size: int) -> dict[str, DuplicateWindow]:
    """One empty duplicate window for every source whose records have event ids."""
    return {topic.name: DuplicateWindow(size) for topic in WINDOWED}


def refused_in(size: int, runs: Mapping[str, Iterable[Run]]) -> dict[str, RefusedOffsets]:
    """What a shard record says was refused in front of its duplicate windows, for each of them."""
    return {topic.name: RefusedOffsets(size, runs.get(topic.name, ())) for topic in WINDOWED}
