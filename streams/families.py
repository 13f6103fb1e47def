"""What shards tell each other of the prices of families: written inside of their cuts, read beside the hot path.

Every worker reads all of the topic by a consumer of its own and outside of the group, as it does the summaries of the
breaker (`streams.breaker.fleet`). Until it has read to the end once, members of families stay where they are. A shard
that is taken over later finds what was heard until then; its own members it knows from its rows.
"""

from __future__ import annotations

import asyncio

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
from streams.output import OutputBatch
from streams.settings import Settings
from streams.shard import Shard

log = structlog.get_logger(__name__)

POLL_S = 0.1
AT_ONCE = 10_000


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
        self._engine = engine
        self._topic = FAMILY_SUMMARIES.full_name(settings.topic_prefix)
        self._unread = set(range(settings.partitions))
        self._consumer = ck.Consumer({**settings.consumer_config(), "enable.partition.eof": True})

    async def run(self) -> None:
        """Follow the topic until cancelled."""
        self._consumer.assign([ck.TopicPartition(self._topic, p, ck.OFFSET_BEGINNING) for p in sorted(self._unread)])
        try:
            while True:
                for message in self._consumer.consume(AT_ONCE, 0):
                    self._hear(message)
                if not self._unread and not self._engine.families.complete:
                    self._engine.families.heard_all()
                    log.info("families_heard")
                await asyncio.sleep(POLL_S)
        finally:
            self._consumer.close()

    def _hear(self, message: ck.Message) -> None:
        error = message.error()
        if error is not None:
            if error.code() == ck.KafkaError._PARTITION_EOF:  # noqa: SLF001  # the public name of this code
                self._unread.discard(message.partition())
            else:  # librdkafka goes on by itself
                log.warning("family_summaries_unreadable", error=str(error))
            return
        try:
            hear(self._engine, message.key(), message.value())
        except ValueError as stranger:
            log.warning("family_summary_of_nobody", partition=message.partition(), error=str(stranger))


def _name(family: int) -> str:
    return family.to_bytes(8, "little", signed=True).hex()
