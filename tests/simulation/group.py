"""The fake group coordinator: members, sessions, generations, as the classic protocol has them.

While a rebalance is prepared the old generation still holds, so that its members can make their last cut. It ends when
everybody has joined again, or after the rebalance timeout without those who have not; the generation rises then.
Everyone is a leader here: the assignment is made by the coordinator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import confluent_kafka as ck

from tests.simulation.world import Process, World

Code = ck.KafkaError
Answer = Callable[[int | tuple[int, str]], None]
"""Told an error code, or generation and member id."""

SESSION_S = 6.0
REBALANCE_S = 12.0


class Refused(Exception):  # as the broker's protocol says it
    """The broker answers a request with an error code."""

    def __init__(self, code: int) -> None:
        super().__init__(ck.KafkaError(code).name())
        self.code = code


@dataclass(slots=True)
class Member:
    """One member, and the answer that it waits for while a rebalance is prepared."""

    last_seen: float
    joining: Answer | None = None
    partitions: frozenset[int] = frozenset()


@dataclass(slots=True)
class Group:
    """One consumer group over ``partitions``."""

    world: World
    process: Process
    partitions: range = range(2)
    generation: int = 0
    preparing: bool = False
    loading: bool = False
    """The broker is down: no session ends meanwhile."""
    members: dict[str, Member] = field(default_factory=dict)
    _names: int = 0
    _rebalance: int = 0

    def __post_init__(self) -> None:
        self.world.later(0.5, self.process, self._expire)

    def require(self, generation: int, member: str) -> None:
        """Whether a member of this generation asks."""
        if member not in self.members:
            raise Refused(Code.UNKNOWN_MEMBER_ID)
        if generation != self.generation:
            raise Refused(Code.ILLEGAL_GENERATION)

    def is_member(self, generation: int, member: str) -> bool:
        return generation == self.generation and member in self.members

    def join(self, member: str, answer: Answer) -> None:
        if member and member not in self.members:
            answer(Code.UNKNOWN_MEMBER_ID)
            return
        if not member:
            self._names += 1
            member = f"m{self._names}"
        known = self.members.setdefault(member, Member(self.world.now))
        known.joining, known.last_seen = answer, self.world.now
        self._prepare()
        self._complete_if_all_joined()

    def sync(self, generation: int, member: str) -> frozenset[int]:
        self.require(generation, member)
        if self.preparing:
            raise Refused(Code.REBALANCE_IN_PROGRESS)
        self.members[member].last_seen = self.world.now
        return self.members[member].partitions

    def heartbeat(self, generation: int, member: str) -> None:
        self.require(generation, member)
        self.members[member].last_seen = self.world.now
        if self.preparing:
            raise Refused(Code.REBALANCE_IN_PROGRESS)

    def leave(self, member: str) -> None:
        """Also what an expired session does, and an operator who removes a member."""
        if self.members.pop(member, None) is not None:
            self.world.note("group", f"{member} is out")
            self._prepare()
            self._complete_if_all_joined()

    def reload(self) -> None:
        """After a restart of the broker: sessions begin anew, and nobody waits for an answer any more."""
        self.loading = False
        for known in self.members.values():
            known.last_seen, known.joining = self.world.now, None

    def _prepare(self) -> None:
        if self.preparing:
            return
        self.preparing = True
        self._rebalance += 1
        mine = self._rebalance

        def time_is_up() -> None:
            if self.preparing and self._rebalance == mine and not self.loading:
                for name in [name for name, known in self.members.items() if known.joining is None]:
                    self.world.note("group", f"{name} did not join in time")
                    del self.members[name]
                self._complete()

        self.world.later(REBALANCE_S, self.process, time_is_up)

    def _complete_if_all_joined(self) -> None:
        if all(known.joining is not None for known in self.members.values()):
            self._complete()

    def _complete(self) -> None:
        self.preparing = False
        self.generation += 1
        self._assign()
        for name, known in list(self.members.items()):
            self.world.note("group", f"generation {self.generation}: {name} has {sorted(known.partitions)}")
            answer, known.joining, known.last_seen = known.joining, None, self.world.now
            assert answer is not None
            answer((self.generation, name))

    def _assign(self) -> None:
        """Mostly those who have a partition keep it, as far as that is fair; now and then everything moves."""
        names = sorted(self.members)
        if not names:
            return
        self.world.random.shuffle(names)
        most = -(-len(self.partitions) // len(names))
        shares: dict[str, set[int]] = {name: set() for name in names}
        if self.world.random.random() < 0.6:
            for name in names:
                shares[name] |= set(sorted(self.members[name].partitions)[:most])
        for partition in set(self.partitions).difference(*shares.values()):
            min(shares.values(), key=len).add(partition)
        for name in names:
            self.members[name].partitions = frozenset(shares[name])

    def _expire(self) -> None:
        for name, known in list(self.members.items()):
            if known.joining is None and not self.loading and self.world.now - known.last_seen > SESSION_S:
                self.leave(name)
        self.world.later(0.5, self.process, self._expire)
