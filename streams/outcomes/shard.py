"""One partition: its decisions, and up to each of them the events that it had seen, in the order of the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Self

import msgspec
import structlog
from msgspec import structs

from schemas.decisions import PriceDecided
from schemas.topics import PRICE_DECISIONS
from schemas.transitions import TransitionClosed
from streams.log_reader import Offsets, read_patiently
from streams.outcomes.decided import SOURCES, Closed, Decision
from streams.outcomes.intervals import Intervals
from streams.outcomes.sources import Event, ShardSources
from streams.outcomes.written import decisions, transition
from streams.replay.decision_log import Found
from streams.settings import Settings
from streams.transport.partition import Partition

MOST_GAPS = 8
"""So many are remembered: the metadata of an offset is small."""
MAX_EVENTS = 400_000
"""Source records that are read at once."""

_decode = msgspec.json.Decoder(PriceDecided).decode

log = structlog.get_logger(__name__)


class Position(msgspec.Struct, frozen=True):
    """Where a shard stands: the metadata of the offset that is committed, which is that of the oldest open decision."""

    next: int
    """Offset of the first decision that is not joined yet."""
    sources: dict[str, int]
    """Offset of each source from which all that is open can be made again."""
    format: int = 1
    said: int = 0
    """Transitions that close with decisions from ``next`` on and are written already, in their order."""
    expired: tuple[tuple[int, int], ...] = ()
    """The last stretches of decisions, first offset and the one behind, that were removed before they had closed."""

    def behind_gap(self, place: int, first: int) -> Self:
        """Go on where the partition begins now: what was open or not read before it is lost.

        Args:
            place: Offset that is committed.
            first: Offset that the partition begins with.
        """
        expired = (*self.expired, (place, first))[-MOST_GAPS:]
        return structs.replace(self, next=max(self.next, first), expired=expired)


class OutcomeShard:
    """Joins the decisions of one partition."""

    def __init__(self, settings: Settings, partition: int, place: int, sources: Mapping[str, int]) -> None:
        """Begin with the decision at ``place``, and each source at an offset."""
        self._settings = settings
        self._partition = partition
        self._next = place
        self._said = 0
        self._expired: tuple[tuple[int, int], ...] = ()
        self._applied: Mapping[str, int] = dict.fromkeys(SOURCES, 0)
        """What the last decision had seen."""
        self._intervals = Intervals(
            window=settings.outcome_window_s * 1000, lateness=settings.outcome_lateness_s * 1000
        )
        # one that lived through a broker's restart may answer wrongly for ever: it goes with the shard
        self._sources = ShardSources(settings, Offsets(settings.consumer_config()), partition, sources)

    @classmethod
    def restored(cls, settings: Settings, partition: int, place: int, position: Position) -> Self:
        """Make again what was open: join from the oldest open decision on, and say nothing."""
        shard = cls(settings, partition, place, position.sources)
        tp = Partition(PRICE_DECISIONS.full_name(settings.topic_prefix), partition)
        ranges = {tp: (place, position.next)}
        for _, records in read_patiently(settings.consumer_config(), ranges):
            shard.join([(offset, value) for offset, _, value in records], int(records.offsets[-1]) + 1)
        shard._intervals.left_out.clear()
        shard._sources.unreadable = 0
        shard._next, shard._said, shard._expired = position.next, position.said, position.expired
        return shard

    @property
    def open(self) -> int:
        """Decisions that are not closed."""
        return len(self._intervals)

    def left_out(self) -> dict[str, int]:
        """Events that are in no transition, by reason, since this was asked last."""
        counts = {**self._intervals.left_out, "unreadable": self._sources.unreadable}
        self._intervals.left_out.clear()
        self._sources.unreadable = 0
        return counts

    def join(self, records: Sequence[tuple[int, bytes | None]], next_place: int) -> list[TransitionClosed]:
        """Join records of the partition, and return what has closed and is not written yet.

        Args:
            records: Offset and value of each, in the order of the log.
            next_place: Offset behind the last of them.

        Raises:
            TopicRecreated: A source is not the one that the decisions before had read.
        """
        lost = self._sources.require()
        self._intervals.lost |= lost
        if lost:
            log.warning("events have expired before they were read", partition=self._partition, first_left=lost)
        founds = list(self._found(records))  # without those that a rebalance has brought again
        closed: list[Closed] = []
        made = decisions(founds, self._applied)
        for part in _parts(made, self._sources.positions):
            closed += self._join(part)
        if made:
            self._applied = made[-1].applied
        self._next = max(next_place, self._next)
        said = min(self._said, len(closed))
        self._said -= said
        return [transition(one) for one in closed[said:]]

    def position(self) -> tuple[int, Position]:
        """Offset to commit, and its metadata."""
        place, sources = self._intervals.rewind(self._next, self._sources.positions)
        return place, Position(self._next, sources, said=self._said, expired=self._expired)

    def _found(self, records: Sequence[tuple[int, bytes | None]]) -> Iterator[Found]:
        for offset, value in records:
            if offset < self._next:
                continue
            try:
                yield Found(self._partition, offset, b"", _decode(value or b""))
            except msgspec.MsgspecError as error:
                log.warning("record not understood", offset=offset, error=str(error))

    def _join(self, made: Sequence[Decision]) -> list[Closed]:
        """Put decisions in, each behind the events that it had seen."""
        end = made[-1].applied
        while (ahead := _ahead(end, self._sources.positions)) > MAX_EVENTS and len(made) == 1:
            share = {name: end[name] - at for name, at in self._sources.positions.items()}
            part = {name: at + share[name] * MAX_EVENTS // ahead for name, at in self._sources.positions.items()}
            for events in self._sources.up_to(part).values():
                self._take(events)
        waiting = {name: iter(events) for name, events in self._sources.up_to(end).items()}
        following = {name: next(events, None) for name, events in waiting.items()}
        closed: list[Closed] = []
        for decision in made:
            for name in SOURCES:
                while (event := following[name]) is not None and event[0] < decision.applied[name]:
                    self._intervals.take(event[1], event[0], event[2])
                    following[name] = next(waiting[name], None)
            closed += self._intervals.decide(decision)
        return closed

    def _take(self, events: Sequence[Event]) -> None:
        for offset, key, fact in events:
            self._intervals.take(key, offset, fact)


def _ahead(end: Mapping[str, int], positions: Mapping[str, int]) -> int:
    """How many source records are in front of a decision, at most."""
    return sum(max(end[name] - at, 0) for name, at in positions.items())


def _parts(made: Sequence[Decision], positions: Mapping[str, int]) -> Iterator[list[Decision]]:
    """Consecutive decisions with few enough events in front of them; one alone if it has more."""
    part: list[Decision] = []
    begun = dict(positions)
    for decision in made:
        if part and _ahead(decision.applied, begun) > MAX_EVENTS:
            yield part
            begun, part = dict(part[-1].applied), []
        part.append(decision)
    if part:
        yield part
