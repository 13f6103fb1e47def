"""The catalog's loop: read, judge and store in one database transaction, then answer.

1. `consume` records of price-changes and offer-policies (``read_committed``);
2. one SQLite transaction: verdicts, prices, answers to send, next offsets to read;
3. commit the same offsets to the group, for lag tools only: a restart reads on from SQLite;
4. send the answers, wait for the broker, and only then forget them.

Dying between any two steps is safe: before 2 nothing happened, after 2 the answers are still in the outbox.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import confluent_kafka as ck
import msgspec
import structlog

from schemas import cloud_events
from schemas.decisions import PriceChanged
from schemas.events import Ticked
from schemas.policies import OfferPolicy
from schemas.timestamps import parse_ms
from schemas.topics import OFFER_POLICIES, PRICE_APPLIED, PRICE_CHANGES, TICKS, offer_key
from streams.catalog.ledger import Batch, Counts, Ledger
from streams.catalog.tables import Answer
from streams.clock import wall_ms
from streams.errors import InputRefused
from streams.polled import is_record
from streams.settings import Settings
from streams.stop_signal import stop_signal
from streams.topic_presence import require_present

RECORDS_AT_ONCE = 500
POLL_S = 0.05
CONFIRM_S = 10.0
"""How long to wait for the broker before an answer is tried again."""
STATUS_S = 1.0

log = structlog.get_logger(__name__)


class RecordReader:
    """Bytes of the topics to a `Batch`. What cannot be understood is logged, counted and passed over."""

    def __init__(self, topic_prefix: str) -> None:
        self._policies, self._ticks = (topic.full_name(topic_prefix) for topic in (OFFER_POLICIES, TICKS))
        self._decode_tick = msgspec.json.Decoder(Ticked).decode
        self._decode_policy = msgspec.json.Decoder(OfferPolicy).decode
        self._decode_change = msgspec.json.Decoder(PriceChanged).decode

    def read(self, records: Sequence[Any]) -> Batch:
        """Decode records in the order in which they came."""
        policies, changes, ticks, positions, unreadable = [], [], [], {}, 0
        for record in records:
            positions[record.topic(), record.partition()] = record.offset() + 1
            try:
                if record.topic() == self._policies:
                    policies.append(self._policy(record.key(), record.value()))
                elif record.topic() == self._ticks:
                    ticks.append(parse_ms(self._decode_tick(record.value() or b"").at))
                else:
                    changes.append(self._change(record.key(), record.value()))
            except (msgspec.MsgspecError, ValueError) as error:
                unreadable += 1
                where = f"{record.topic()}/{record.partition()}/{record.offset()}"
                log.warning("record not understood", record=where, error=str(error))
        return Batch(policies, changes, positions, unreadable, max(ticks, default=None))

    def _policy(self, key: bytes | None, value: bytes | None) -> tuple[str, OfferPolicy | None]:
        if value is None:
            return (key or b"").decode("ascii"), None
        policy = self._decode_policy(value)
        return _checked(key, policy.channel, policy.sku), policy

    def _change(self, key: bytes | None, value: bytes | None) -> tuple[str, PriceChanged]:
        change = self._decode_change(value or b"")
        parse_ms(change.valid_from), parse_ms(change.expires_at)  # raise here, where a bad record can be passed over
        return _checked(key, change.channel, change.sku), change


def _checked(key: bytes | None, channel: str, sku: str) -> str:
    if key != offer_key(channel, sku):
        raise msgspec.ValidationError(f"the key {key!r} does not belong to {channel}:{sku}")
    return key.decode("ascii")


class AnswerSender:
    """Sends the outbox. What the broker does not confirm in time stays there."""

    def __init__(self, settings: Settings) -> None:
        self._topic = PRICE_APPLIED.full_name(settings.topic_prefix)
        self._source = f"/{settings.topic_prefix}/catalog"
        self._producer = ck.Producer({**settings.producer_config(), "linger.ms": 1})

    def send(self, ledger: Ledger) -> None:
        """Send what waits, oldest first; the idempotent producer keeps the order of an offer's answers."""
        answers = ledger.answers()
        confirmed: list[int] = []
        for answer in answers:
            self._produce(answer, confirmed)
        if answers:
            self._producer.flush(CONFIRM_S)
            self._producer.purge()  # whatever is left is sent again from the outbox, in order
            ledger.confirm(confirmed)

    def _produce(self, answer: Answer, confirmed: list[int]) -> None:
        def on_delivery(error: ck.KafkaError | None, _: ck.Message) -> None:
            if error is None:
                confirmed.append(answer.id)
            else:
                log.warning("answer not confirmed", offer=answer.offer, error=error.str())

        headers = cloud_events.PRICE_APPLIED.headers(
            event_id=f"answer-{answer.id}", source=self._source, time_ms=wall_ms()
        )
        key = answer.offer.encode("ascii")
        self._producer.produce(self._topic, answer.value, key, headers=[*headers], on_delivery=on_delivery)


class Catalog:
    """One catalog process: one database, one member of the group ``<prefix>-catalog``."""

    def __init__(self, settings: Settings, ledger: Ledger, *, in_market_time: bool) -> None:
        self._ledger = ledger
        self._reader = RecordReader(settings.topic_prefix)
        self._sender = AnswerSender(settings)
        self._consumer = ck.Consumer(_consumer_config(settings))
        topics = [OFFER_POLICIES, PRICE_CHANGES, *([TICKS] if in_market_time else [])]
        names = [topic.full_name(settings.topic_prefix) for topic in topics]
        self._consumer.subscribe(names, on_assign=self._resume)

    def run(self, stopping: threading.Event, report: Callable[[Counts], None]) -> None:
        """Work until told to stop; ``report`` gets the counts when they have changed, about once a second."""
        self._sender.send(self._ledger)  # what the last run left unanswered
        next_report, reported = time.monotonic(), None
        while not stopping.is_set():
            self.step()
            if time.monotonic() >= next_report:
                self._ledger.review_waiting(wall_ms())
                reported = self._report(report, reported)
                next_report = time.monotonic() + STATUS_S
        self._report(report, reported)

    def _report(self, report: Callable[[Counts], None], reported: Counts | None) -> Counts:
        counts = self._ledger.counts()
        if counts != reported:
            report(counts)
        return counts

    def step(self) -> None:
        """Read, store, commit, answer: the four steps above."""
        records = [record for record in self._consumer.consume(RECORDS_AT_ONCE, POLL_S) if is_record(record)]  # 1
        if records:
            batch = self._reader.read(records)
            self._ledger.take(batch, wall_ms())  # 2
            self._commit(batch)  # 3
        self._sender.send(self._ledger)  # 4

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()

    def _commit(self, batch: Batch) -> None:
        offsets = [
            ck.TopicPartition(topic, partition, offset) for (topic, partition), offset in batch.positions.items()
        ]
        self._consumer.commit(offsets=offsets, asynchronous=True)

    def _resume(self, consumer: Any, partitions: list[ck.TopicPartition]) -> None:
        """Go on where the database is. The group's offsets may be ahead of it after a restored backup."""
        known = self._ledger.positions()
        for partition in partitions:
            partition.offset = known.get((partition.topic, partition.partition), ck.OFFSET_BEGINNING)
        consumer.assign(partitions)


def run_catalog(settings: Settings, database: Path, report: Callable[[Counts], None], *, in_market_time: bool) -> None:
    """`repricer catalog`: run until SIGTERM or Ctrl-C; then finish the batch, answer it, and leave the group.

    Args:
        settings: The broker.
        database: SQLite file.
        report: Gets the counts when they have changed.
        in_market_time: Whether answers name the time of the last tick: a simulated market's is not the wall clock's.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: a topic is missing.
        SourceUnreadable: a topic cannot be read any more.
    """
    require_present(settings, (OFFER_POLICIES, PRICE_CHANGES, PRICE_APPLIED))
    with stop_signal() as stopping, contextlib.closing(Ledger(database)) as ledger:
        catalog = Catalog(settings, ledger, in_market_time=in_market_time)
        try:
            catalog.run(stopping, report)
        finally:
            catalog.close()


def set_price(settings: Settings, database: Path, offer: str, price: int) -> None:
    """`repricer catalog set-price`: a person sets a price; the repricer is told.

    If the broker does not answer, the running catalog, or the next one, tells it.

    Raises:
        InputRefused: there is no such catalog, or it does not know the offer.
    """
    if not database.exists():
        raise InputRefused(f"there is no catalog database {database}; start `repricer catalog` first")
    with contextlib.closing(Ledger(database)) as ledger:
        ledger.set_price(offer, price, wall_ms())
        AnswerSender(settings).send(ledger)


def _consumer_config(settings: Settings) -> dict[str, Any]:
    return {
        **settings.consumer_config(),
        "group.id": f"{settings.topic_prefix}-catalog",
        "session.timeout.ms": int(settings.session_timeout_s * 1000),
        "heartbeat.interval.ms": int(settings.heartbeat_interval_s * 1000),
    }
