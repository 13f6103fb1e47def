"""What must hold, computed again from the source logs alone, by plain dictionaries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from schemas.topics import CHANGELOG, HOT_SOURCES, PRICE_DECISIONS, PRICING_CONTROL
from streams.changelog import SHARD_KEY, decode_shard_record
from streams.settings import Settings
from streams.shard import WINDOWED
from tests.simulation.broker import Broker
from tests.simulation.toy import EVERY, ROW, number_and_amount
from tests.simulation.worker import Worker

Totals = dict[bytes, tuple[int, int]]


class Violation(AssertionError):  # says what was violated
    """Something that must always hold does not."""


def require(condition: object, what: str) -> None:
    if not condition:
        raise Violation(what)


class Told(NamedTuple):
    """An event that counts."""

    topic: str
    offset: int
    key: bytes
    amount: int


def totals_of(told: Iterable[Told], applied: Mapping[str, int]) -> Totals:
    """Count and total of every key, from the sources up to ``applied``."""
    totals: Totals = {}
    for topic, offset, key, amount in told:
        if offset < applied[topic]:
            count, total = totals.get(key, (0, 0))
            totals[key] = count + 1, total + amount
    return totals


class Audit:
    """Reads the broker's logs as an outsider."""

    def __init__(self, broker: Broker, settings: Settings) -> None:
        self._broker, self._settings = broker, settings
        self._seen: dict[int, list[object]] = defaultdict(list)

    def name(self, topic: str) -> str:
        return f"{self._settings.topic_prefix}.{topic}"

    def end(self, topic: str, partition: int) -> int:
        return self._broker.logs[self.name(topic), partition].last_stable_offset

    def told(self, partition: int) -> list[Told]:
        """The events of all sources without those that came again within the window."""
        return [
            Told(topic.name, offset, *event)
            for topic in HOT_SOURCES
            for offset, *event in self._once(topic.name, partition, windowed=topic in WINDOWED)
        ]

    def _once(self, topic: str, partition: int, *, windowed: bool) -> Iterator[tuple[int, bytes, int]]:
        last: dict[str, int] = {}
        for offset, record in self._broker.logs[self.name(topic), partition].committed():
            number, amount = number_and_amount(record.value or b"")
            before, last[number] = last.get(number), offset
            if not windowed or before is None or offset - before > self._settings.duplicate_window:
                yield offset, record.key or b"", amount

    def on_the_way(self, workers: list[Worker], controls: Mapping[int, int]) -> None:
        """Whoever reads committed records never sees one taken back, and no owner has missed a run mode."""
        for partition in range(self._settings.partitions):
            now: list[object] = list(self._broker.logs[self.name(PRICE_DECISIONS.name), partition].committed())
            before = self._seen[partition]
            require(now[: len(before)] == before, f"partition {partition}: a committed output has vanished")
            self._seen[partition] = now
        for worker in workers:
            if worker.ownership.ready and self._broker.group.is_member(worker.generation, worker.member):
                for partition, shard in worker.ownership.shards.items():
                    heard, told = shard.run_mode_offset, controls[partition] - 1
                    require(heard >= told, f"shard {partition} goes on as of control {heard}, was told {told}")

    def cuts(self, partition: int, told: list[Told]) -> dict[str, int]:
        """Every cut, in the changelog's order: nothing goes back, and its rows are those of its positions.

        Returns the positions after the last one.
        """
        rows: Totals = {}
        applied = {topic.name: 0 for topic in HOT_SOURCES}
        sequence = 0
        for offset, record in self._broker.logs[self.name(CHANGELOG.name), partition].committed():
            if record.key != SHARD_KEY:
                rows[record.key or b""] = _row(record.value or b"")
                continue
            _require_rows(f"changelog[{partition}]@{offset}", rows, totals_of(told, applied))
            shard = decode_shard_record(record.value or b"", partition)
            back = {name: (at, shard.applied[name]) for name, at in applied.items() if shard.applied[name] < at}
            require(not back, f"changelog[{partition}]@{offset}: positions went back: {back}")
            require(shard.sequence >= sequence, f"changelog[{partition}]@{offset}: the sequence went back")
            applied, sequence = shard.applied, shard.sequence
        _require_rows(f"changelog[{partition}] at its end", rows, totals_of(told, applied))
        return applied

    def outputs(self, partition: int, totals: Totals) -> None:
        """Every output once, numbered without a hole."""
        found = [record for _, record in self._broker.logs[self.name(PRICE_DECISIONS.name), partition].committed()]
        pairs = [tuple(map(int, (record.value or b"").split(b":"))) for record in found]
        numbers = [number for _, number in pairs]
        require(numbers == list(range(1, len(found) + 1)), f"outputs[{partition}]: the sequence is {numbers}")
        made = [(record.key, count) for record, (count, _) in zip(found, pairs, strict=True)]
        due = [(key, n) for key, (count, _) in totals.items() for n in range(EVERY, count + 1, EVERY)]
        require(sorted(made) == sorted(due), f"outputs[{partition}]: made {sorted(made)}, due {sorted(due)}")

    def at_rest(self, workers: list[Worker]) -> None:
        """Everything, after all has been applied."""
        for partition in range(self._settings.partitions):
            told = self.told(partition)
            applied = self.cuts(partition, told)
            totals = totals_of(told, applied)
            self.outputs(partition, totals)
            for name, at in applied.items():
                offset = self._broker.offsets.get((self.name(name), partition))
                require(
                    offset == at, f"{name}[{partition}]: the group's offset is {offset}, the shard record says {at}"
                )
            (owner,) = [worker for worker in workers if partition in worker.ownership.shards]
            rows = owner.pipeline.engine.states[partition].rows
            memory = {key: (count, total) for key, (count, total, _) in rows.items()}
            require(memory == totals, f"shard {partition}: memory is {memory}, must be {totals}")
            self._require_mode(partition, owner)

    def _require_mode(self, partition: int, owner: Worker) -> None:
        controls = self._broker.logs[self.name(PRICING_CONTROL.name), partition].committed()
        last = (controls[-1][1].value or b"").decode() if controls else "ACTIVE"
        mode = owner.ownership.shards[partition].run_modes.everything
        require(mode == last, f"shard {partition} is {mode}, was told {last}")

    def behind(self, workers: list[Worker], controls: Mapping[int, int]) -> str:
        """What is still to be done; empty if nothing is."""
        if any(found.state != "empty" for found in self._broker.transactions.values()):
            return "a transaction is open"
        owned = [p for worker in workers for p in worker.ownership.shards]
        if sorted(owned) != list(range(self._settings.partitions)):
            return f"shards {owned} are owned"
        lazy = [worker.process.name for worker in workers if not worker.ownership.ready]
        if lazy:
            return f"{lazy} are not ready"
        for partition in range(self._settings.partitions):
            for topic in HOT_SOURCES:
                place = self.name(topic.name), partition
                end = self.end(topic.name, partition)
                if self._broker.offsets.get(place, 0) != end:
                    return f"{topic.name}[{partition}] is at {self._broker.offsets.get(place)} of {end}"
            if controls[partition] != self.end(PRICING_CONTROL.name, partition):
                return f"{PRICING_CONTROL.name}[{partition}] is at {controls[partition]}"
        return ""


def _require_rows(where: str, rows: Totals, expected: Totals) -> None:
    require(rows == expected, f"{where}: rows are {rows}, must be {expected}")


def _row(value: bytes) -> tuple[int, int]:
    count, total, _ = np.frombuffer(value, ROW)[0]
    return int(count), int(total)
