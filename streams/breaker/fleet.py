"""The fleet's breaker: what all shards together may do. Every worker adds summaries up by itself: there is no leader.

A shard writes its summary inside of its cuts, at most once in a while. Every worker reads the summaries of all shards,
by a consumer of its own and outside of the group: as a member it would see those of its own shards only. If the sums
exceed a limit, it stops the shards that it owns. A shard that stands for the fleet's sake says so in its summary, and
whoever reads that stops, too: so a shard that is on its way to another worker just then is stopped when it is there.

What was counted before a person said ACTIVE is not counted with what came after.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import confluent_kafka as ck
import msgspec
import structlog

from pricing_core.breaker import Excess, Limits, excess
from pricing_core.tally import MINUTE_MS, MINUTES, NOTHING, Tally
from schemas.binary import BinaryArray
from schemas.cloud_events import SHARD_SUMMARISED
from schemas.codec import encode
from schemas.summaries import ShardSummarised, Stopped
from schemas.timestamps import format_ms, parse_ms
from schemas.topics import SHARD_SUMMARIES
from streams.breaker.state import Stop
from streams.breaker.watch import FLEET, limits_of
from streams.clock import wall_ms
from streams.output import OutputBatch
from streams.settings import Settings
from streams.shard import Shard

log = structlog.get_logger(__name__)

SUMMARY_MS = 2_000
"""A shard writes its summary no more often, but for a stop."""
POLL_S = 0.5
AT_ONCE = 10_000
COUNTED = Tally.__struct_fields__[:-2]
"""Counts that summaries carry, by name."""


class FleetExcess(NamedTuple):
    """The shards together exceed a limit."""

    found: Excess
    resumed_at: int
    """Only shards that no person has resumed since are to stop; ms."""


class SummaryWriter:
    """Writes what shards have to tell, when there is something new."""

    def __init__(self, settings: Settings) -> None:
        self._topic = SHARD_SUMMARIES.full_name(settings.topic_prefix)
        self._source = f"/{settings.group}"
        self._worker = settings.instance

    def outputs(self, shard: Shard, offers: int, wall: int) -> list[OutputBatch]:
        """The summary of a shard as a record for the open cut, if it differs from the last one.

        Args:
            shard: Whose.
            offers: How many it knows.
            wall: Wall clock, ms.
        """
        said_at, last, state = shard.summarised_at, shard.summary, shard.breaker
        has_stopped = last is not None and (last.stopped is None) != (state.stop is None)
        if not shard.now or (0 <= wall - said_at < SUMMARY_MS and not has_stopped):
            return []
        state.window.move_on(shard.now)
        summary = self._summary(shard, offers, wall)
        if last is not None and msgspec.structs.replace(summary, at=last.at, event_time=last.event_time) == last:
            return []
        shard.summarised_at, shard.summary = wall, summary
        keys, values = BinaryArray.columns([(str(shard.partition).encode(), encode(summary))])
        ids = BinaryArray.of([b"%d-s%d" % (shard.partition, wall)])
        headers = SHARD_SUMMARISED.shared_headers(source=self._source, time_ms=wall)
        return [OutputBatch(self._topic, shard.partition, keys, values, ids, headers)]

    def _summary(self, shard: Shard, offers: int, wall: int) -> ShardSummarised:
        state = shard.breaker
        counts = {name: getattr(state.window.whole, name) for name in COUNTED}
        return ShardSummarised(
            shard=shard.partition,
            worker=self._worker,
            at=format_ms(wall),
            event_time=format_ms(shard.now),
            resumed_at=format_ms(state.resumed_at) if state.resumed_at else None,
            offers=offers,
            stopped=None if state.stop is None else _stopped(state.stop),
            **counts,
        )


class _Heard(NamedTuple):
    """A summary, and its times in ms."""

    summary: ShardSummarised
    at: int
    resumed_at: int


class Fleet:
    """The last summary of every shard, added up."""

    def __init__(self, settings: Settings) -> None:
        self._limits: Limits = limits_of(settings).lowered(settings.breaker_fleet_bp)
        self._heard: dict[int, _Heard] = {}

    def hear(self, raw: bytes | None) -> None:
        """Take over what a shard says now.

        Raises:
            ValueError: If that cannot be understood.
        """
        try:
            summary = msgspec.json.decode(raw or b"", type=ShardSummarised)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from error
        resumed_at = 0 if summary.resumed_at is None else parse_ms(summary.resumed_at)
        self._heard[summary.shard] = _Heard(summary, parse_ms(summary.at), resumed_at)

    def excess(self, wall: int) -> FleetExcess | None:
        """Whether all shards together exceed a limit; one shard alone has its own.

        Args:
            wall: Wall clock, ms. A shard that moves says so every few seconds: an old summary is that of a dead owner,
                whatever its event time. Event time may run ahead in one shard, and must not silence the others.
        """
        resumed_at = max((heard.resumed_at for heard in self._heard.values()), default=0)
        current = [heard for heard in self._heard.values() if heard.resumed_at == resumed_at]
        for heard in current:
            stopped = heard.summary.stopped
            if stopped is not None and stopped.source == FLEET:
                return FleetExcess(Excess(stopped.code, stopped.limit, stopped.value), resumed_at)
        fresh = [heard.summary for heard in current if heard.at > wall - MINUTES * MINUTE_MS]
        together = sum((Tally(**{name: getattr(s, name) for name in COUNTED}) for s in fresh), NOTHING)
        offers = sum(heard.summary.offers for heard in self._heard.values())
        found = excess(together, self._limits, offers) if len(fresh) > 1 else None
        return None if found is None else FleetExcess(found, resumed_at)


class FleetWatch:
    """Reads the summaries of all shards and stops the shards of this worker when the fleet exceeds a limit."""

    def __init__(self, settings: Settings, stop: Callable[[FleetExcess], None]) -> None:
        self._fleet = Fleet(settings)
        self._stop = stop
        self._topic = SHARD_SUMMARIES.full_name(settings.topic_prefix)
        self._partitions = settings.partitions
        self._consumer = ck.Consumer(settings.consumer_config())

    async def run(self) -> None:
        """Watch until cancelled."""
        self._consumer.assign([ck.TopicPartition(self._topic, p, ck.OFFSET_BEGINNING) for p in range(self._partitions)])
        try:
            while True:
                for message in self._consumer.consume(AT_ONCE, 0):
                    self._hear(message)
                found = self._fleet.excess(wall_ms())
                if found is not None:
                    self._stop(found)
                await asyncio.sleep(POLL_S)
        finally:
            self._consumer.close()

    def _hear(self, message: ck.Message) -> None:
        if message.error() is not None:  # librdkafka goes on by itself
            log.warning("summaries_unreadable", error=str(message.error()))
            return
        try:
            self._fleet.hear(message.value())
        except ValueError as error:  # another version's, or a stranger's: its shard still has its own breaker
            log.warning("summary_not_understood", partition=message.partition(), error=str(error))


def _stopped(stop: Stop) -> Stopped:
    return Stopped(stop.code, stop.limit, stop.value, stop.source, format_ms(stop.at))
