"""Make a shard's rows again from its sources, by the worker's own step, without a decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import numpy as np

from pricing_core.engine import PricingEngine
from pricing_core.state import Rows
from schemas.dead_letter import DeadLettered, Reason
from schemas.topics import (
    CLICKS,
    COMMANDS,
    COMPETITOR_PRICES,
    DEAD_LETTERS,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_APPLIED,
    TICKS,
    Topic,
)
from streams.clock import wall_ms
from streams.errors import ShardLost
from streams.log_reader import Offsets, read_ranges
from streams.metrics import Metrics
from streams.pipeline import Pipeline
from streams.records import Records
from streams.refused_offsets import RefusedOffsets, Run
from streams.settings import Settings
from streams.shard import WINDOWED, Shard, new_windows, refused_in
from streams.state.old_shard import DEADLINE_S, deadline
from streams.transport.partition import Partition
from streams.transport.record_batch import RecordBatch

REPLAYED = (OFFER_POLICIES, ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY, PRICE_APPLIED, COMMANDS, TICKS)
"""In this order."""

BY_STATE = frozenset({Reason.WRONG_PARTITION, Reason.CURRENCY_MISMATCH, Reason.SHARD_FULL})
"""Refusals that depend on more than the record: they must come out the same again. Others are left out."""

NOT_YET = 2**62
"""An end that is not reached: a shard that has not caught up decides nothing."""

Place = tuple[str, int]
"""Topic and offset, in one partition."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """What the sources say about a shard."""

    keys: list[bytes]
    rows: Rows
    seen: dict[str, int]
    now: int
    """No earlier than it was: when a source was at its end, and so did not hold time back, nobody knows any more."""
    refused: dict[str, list[Run]]
    """Offsets within the duplicate windows, by source topic."""


class Replay:
    """Replays one shard after another."""

    def __init__(self, settings: Settings, engine: PricingEngine, offsets: Offsets) -> None:
        self._settings = settings.model_copy(update={"decide_during_catch_up": False})
        self._engine = engine
        self._pipeline = Pipeline(self._settings, engine, Metrics())
        self._offsets = offsets

    def run(self, partition: int, applied: dict[str, int]) -> Replayed:
        """Apply every source up to ``applied``.

        Raises:
            ShardLost: If other records are refused than were refused then.
        """
        known = dead_letters(self._settings, self._offsets, partition)
        size = self._settings.duplicate_window
        start, ends = dict.fromkeys(applied, 0), dict.fromkeys(applied, NOT_YET)
        shard = Shard(partition, start, ends, new_windows(size), refused_in(size, {}))
        self._engine.open_shard(partition)
        try:
            again = self._apply(shard, applied, known)
            self._compare(partition, again, {place for place, reason in known.items() if reason in BY_STATE}, applied)
            keys, rows = self._engine.snapshot(partition)
        finally:
            self._engine.drop_shard(partition)
        return Replayed(
            keys.present(),
            rows,
            shard.seen,
            max(shard.seen.values(), default=0),
            refused_before(self._settings, applied, known),
        )

    def _apply(self, shard: Shard, applied: dict[str, int], known: dict[Place, str]) -> set[Place]:
        refused: set[Place] = set()
        for topic in REPLAYED:
            tp = Partition(self._name(topic), shard.partition)
            ranges = {tp: (self._offsets.start([tp])[tp], applied[topic.name])}
            for _, messages in read_ranges(
                self._settings.consumer_config(), ranges, cancelled=deadline(DEADLINE_S), committed=True
            ):
                batch = without_refused(tp, messages, known)
                outputs = self._pipeline.apply([(shard, batch)], wall_ms()) if len(batch) else {}
                letters = [letter for output in outputs.get(shard.partition, []) for letter in output.values.present()]
                refused |= {_place(msgspec.json.decode(letter, type=DeadLettered)) for letter in letters}
        return refused

    def _name(self, topic: Topic) -> str:
        return topic.full_name(self._settings.topic_prefix)

    def _compare(self, partition: int, again: set[Place], known: set[Place], applied: dict[str, int]) -> None:
        """Compaction may have removed a policy that was refused; nothing else may differ."""
        prefix = self._settings.topic_prefix
        ends = {topic.full_name(prefix): applied[topic.name] for topic in REPLAYED if topic.cleanup == "delete"}
        missing = {(topic, offset) for topic, offset in known - again if offset < ends.get(topic, 0)}
        for what, places in (("refused now and not then", again - known), ("refused then and not now", missing)):
            if places:
                topic, offset = min(places)
                raise ShardLost(
                    f"partition {partition} cannot be made again: {len(places)} records are {what}, the first is "
                    f"{topic}[{partition}] at {offset}. Run with the settings that the workers had "
                    "(REPRICER_MAX_OFFERS, REPRICER_DUPLICATE_WINDOW)."
                )


def dead_letters(settings: Settings, offsets: Offsets, partition: int) -> dict[Place, str]:
    """Read what was refused of a shard's sources, and why; topics by their full names."""
    tp = Partition(DEAD_LETTERS.full_name(settings.topic_prefix), partition)
    ranges = {tp: (offsets.start([tp])[tp], offsets.end([tp], committed=True)[tp])}
    found: dict[Place, str] = {}
    for _, messages in read_ranges(settings.consumer_config(), ranges, cancelled=deadline(DEADLINE_S)):
        for _, _, value in messages:
            letter = msgspec.json.decode(value or b"", type=DeadLettered)
            found[_place(letter)] = letter.reason
    return found


def refused_before(settings: Settings, applied: Mapping[str, int], known: Mapping[Place, str]) -> dict[str, list[Run]]:
    """What the duplicate windows in front of ``applied`` must not know."""
    found: dict[str, list[Run]] = {}
    for topic in WINDOWED:
        refused, name = RefusedOffsets(settings.duplicate_window), topic.full_name(settings.topic_prefix)
        refused.add(sorted(offset for place, offset in known if place == name and offset < applied[topic.name]))
        found[topic.name] = refused.in_front_of(applied[topic.name])
    return {name: runs for name, runs in found.items() if runs}


def without_refused(tp: Partition, messages: Records, known: Mapping[Place, str]) -> RecordBatch:
    """Without the records that were refused for what they are. It belongs to no assignment of the data plane."""
    offsets = messages.offsets.tolist()
    refused = [known.get((tp.topic, offset), Reason.WRONG_PARTITION) not in BY_STATE for offset in offsets]
    taken = messages.take(np.flatnonzero(np.logical_not(refused)))
    return RecordBatch(
        *tp,
        epoch=-1,
        first_offset=offsets[0],
        next_offset=offsets[-1] + 1,
        offsets=taken.offsets,
        keys=taken.keys,
        values=taken.values,
        at_end=False,
    )


def _place(letter: DeadLettered) -> Place:
    return letter.topic, letter.offset
