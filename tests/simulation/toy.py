"""A pipeline so small that what it must have done can be computed in one line: it counts and adds up by key.

Every second event of a key makes an output due, numbered by the shard's sequence once it is decided. Events that come
again within the duplicate window count once. The interface is that of `streams.pipeline.Pipeline` and of its engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from schemas.binary import BinaryArray
from schemas.topics import HOT_SOURCES, PRICE_DECISIONS
from streams.output import OutputBatch
from streams.settings import Settings
from streams.shard import Shard, new_windows

ROW = np.dtype([("count", "<i8"), ("total", "<i8"), ("decided", "<i8")])
EVERY = 2


def event(number: int, amount: int) -> bytes:
    return b"%d:%d" % (number, amount)


def number_and_amount(value: bytes) -> tuple[str, int]:
    number, amount = value.split(b":")
    return number.decode(), int(amount)


@dataclass(slots=True)
class ToyShard:
    """State of one shard."""

    rows: dict[bytes, tuple[int, int, int]] = field(default_factory=dict)
    """Count, total, and up to which count all outputs were made, by key."""
    dirty: set[bytes] = field(default_factory=set)
    sequence: int = 0


class ToyEngine:
    """Rows, and which of them no cut has yet."""

    def __init__(self) -> None:
        self.states: dict[int, ToyShard] = {}

    @property
    def shards(self) -> frozenset[int]:
        return frozenset(self.states)

    def drop_shard(self, shard: int) -> None:
        self.states.pop(shard, None)

    def sequence(self, shard: int) -> int:
        return self.states[shard].sequence

    def dirty_count(self, shard: int) -> int:
        return len(self.states[shard].dirty)

    def snapshot(self, shard: int) -> tuple[BinaryArray, Any]:
        state = self.states[shard]
        keys, state.dirty = sorted(state.dirty), set()
        return BinaryArray.of(keys), np.array([state.rows[key] for key in keys], ROW)


class ToyPipeline:
    """Applies and decides on real shards."""

    def __init__(self, settings: Settings) -> None:
        self.engine = ToyEngine()
        self._settings = settings
        self._topics = {topic.full_name(settings.topic_prefix): topic.name for topic in HOT_SOURCES}
        self._decisions = PRICE_DECISIONS.full_name(settings.topic_prefix)

    def apply(self, arrived: Sequence[tuple[Shard, Any]], _wall: int) -> dict[int, list[OutputBatch]]:
        for shard, batch in arrived:
            self._apply(shard, batch)
        return {shard.partition: [] for shard, _ in arrived}

    def _apply(self, shard: Shard, batch: Any) -> None:
        topic, state = self._topics[batch.topic], self.engine.states[shard.partition]
        for key, amount in self._admit(shard, topic, list(batch.keys), list(batch.values), batch.offsets):
            count, total, decided = state.rows.get(key, (0, 0, 0))
            state.rows[key] = count + 1, total + amount, decided
            state.dirty.add(key)
        shard.advance(topic, batch.next_offset, at_end=batch.at_end, times=None)

    def decide(self, shards: Iterable[Shard], _wall: int) -> dict[int, list[OutputBatch]]:
        return {shard.partition: self._decide(shard) for shard in shards}

    def _decide(self, shard: Shard) -> list[OutputBatch]:
        state, outputs = self.engine.states[shard.partition], []
        for key, (count, total, decided) in sorted(state.rows.items()):
            due = range(decided + EVERY, count + 1, EVERY)
            if due:
                state.rows[key] = count, total, due[-1]
                state.dirty.add(key)
            for number in due:
                state.sequence += 1
                value = b"%d:%d" % (number, state.sequence)
                outputs.append(OutputBatch.of(self._decisions, shard.partition, [(key, value)]))
        return outputs

    def restore(self, log: Any, _wall: int) -> Shard:
        values = np.frombuffer(b"".join(log.rows), ROW).tolist()
        sequence = 0 if log.record is None else log.record.sequence
        self.engine.states[log.partition] = ToyShard(dict(zip(log.keys, values, strict=True)), sequence=sequence)
        shard = Shard(log.partition, dict(log.applied), log.ends, new_windows(self._settings.duplicate_window))
        shard.topic_ids = log.topic_ids
        for topic, pages in log.recent.items():
            for records in pages:
                self._admit(shard, topic, list(records.keys), list(records.values), records.offsets)
        self.hear(shard, log.controls)
        return shard

    @staticmethod
    def hear(shard: Shard, controls: Any) -> None:
        for offset, _, value in controls:
            shard.set_run_mode(value.decode(), offset)

    @staticmethod
    def control(shard: Shard, batch: Any, _wall: int) -> list[OutputBatch]:
        shard.set_run_mode(batch.values[0].decode(), batch.first_offset)
        return []

    @staticmethod
    def _admit(shard: Shard, topic: str, keys: list[Any], values: list[Any], offsets: Any) -> list[tuple[bytes, int]]:
        events = [number_and_amount(value) for value in values]
        admitted = [(key, amount) for key, (_, amount) in zip(keys, events, strict=True)]
        window = shard.windows.get(topic)
        if window is None:
            return admitted
        ids = BinaryArray.of(number.encode() for number, _ in events)
        kept: list[int] = []
        for rows in window.stretches(offsets):
            fresh = window.admit(ids.take(rows), offsets[rows])
            kept += (rows if fresh is None else rows[fresh]).tolist()
        return [admitted[row] for row in kept]
