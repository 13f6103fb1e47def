"""`repricer shadow run`: read decisions as they are made, decide them by another model, and write that down.

A group of its own reads ``price-decisions``; records on ``shadow-decisions`` and the group's offsets go into one
transaction, so that each decision is shadowed once, whatever is killed. The worker has no part in it: its speed stays
what it is, and a shadow that falls behind or breaks harms nobody.

The transaction carries the membership as it was when the partitions were assigned, never read live: the broker accepts
that of a member which has lost it, and the records would be there twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import confluent_kafka as ck
import msgspec
import structlog

from pricing_core.model_file import Model
from schemas.cloud_events import PRICE_DECIDED
from schemas.decisions import PriceDecided
from schemas.topics import PRICE_DECISIONS, SHADOW_DECISIONS
from streams.clock import wall_ms
from streams.lives import live_until
from streams.polled import is_record
from streams.replay.decision_log import Found
from streams.settings import Settings
from streams.shadow.decide import Shadow
from streams.stop_signal import stop_signal
from streams.topic_presence import require_present
from streams.transport.identity import Claim

RECORDS_AT_ONCE = 2048
POLL_S = 0.2
REQUEST_S = 15.0

log = structlog.get_logger(__name__)


class Follower:
    """One life of the consumer and its transactional producer; a failed transaction ends it."""

    def __init__(self, settings: Settings, shadow: Shadow, *, from_the_start: bool) -> None:
        self._shadow = shadow
        self._topic = SHADOW_DECISIONS.full_name(settings.topic_prefix)
        self._source = f"/{settings.group}/shadow/{shadow.model.label}"
        self._decode = msgspec.json.Decoder(PriceDecided).decode
        name = f"{settings.group}-shadow-{shadow.model.label}"
        self._producer = ck.Producer(
            {
                **settings.producer_config(),
                "transactional.id": f"{name}-{settings.instance}",
                "transaction.timeout.ms": int(settings.transaction_timeout_s * 1000),
                "retry.backoff.ms": 2,
            }
        )
        self._producer.init_transactions(REQUEST_S)
        self._consumer = ck.Consumer(
            {
                **settings.consumer_config(),
                "group.id": name,
                "auto.offset.reset": "earliest" if from_the_start else "latest",
                "session.timeout.ms": int(settings.session_timeout_s * 1000),
                "heartbeat.interval.ms": int(settings.heartbeat_interval_s * 1000),
            }
        )
        self._membership: Any = None
        """As librdkafka has it, of the assignment in force."""
        decisions = PRICE_DECISIONS.full_name(settings.topic_prefix)
        self._consumer.subscribe([decisions], on_assign=self._assigned)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def step(self) -> int:
        """Shadow the decisions that have come; returns how many.

        Raises:
            confluent_kafka.KafkaException: The transaction failed; nothing of it is to be seen.
            SourceUnreadable: The topic cannot be read.
        """
        polled: list[Any] = self._consumer.consume(RECORDS_AT_ONCE, POLL_S)
        records = [record for record in polled if is_record(record)]
        if not records:
            return 0
        decided = self._shadow.decide(self._found(records))
        ends = {record.partition(): record.offset() + 1 for record in records}  # ascending within a partition
        self._producer.begin_transaction()
        try:
            self._produce(decided)
            positions = [ck.TopicPartition(records[0].topic(), partition, end) for partition, end in ends.items()]
            self._producer.send_offsets_to_transaction(positions, self._membership, REQUEST_S)
            self._producer.commit_transaction(REQUEST_S)
        except ck.KafkaException:
            self._producer.abort_transaction(REQUEST_S)
            raise
        return len(decided)

    def _assigned(self, consumer: Any, _partitions: list[ck.TopicPartition]) -> None:
        Claim.from_metadata(bytes(consumer.consumer_group_metadata()), frozenset())  # refuses a lost member's
        self._membership = consumer.consumer_group_metadata()

    def _found(self, records: Sequence[Any]) -> list[Found]:
        found = []
        for record in records:
            raw = record.value() or b""
            try:
                found.append(Found(record.partition(), record.offset(), raw, self._decode(raw)))
            except msgspec.MsgspecError as error:
                log.warning("record not understood", offset=record.offset(), error=str(error))
        return found

    def _produce(self, decided: Sequence[tuple[Found, bytes]]) -> None:
        """To the partition of the record that is shadowed."""
        now = wall_ms()
        for found, value in decided:
            headers = PRICE_DECIDED.headers(event_id=found.record.decision_id, source=self._source, time_ms=now)
            self._producer.produce(self._topic, value, found.key, found.partition, headers=headers)
            self._producer.poll(0)


def follow(settings: Settings, model: Model, *, from_the_start: bool) -> Counter[str]:
    """Shadow decisions until SIGTERM or Ctrl-C.

    Args:
        settings: The workers' own.
        model: That decides silently.
        from_the_start: Whether a shadow of this name that was never run begins with the oldest decision.

    Returns:
        How many decisions were shadowed, and how many left out, by reason.

    Raises:
        TopicMismatch: A topic is missing.
        BrokerUnreachable: Transactions go on failing.
        SourceUnreadable: The decisions cannot be read any more.
    """
    require_present(settings, (PRICE_DECISIONS, SHADOW_DECISIONS))
    shadow = Shadow(settings, model)
    shadow.counts["shadowed"] = 0
    with stop_signal() as stopping:
        shadow.counts["shadowed"] += live_until(
            stopping, lambda: Follower(settings, shadow, from_the_start=from_the_start)
        )
    return shadow.counts
