"""What shards tell each other of the prices of families: written inside of their cuts, read beside the hot path.

Every worker reads all of the topic by a consumer of its own and outside of the group, as it does the summaries of the
breaker (`streams.breaker.fleet`). Until it has read to the end once, members of families stay where they are; and so
they do when for `STALE_S` it is not certain that all was heard, because the topic alone cannot be read, say. A shard
that is taken over later finds what was heard until then; its own members it knows from its rows.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping

import confluent_kafka as ck
import msgspec
import structlog

from pricing_core.engine import PricingEngine
from pricing_core.families import NOBODY, UNKNOWN, Prices
from schemas.binary import BinaryArray
from schemas.cloud_events import FAMILY_SUMMARISED
from schemas.codec import encode
from schemas.summaries import FamilySummarised
from schemas.timestamps import format_ms
from schemas.topics import FAMILY_SUMMARIES, family_key
from streams.log_reader import Offsets
from streams.output import OutputBatch
from streams.settings import Settings
from streams.shard import Shard
from streams.transport.partition import Partition

log = structlog.get_logger(__name__)

POLL_S = 0.1
AT_ONCE = 500
"""Records between which the event loop does nothing else."""
CHECK_S = 5.0
"""So often the broker is asked how far the topic goes."""
STALE_S = 30.0
"""Event loops and brokers may stumble for less."""


class FamilyWriter:
    """Writes what shards have to tell of their families, when it is new."""

    def __init__(self, settings: Settings, engine: PricingEngine) -> None:
        self._topic = FAMILY_SUMMARIES.full_name(settings.topic_prefix)
        self._source = f"/{settings.group}"
        self._engine = engine

    def outputs(self, shard: Shard, wall: int) -> list[OutputBatch]:
        """The summaries that have changed, for the open cut; a tombstone for a family without members.

        Args:
            shard: Whose.
            wall: Wall clock, ms.
        """
        changed = self._engine.families.changed(shard.partition)
        if not changed:
            return []
        records = [
            (family_key(_name(family), shard.partition), self._summary(shard, family, prices))
            for family, prices in changed.items()
        ]
        keys, values = BinaryArray.columns(records)
        ids = BinaryArray.of(b"%s-%d" % (key, wall) for key, _ in records)
        headers = FAMILY_SUMMARISED.shared_headers(source=self._source, time_ms=wall)
        return [OutputBatch(self._topic, shard.partition, keys, values, ids, headers)]

    def _summary(self, shard: Shard, family: int, prices: Prices) -> bytes | None:
        if not prices.members:
            return None
        channel, currency = self._engine.families.terms(shard.partition, family)
        return encode(
            FamilySummarised(
                family=_name(family),
                shard=shard.partition,
                channel=channel,
                currency=currency,
                lowest=prices.lowest,
                highest=prices.highest,
                members=prices.members,
                event_time=format_ms(shard.now),
            )
        )


def hear(engine: PricingEngine, key: bytes | None, value: bytes | None) -> None:
    """Take over a record of the topic. One that cannot be understood leaves its family unknown: its members stay.

    Raises:
        ValueError: The key says of no shard and family.
    """
    name, _, shard = (key or b"").decode("ascii").partition("/")
    family, number = int.from_bytes(bytes.fromhex(name)[:8], "little", signed=True), int(shard)
    if key != family_key(_name(family), number):
        raise ValueError(f"{key!r} is no key of a family")
    engine.families.hear(family, number, NOBODY if value is None else _understood(key, value))


def _understood(key: bytes | None, value: bytes) -> Prices:
    try:
        said = msgspec.json.decode(value, type=FamilySummarised)
    except (msgspec.DecodeError, ValueError) as error:  # the latter: text that is no UTF-8
        log.warning("family_summary_not_understood", key=key, error=str(error))
        return UNKNOWN
    if said.lowest > said.highest:
        log.warning("family_summary_not_understood", key=key, error=f"{said.lowest} is above {said.highest}")
        return UNKNOWN
    return Prices(said.lowest, said.highest, said.members)


class FamilyWatch:
    """Reads what all shards say of their families."""

    def __init__(self, settings: Settings, engine: PricingEngine) -> None:
        self._settings = settings
        self._families, self._engine = engine.families, engine
        topic = FAMILY_SUMMARIES.full_name(settings.topic_prefix)
        self._read = dict.fromkeys([Partition(topic, p) for p in range(settings.partitions)], 0)
        """Offset up to which each partition was read."""
        self._asked: tuple[float, Mapping[Partition, int]] = -math.inf, {}
        """When the broker was asked last, monotonic clock; and where the partitions ended."""
        self._heard_at = -math.inf
        """Monotonic clock: all that was said until then was heard."""
        self._consumer = ck.Consumer({**settings.consumer_config(), "enable.partition.eof": True})

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        self._consumer.assign([ck.TopicPartition(*tp, ck.OFFSET_BEGINNING) for tp in self._read])
        asking = asyncio.create_task(self._ask())
        try:
            while True:
                messages = self._consumer.consume(AT_ONCE, 0)
                for message in messages:
                    self._hear(message)
                self._judge()
                await asyncio.sleep(0.0 if len(messages) == AT_ONCE else POLL_S)
        finally:
            asking.cancel()
            self._consumer.close()

    async def _ask(self) -> None:
        """See to it now and then that what is committed was read: silence alone says nothing."""
        while True:
            asked = time.monotonic()
            try:
                ends = await asyncio.to_thread(self._ends)
            except ck.KafkaException as error:
                log.warning("family_summaries_unreadable", error=str(error))
            else:
                self._asked = asked, ends
            await asyncio.sleep(CHECK_S)

    def _ends(self) -> dict[Partition, int]:
        """Where what is committed ends. Asked anew each time: a client that lived through a restart may go wrong."""
        return Offsets(self._settings.consumer_config()).end(list(self._read), committed=True)

    def _judge(self) -> None:
        """Say whether all was heard that shards have said until a short while ago."""
        asked, ends = self._asked
        if all(self._read[tp] >= end for tp, end in ends.items()):
            self._heard_at = asked
        is_fresh = time.monotonic() - self._heard_at <= STALE_S
        if is_fresh and not self._families.complete:
            self._families.heard_all()
            log.info("families_heard")
        elif self._families.complete and not is_fresh:
            self._families.out_of_touch()
            log.error("families_out_of_touch", stale_s=STALE_S)

    def _hear(self, message: ck.Message) -> None:
        error = message.error()
        if error is not None and error.code() != ck.KafkaError._PARTITION_EOF:  # noqa: SLF001  # its public name
            log.warning("family_summaries_unreadable", error=str(error))  # librdkafka goes on by itself
            return
        tp, offset = Partition(message.topic() or "", message.partition() or 0), message.offset() or 0
        self._read[tp] = offset if error is not None else offset + 1  # the end may lie behind a transaction's marker
        if error is not None:
            return
        try:
            hear(self._engine, message.key(), message.value())
        except ValueError as stranger:
            log.warning("family_summary_of_nobody", partition=message.partition(), error=str(stranger))


def _name(family: int) -> str:
    return family.to_bytes(8, "little", signed=True).hex()
