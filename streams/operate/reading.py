"""A whole topic as it stands now, and which offers a person means."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import confluent_kafka as ck
import msgspec

from schemas.policies import OfferPolicy
from schemas.topics import OFFER_POLICIES, Topic
from streams.errors import BrokerUnreachable
from streams.log_reader import Offsets, read_patiently
from streams.records import Records
from streams.settings import Settings
from streams.topic_presence import require_present
from streams.transport.partition import Partition


def pages_of(settings: Settings, topic: Topic) -> Iterator[tuple[Partition, Records]]:
    """Records of a topic, those of each partition in their order.

    Raises:
        BrokerUnreachable: no broker answered, or it stopped in the middle.
        TopicMismatch: the topic is missing.
    """
    partitions = require_present(settings, (topic,))
    tps = [Partition(topic.full_name(settings.topic_prefix), p) for p in range(partitions)]
    config = settings.consumer_config()
    try:
        offsets = Offsets(config)
        starts, ends = offsets.start(tps), offsets.end(tps, committed=True)
        yield from read_patiently(config, {tp: (starts[tp], ends[tp]) for tp in tps})
    except ck.KafkaException as error:
        raise BrokerUnreachable(f"{topic.name} cannot be read: {error}") from error


def read_topic(settings: Settings, topic: Topic) -> Iterator[tuple[int, bytes, bytes | None]]:
    """Offset, key and value of every record, those of each key in their order; errors as of `pages_of`."""
    for _, records in pages_of(settings, topic):
        for offset, key, value in records:
            yield offset, key or b"", value


def read_policies(settings: Settings) -> dict[str, OfferPolicy]:
    """The last policy of every offer that has one, by its key."""
    last: dict[bytes, bytes | None] = {key: value for _, key, value in read_topic(settings, OFFER_POLICIES)}
    decode = msgspec.json.Decoder(OfferPolicy).decode
    found: dict[str, OfferPolicy] = {}
    for key, value in last.items():
        try:
            if value is not None:
                found[key.decode()] = decode(value)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # the worker has made a dead letter of it
            continue
    return found


@dataclass(frozen=True, slots=True)
class Meant:
    """Which offers a person means: those that meet all that is said."""

    channel: str | None = None
    category: str | None = None
    offers: Collection[str] = ()
    """Keys; empty: all."""

    def among(self, settings: Settings, keys: Collection[str]) -> set[str]:
        """Pick those that are meant."""
        found = {key for key in keys if self.channel is None or key.partition(":")[0] == self.channel}
        found &= set(self.offers) if self.offers else found
        if self.category is not None and found:
            policies = read_policies(settings)
            found = {key for key in found if key in policies and policies[key].category == self.category}
        return found
