"""The market's two ends on Kafka: what it publishes, and the applied prices that it reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np
import structlog

from schemas.cloud_events import EVENT_TYPES, Headers
from schemas.events import PriceApplied, Ticked
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms
from schemas.topics import OFFER_POLICIES, PRICE_APPLIED, TICKS, Topic, offer_key
from streams.errors import BrokerUnreachable
from streams.market.events import Event, Int64, OfferName
from streams.settings import Settings

FLUSH_S = 30.0
FULL_S = 0.1
"""How long to wait where the producer's queue is full."""
ANSWERS_AT_ONCE = 10_000

log = structlog.get_logger(__name__)


class Publisher:
    """Publishes policies, events and the time."""

    def __init__(self, settings: Settings, partitions: int, seed: int) -> None:
        self._prefix = settings.topic_prefix
        self._source = f"/{self._prefix}/market/{seed}"
        self._partitions = partitions
        self._seed = seed
        self._producer = ck.Producer({**settings.producer_config(), "linger.ms": 5})
        self.published = 0
        """Events handed over, without policies and ticks."""

    def send_policies(self, policies: Iterable[OfferPolicy], at: int) -> None:
        """Publish policies, and wait until the broker has them."""
        for policy in policies:
            name = f"{policy.sku}-{policy.version}"
            headers = self._headers(OFFER_POLICIES, name, at)
            self._produce(OFFER_POLICIES, msgspec.json.encode(policy), headers, offer_key(policy.channel, policy.sku))
        self.flush()

    def send(self, events: Iterable[Event]) -> None:
        """Publish events, in order."""
        for event in events:
            headers = self._headers(event.topic, event.event_id(self._seed), event.at)
            self._produce(event.topic, event.value, headers, event.key)
            self.published += 1
        self._producer.poll(0)

    def send_time(self, at: int) -> None:
        """Tell every partition what time it is."""
        value = msgspec.json.encode(Ticked(format_ms(at)))
        for partition in range(self._partitions):
            self._produce(TICKS, value, self._headers(TICKS, f"tick-{at}-{partition}", at), None, partition)

    def flush(self) -> None:
        """Wait until the broker has everything.

        Raises:
            BrokerUnreachable: it has not within `FLUSH_S`.
        """
        if self._producer.flush(FLUSH_S):
            raise BrokerUnreachable(f"the broker did not confirm what the market published within {FLUSH_S:.0f} s")

    def _headers(self, topic: Topic, event_id: str, at: int) -> Headers:
        assert topic.type is not None
        return EVENT_TYPES[topic.type].headers(event_id=event_id, source=self._source, time_ms=at)

    def _produce(self, topic: Topic, value: bytes, headers: Headers, key: bytes | None, partition: int = -1) -> None:
        name = topic.full_name(self._prefix)
        while True:
            try:
                self._producer.produce(name, value, key, partition, headers=[*headers])
            except BufferError:
                self._producer.poll(FULL_S)
            else:
                return


class AppliedPrices:
    """The prices that the catalog says it shows, by offer.

    Attributes:
        prices: minor units, [N].
        versions: of the last answered change, [N]; 0 before the first.
    """

    def __init__(self, settings: Settings, partitions: int, names: Sequence[OfferName], start: Int64) -> None:
        self.prices, self.versions = np.array(start, np.int64), np.zeros(len(names), np.int64)
        self._rows = {name.key: row for row, name in enumerate(names)}
        self._decode = msgspec.json.Decoder(PriceApplied).decode
        self._consumer: Any = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.topic_prefix}-market"})
        topic = PRICE_APPLIED.full_name(settings.topic_prefix)
        # No group: a market that starts has to know what is shown, so it reads everything.
        self._consumer.assign([ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in range(partitions)])

    def read(self) -> None:
        """Take over what has been answered since the last call."""
        for record in self._consumer.consume(ANSWERS_AT_ONCE, 0.0):
            row = self._rows.get(record.key()) if record.error() is None else None
            if row is not None:
                self._take(row, record.value())

    def close(self) -> None:
        """Stop reading."""
        self._consumer.close()

    def _take(self, row: int, value: bytes | None) -> None:
        try:
            answer = self._decode(value or b"")
        except msgspec.MsgspecError as error:
            log.warning("answer not understood", error=str(error))
            return
        self.prices[row], self.versions[row] = answer.price, answer.version
