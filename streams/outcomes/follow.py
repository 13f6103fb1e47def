"""`repricer outcomes`: join decisions with what followed, and write that to ``transitions``.

A group of its own shares the partitions of ``price-decisions``. In one transaction go the transitions that have closed
and the group's position, which is that of the oldest decision that is still open: a new owner reads on from there and
makes again what was open, to the byte (`Intervals`). Its metadata says up to which decision transitions are written.
A jump of event time may close more than one transaction can hold before it is too old: then several follow each other,
and the metadata of all but the last says how many transitions behind that decision are written, too.

Fencing is the broker's: the transaction carries the membership as it was when the partitions were assigned, never read
live (the broker accepts that of a member which has lost it), and who takes a partition over waits until the group's
position is stable, that is until transactions of the owner before have ended.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import confluent_kafka as ck
import msgspec
import structlog
from msgspec import structs

from schemas.cloud_events import TRANSITION_CLOSED
from schemas.codec import encode
from schemas.topics import (
    CLICKS,
    DEAD_LETTERS,
    INVENTORY,
    ORDERS,
    PRICE_APPLIED,
    PRICE_DECISIONS,
    TRANSITIONS,
    offer_key,
)
from schemas.transitions import TransitionClosed
from streams.clock import wall_ms
from streams.errors import BrokerUnreachable, GroupReset, OffsetGap
from streams.lives import live_until
from streams.log_reader import Offsets
from streams.metrics import OPEN_INTERVALS, OUTCOME_DECISIONS_EXPIRED, OUTCOME_EVENTS_LEFT_OUT, Metrics
from streams.metrics import TRANSITIONS as TRANSITIONS_TOTAL
from streams.metrics_page import metrics_page
from streams.outcomes.decided import SOURCES
from streams.outcomes.shard import OutcomeShard, Position
from streams.polled import is_record
from streams.settings import Settings
from streams.stop_signal import stop_signal
from streams.topic_presence import require_present
from streams.transport.identity import Claim
from streams.transport.partition import Partition

RECORDS_AT_ONCE = 2048
TRANSITIONS_AT_ONCE = 4096
"""In a transaction: the shortest timeout that can be set is a second."""
POLL_S = 0.2
REQUEST_S = 15.0
STABLE_S = 60.0
"""A dead owner's transaction ends within its timeout and the broker's clean-up interval."""

Placed = tuple[int, Position]
"""Offset of the oldest open decision, and where the shard stands."""

log = structlog.get_logger(__name__)


class Follower:
    """One life of the consumer and its transactional producer; a failed transaction ends it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._topic = TRANSITIONS.full_name(settings.topic_prefix)
        self._group = f"{settings.group}-outcomes"
        self._membership: Any = None
        """As librdkafka has it, of the assignment in force."""
        self._begins: dict[int, Placed] = {}
        """Where the partitions begin that were assigned and not joined yet."""
        self._shards: dict[int, OutcomeShard] = {}
        self._producer = ck.Producer(
            {
                **settings.producer_config(),
                "transactional.id": f"{self._group}-{settings.instance}",
                "transaction.timeout.ms": int(settings.transaction_timeout_s * 1000),
                "retry.backoff.ms": 2,
            }
        )
        self._producer.init_transactions(REQUEST_S)
        self._consumer = ck.Consumer(
            {
                **settings.consumer_config(),
                "group.id": self._group,
                "auto.offset.reset": "error",  # where decisions have expired is said, and not jumped over
                "session.timeout.ms": int(settings.session_timeout_s * 1000),
                "heartbeat.interval.ms": int(settings.heartbeat_interval_s * 1000),
                # What was open is made again between two polls, however long that takes; whatever may stand still
                # ends by itself (`read_patiently`, REQUEST_S).
                "max.poll.interval.ms": 86_400_000,
            }
        )
        decisions = PRICE_DECISIONS.full_name(settings.topic_prefix)
        self._consumer.subscribe([decisions], on_assign=self._assigned, on_revoke=self._given_up)

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def step(self) -> int:
        """Join the decisions that have come; returns how many.

        Raises:
            confluent_kafka.KafkaException: The transaction failed; nothing of it is to be seen.
            StreamFault: Decisions or events are not what they were.
        """
        polled: list[Any] = self._consumer.consume(RECORDS_AT_ONCE, POLL_S)
        records = [record for record in polled if _is_decision(record) and self._owns(record.partition())]
        if not records:
            return 0
        by_partition: dict[int, list[tuple[int, bytes | None]]] = {}
        for record in records:
            by_partition.setdefault(record.partition(), []).append((record.offset(), record.value()))
        before = {p: self._shard(p).position() for p in by_partition}
        closed = {p: self._shard(p).join(found, found[-1][0] + 1) for p, found in by_partition.items()}
        share = max(TRANSITIONS_AT_ONCE // len(closed), 1)
        for first in range(0, max(map(len, closed.values())) or 1, share):
            self._commit(records[0].topic(), closed, before, slice(first, first + share))
        self._count(closed)
        return len(records)

    def _owns(self, partition: int) -> bool:
        """Whether a record is of a partition that we still have: a poll may bring older ones with a rebalance."""
        return partition in self._shards or partition in self._begins

    def _shard(self, partition: int) -> OutcomeShard:
        """The shard, made again if it is new here."""
        if partition not in self._shards:
            self._shards[partition] = OutcomeShard.restored(self._settings, partition, *self._begins.pop(partition))
        return self._shards[partition]

    def _commit(
        self, topic: str, closed: Mapping[int, list[TransitionClosed]], before: Mapping[int, Placed], part: slice
    ) -> None:
        """Write a part of the transitions of each partition, and where it stands with them."""
        self._producer.begin_transaction()
        try:
            positions = []
            for partition, transitions in closed.items():
                self._produce(partition, transitions[part])
                place, position = self._shards[partition].position()
                if part.stop < len(transitions):  # more follow: they are made again from where all of them were made
                    place, position = before[partition]
                    position = structs.replace(position, said=position.said + part.stop)
                metadata = msgspec.json.encode(position).decode()
                positions.append(ck.TopicPartition(topic, partition, place, metadata))
            self._producer.send_offsets_to_transaction(positions, self._membership, REQUEST_S)
            self._producer.commit_transaction(REQUEST_S)
        except ck.KafkaException:
            self._producer.abort_transaction(REQUEST_S)
            raise

    def _produce(self, partition: int, transitions: Sequence[TransitionClosed]) -> None:
        now, source = wall_ms(), f"/{self._group}"
        for one in transitions:
            headers = TRANSITION_CLOSED.headers(event_id=one.decision_id, source=source, time_ms=now)
            key = offer_key(one.channel, one.sku)
            self._producer.produce(self._topic, encode(one), key, partition, headers=headers)
            self._producer.poll(0)

    def _count(self, closed: dict[int, list[TransitionClosed]]) -> None:
        for partition, transitions in closed.items():
            for one in transitions:
                self._metrics.add(TRANSITIONS_TOTAL, 1, one.ended_by or "nothing")
            self._metrics.add_each(OUTCOME_EVENTS_LEFT_OUT, self._shards[partition].left_out())
        self._metrics.set(OPEN_INTERVALS, sum(shard.open for shard in self._shards.values()))

    def _assigned(self, consumer: Any, partitions: list[ck.TopicPartition]) -> None:
        """Find out where the owners before stopped, once nothing of theirs can follow."""
        claim = Claim.from_metadata(bytes(consumer.consumer_group_metadata()), frozenset())  # refuses a lost member's
        self._membership = consumer.consumer_group_metadata()
        self._shards.clear()
        begins = {Partition(tp.topic, tp.partition): _begin(tp) for tp in _settled(consumer, partitions)}
        starts = Offsets(self._settings.consumer_config()).start(list(begins))
        self._begins = {tp.partition: self._reachable(tp, *begins[tp], starts[tp]) for tp in begins}
        for partition in partitions:
            partition.offset = self._begins[partition.partition][1].next
        consumer.assign(partitions)
        log.info("partitions taken", partitions=sorted(self._begins), generation=claim.generation)

    def _reachable(self, tp: Partition, place: int, position: Position, first: int) -> Placed:
        """Begin where the partition begins now; decisions that are gone before they had closed are no secret.

        Raises:
            OffsetGap: Transitions of some of them were being written: which of them cannot be found out any more.
        """
        if first <= place:
            return place, position
        if position.said:
            raise OffsetGap(
                f"decisions of {tp.topic}[{tp.partition}] have expired while their transitions were written. To begin "
                "anew, delete the group of the outcomes and the topic transitions, and run `repricer topics apply`"
            )
        if position.next:
            self._metrics.add(OUTCOME_DECISIONS_EXPIRED, first - place)
            log.error("decisions have expired before they had closed", partition=tp.partition, lost=[place, first])
        return first, position.behind_gap(place, first)

    def _given_up(self, _consumer: Any, _partitions: list[ck.TopicPartition]) -> None:
        """Nothing is open between two steps: what was read is committed."""
        self._shards.clear()
        self._begins.clear()
        self._membership = None


def _is_decision(record: Any) -> bool:
    """Whether a poll has brought a decision.

    Raises:
        confluent_kafka.KafkaException: Its place has expired; the next life begins where there is something.
        SourceUnreadable: The trouble does not pass by itself.
    """
    error = record.error()
    if error is not None and error.code() == ck.KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001  # the public name
        raise ck.KafkaException(error)
    return is_record(record)


def _settled(consumer: Any, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
    """Ask for the group's positions until no transaction can change them."""
    deadline = time.monotonic() + STABLE_S
    while True:
        try:
            answer: list[ck.TopicPartition] = consumer.committed(partitions, timeout=REQUEST_S)
            if all(tp.error is None for tp in answer):
                return answer
        except ck.KafkaException as error:
            log.warning("the group's positions are not settled", error=str(error))
        if time.monotonic() > deadline:
            raise BrokerUnreachable(f"the positions of the outcomes are not settled within {STABLE_S:g} s")


def _begin(committed: ck.TopicPartition) -> Placed:
    """What is committed; the beginning of everything if there is nothing.

    Raises:
        GroupReset: Somebody else has set the position: from there on decisions would be joined twice, or never.
    """
    if committed.offset < 0:
        return 0, Position(0, dict.fromkeys(SOURCES, 0))
    try:
        return committed.offset, msgspec.json.decode(committed.metadata or "", type=Position)
    except msgspec.MsgspecError as error:
        raise GroupReset(
            f"somebody reset the group of the outcomes at {committed.topic}[{committed.partition}]. To begin anew, "
            "stop all of them, delete their group and the topic transitions, and run `repricer topics apply`"
        ) from error


def follow(settings: Settings) -> None:
    """Join until SIGTERM or Ctrl-C.

    Args:
        settings: The workers' own.

    Raises:
        TopicMismatch: A topic is missing.
        BrokerUnreachable: Transactions go on failing.
        StreamFault: What is on the topics is not what it was.
    """
    sources = (ORDERS, CLICKS, INVENTORY, PRICE_APPLIED)
    require_present(settings, (PRICE_DECISIONS, *sources, DEAD_LETTERS, TRANSITIONS))
    metrics = Metrics()
    with stop_signal() as stopping, metrics_page(settings, metrics):
        live_until(stopping, lambda: Follower(settings, metrics))
