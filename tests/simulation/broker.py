"""The fake broker: transactions (KIP-98, KIP-360, KIP-890), and who may add offsets to them (KIP-447).

What matters for the protocol, as Kafka 4.1 does it:

- A commit is accepted by writing "prepared"; its markers follow, partition by partition, in any order, some late. Until
  then readers of committed records stop in front of it, and nobody can begin anew under its transactional id.
- InitProducerId raises the epoch. It aborts what is open, waits for what is prepared, and fences all older epochs.
- Adding offsets checks generation and member; the commit does not check them again. Generation -1 without a member
  passes. Offsets in an open transaction are *pending*: who asks for stable ones has to come again.
- Appending and adding offsets check that the transaction is open: what comes late cannot hang a partition.
- A transaction that is open for too long is aborted, some seconds later.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import confluent_kafka as ck

from tests.simulation.fake_log import PartitionLog, Place, Record
from tests.simulation.group import Group, Refused
from tests.simulation.world import Process, World

Code = ck.KafkaError
EXPIRY_CHECK_S = 10.0
"""Kafka looks for overdue transactions this often."""


@dataclass(slots=True)
class Transaction:
    """What the coordinator knows about one transactional id."""

    producer: int
    epoch: int = -1
    state: str = "empty"
    """empty, ongoing, prepared (commit or abort)."""
    commit: bool = False
    """How the last one was ended."""
    places: set[Place] = field(default_factory=set)
    with_offsets: bool = False
    since: float = 0.0
    timeout_s: float = 60.0
    pending: dict[Place, int] = field(default_factory=dict)
    appended: dict[tuple[Place, int], int] = field(default_factory=dict)
    """Numbers of the batches that are in the log, by partition and epoch: one that is sent again is not doubled."""


class Broker:
    """One broker that keeps what it has acknowledged, whatever happens to it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.process = Process("broker")
        self.life = 0
        """Counts restarts: an answer of an earlier life is never heard."""
        self.down = False
        self.logs: defaultdict[Place, PartitionLog] = defaultdict(PartitionLog)
        self.group = Group(world, self.process)
        self.offsets: dict[Place, int] = {}
        self.transactions: dict[str, Transaction] = {}
        world.later(EXPIRY_CHECK_S * world.random.random(), self.process, self._end_overdue)

    def start_producer(self, name: str, timeout_s: float) -> tuple[int, int]:
        """InitProducerId: producer id and epoch."""
        found = self.transactions.setdefault(name, Transaction(len(self.transactions) + 1))
        if found.state == "ongoing":
            found.epoch += 1
            self._prepare(name, found, commit=False)
        if found.state == "prepared":
            raise Refused(Code.CONCURRENT_TRANSACTIONS)
        found.epoch += 1
        found.state, found.timeout_s = "empty", timeout_s
        return found.producer, found.epoch

    def append(self, name: str, epoch: int, place: Place, number: int, records: list[Record]) -> None:
        """AddPartitionsToTxn and Produce in one: a batch of one partition."""
        found = self._ongoing(name, epoch)
        found.places.add(place)
        if number > found.appended.get((place, epoch), -1):
            found.appended[place, epoch] = number
            self.logs[place].append(records, found.producer)

    def add_offsets(self, name: str, epoch: int) -> None:
        """AddOffsetsToTxn: the group becomes part of the transaction."""
        self._ongoing(name, epoch).with_offsets = True

    def commit_offsets(self, name: str, epoch: int, member: tuple[int, str], offsets: Mapping[Place, int]) -> None:
        """TxnOffsetCommit: the only place where the group's membership is checked."""
        found = self._current(name, epoch)
        if found.state != "ongoing" or not found.with_offsets:
            raise Refused(Code.INVALID_TXN_STATE)
        if member != (-1, ""):
            self.group.require(*member)
        found.pending |= offsets

    def end(self, name: str, epoch: int, *, commit: bool) -> None:
        """EndTxn. Answered as soon as the end is prepared; asking again for the same end is no error."""
        found = self._current(name, epoch)
        if found.state == "ongoing":
            self._prepare(name, found, commit=commit)
        elif found.state == "empty" and not (found.since and found.commit == commit):
            raise Refused(Code.INVALID_TXN_STATE)

    def stable_offsets(self, places: Iterable[Place], *, stable: bool) -> dict[Place, int]:
        """OffsetFetch, with or without require_stable."""
        if stable and any(place in found.pending for place in places for found in self.transactions.values()):
            raise Refused(Code.UNSTABLE_OFFSET_COMMIT)
        return {place: self.offsets.get(place, -1001) for place in places}

    def crash(self, for_s: float) -> None:
        """SIGKILL and a restart after ``for_s``. Members and transactions are read back from the broker's own logs."""
        self._world.note("broker", f"killed, back in {for_s:.1f} s")
        self.life, self.down, self.group.loading = self.life + 1, True, True

        def start() -> None:
            self.down = False
            self.group.reload()

        self._world.later(for_s, self.process, start)

    def pause(self, for_s: float) -> None:
        """SIGSTOP: requests pile up, and all are served afterwards, those of the dead too."""
        self._world.note("broker", f"paused for {for_s:.1f} s")
        self._world.freeze(self.process)
        self._world.later(for_s, None, lambda: self._world.thaw(self.process))

    def _current(self, name: str, epoch: int) -> Transaction:
        found = self.transactions.get(name)
        if found is None or found.epoch != epoch:
            raise Refused(Code._FENCED)
        return found

    def _ongoing(self, name: str, epoch: int) -> Transaction:
        found = self._current(name, epoch)
        if found.state == "prepared":
            raise Refused(Code.CONCURRENT_TRANSACTIONS)
        if found.state == "empty":
            found.state, found.since, found.places, found.with_offsets = "ongoing", self._world.now, set(), False
        return found

    def _prepare(self, name: str, found: Transaction, *, commit: bool) -> None:
        found.state, found.commit = "prepared", commit
        self._world.note("broker", f"{'commit' if commit else 'abort'} of {name} prepared")
        markers = [lambda place=place: self._mark(found, place) for place in sorted(found.places)]
        if found.with_offsets:
            markers.append(lambda: self._materialise(found))
        self._world.random.shuffle(markers)
        self._write(name, found, markers)

    def _write(self, name: str, found: Transaction, markers: list[Callable[[], None]]) -> None:
        """One marker after the other, some of them late."""
        if not markers:
            found.state = "empty"
            self._world.note("broker", f"{'commit' if found.commit else 'abort'} of {name} complete")
            return

        def step() -> None:
            if self.down:
                self._world.later(0.5, self.process, step)
                return
            markers.pop()()
            self._write(name, found, markers)

        self._world.later(self._marker_delay(), self.process, step)

    def _marker_delay(self) -> float:
        random = self._world.random
        return random.uniform(0.05, 3.0) if random.random() < 0.05 else random.uniform(0.0002, 0.004)

    def _mark(self, found: Transaction, place: Place) -> None:
        self.logs[place].mark(found.producer, commit=found.commit)

    def _materialise(self, found: Transaction) -> None:
        pending, found.pending = found.pending, {}
        if found.commit:
            self.offsets |= pending

    def _end_overdue(self) -> None:
        for name, found in self.transactions.items():
            if found.state == "ongoing" and self._world.now - found.since > found.timeout_s and not self.down:
                found.epoch += 1
                self._world.note("broker", f"{name} is overdue")
                self._prepare(name, found, commit=False)
        self._world.later(EXPIRY_CHECK_S, self.process, self._end_overdue)
