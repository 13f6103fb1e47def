"""Outcomes on a real Kafka: killed, frozen, joined by another one, they close each decision once."""

import contextlib
import signal
import time

import confluent_kafka as ck
import msgspec
import pytest
from msgspec.structs import replace

from schemas.codec import encode
from schemas.decisions import Candidates
from schemas.events import InventoryCounted
from schemas.examples import APPLIED, CLICK, DECISION, ORDER, STOCK
from schemas.timestamps import format_ms
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
from streams.errors import GroupReset
from streams.metrics import OUTCOME_DECISIONS_EXPIRED, Metrics
from streams.outcomes import follow
from streams.outcomes.decided import SOURCES
from streams.outcomes.follow import Follower
from streams.outcomes.shard import OutcomeShard, Position
from streams.topic_admin import TopicAdmin
from tests.integration.shop import Publisher, new_settings
from tests.integration.worker_process import read_committed, running_program
from tests.pricing_core.events import T0

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]

PARTITIONS, OFFERS, ROUNDS, ROUND_MS = 2, 12, 28, 20_000
SESSION_S = 6


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(
        kafka,
        partitions=PARTITIONS,
        session_timeout_s=SESSION_S,
        transaction_timeout_s=3,
        outcome_window_s=60,
        outcome_lateness_s=10,
        http_port=0,
    )


class Market:
    """What workers, shops and the catalog have written; each round is about all offers of all partitions."""

    def __init__(self, settings):
        self.publisher = Publisher(settings)
        self.prefix = settings.topic_prefix
        self.ends = {p: dict.fromkeys(SOURCES, 0) for p in range(PARTITIONS)}
        self.decided = 0
        self.decisions = PRICE_DECISIONS.full_name(self.prefix)

    def publish(self, topic, partition, event):
        self.ends[partition][topic.name] += 1
        key = offer_key(event.channel, event.sku)
        self.publisher.producer.produce(topic.full_name(self.prefix), encode(event), key, partition)

    def round(self, number):
        now = T0 + number * ROUND_MS
        for partition in range(PARTITIONS):
            for sku in range(OFFERS):
                self.events(partition, f"{partition}-{sku}", number, now)
        self.publisher.producer.flush(30)
        for partition in range(PARTITIONS):
            for sku in range(OFFERS):
                self.decide(partition, sku, number, now)
        self.publisher.producer.flush(30)

    def events(self, partition, sku, number, now):
        early = format_ms(now + 5_000)
        order = replace(ORDER, event_id=f"{sku}/{number}", order_id=f"{sku}/{number}", sku=sku, occurred_at=early)
        self.publish(ORDERS, partition, order)
        self.publish(ORDERS, partition, order)  # sent twice: the same event id
        cancelled = {"event_id": f"{sku}/{number}/c", "type": "cancelled", "occurred_at": format_ms(now + 9_000)}
        self.publish(ORDERS, partition, replace(order, **cancelled, quantity=1))
        shown = {"event_id": f"{sku}/{number}", "sku": sku, "occurred_at": format_ms(now - 7_000), "kind": "impression"}
        self.publish(CLICKS, partition, replace(CLICK, **shown))
        stock = replace(STOCK, event_id=f"{sku}/{number}", sku=sku, on_hand=number % 5, occurred_at=early)
        assert isinstance(stock, InventoryCounted)
        self.publish(INVENTORY, partition, stock)
        if number % 3 != 0:
            answer = {"sku": sku, "version": number - 1, "applied_at": format_ms(now - 18_000), "price": 1249}
            self.publish(PRICE_APPLIED, partition, replace(APPLIED, **answer))

    def decide(self, partition, sku, number, now):
        self.decided += 1
        candidates = Candidates(prices=[1249, 1299], q=[1.5, 1.0], masked=[None, None])
        kind = (number + sku) % 4
        given = {
            "decision_id": f"{partition}-{number * OFFERS + sku + 1}",
            "sku": f"{partition}-{sku}",
            "decided_at": format_ms(now),
            "outcome": "held" if kind else "changed",
            "version": None if kind else number,
            "candidates": candidates if kind != 1 else None,
            "features": [0.5],
            "applied": self.ends[partition],
        }
        record = replace(DECISION, **given)
        key = offer_key(record.channel, record.sku)
        self.publisher.producer.produce(PRICE_DECISIONS.full_name(self.prefix), encode(record), key, partition)

    def refuse(self, partition, offset):
        """Let the worker have refused an order."""
        letter = b'{"topic":"%s","partition":%d,"offset":%d}' % (
            ORDERS.full_name(self.prefix).encode(),
            partition,
            offset,
        )
        self.publisher.put(DEAD_LETTERS, b"", letter, partition)


def on_topic(settings):
    """Values of the committed transitions, by partition."""
    found = {p: [] for p in range(PARTITIONS)}
    for record in read_committed(settings, TRANSITIONS):
        found[record.partition()].append(record.value())
    return found


def expected(settings):
    """What one owner who never stops would have written."""
    found = {}
    for partition in range(PARTITIONS):
        shard = OutcomeShard(settings, partition, 0, dict.fromkeys(SOURCES, 0))
        records = [r for r in read_committed(settings, PRICE_DECISIONS) if r.partition() == partition]
        last = records[-1].offset() + 1
        found[partition] = [encode(one) for one in shard.join([(r.offset(), r.value()) for r in records], last)]
    return found


def wait_for_more_than(before, settings, log):
    deadline = time.monotonic() + 60
    while sum(map(len, on_topic(settings).values())) <= before:
        assert time.monotonic() < deadline, log.read_text("utf-8")[-4000:]
        time.sleep(0.1)


def wait_until_it_has_partitions(log):
    deadline = time.monotonic() + 60
    while "partitions taken" not in log.read_text("utf-8"):
        assert time.monotonic() < deadline, log.read_text("utf-8")[-4000:]
        time.sleep(0.1)


def test_each_decision_closes_once_however_often_its_owner_is_killed_frozen_or_joined(settings, tmp_path):
    market, number = Market(settings), 0
    other = settings.model_copy(update={"instance": "b"})
    for partition in range(PARTITIONS):
        market.refuse(partition, 3)
    for _ in range(5):
        market.round(number := number + 1)

    for kill in range(4):
        log = tmp_path / f"{kill}.log"
        with running_program(other if kill % 2 else settings, log, "outcomes") as outcomes:
            for _ in range(3):
                market.round(number := number + 1)
            wait_for_more_than(sum(map(len, on_topic(settings).values())), settings, log)
            market.round(number := number + 1)
            time.sleep(0.05 * kill)
            outcomes.send_signal(signal.SIGKILL)
            outcomes.wait(30)

    with (
        running_program(settings, tmp_path / "frozen.log", "outcomes") as frozen,
        running_program(other, tmp_path / "other.log", "outcomes") as second,
    ):
        for name in ("frozen", "other"):
            wait_until_it_has_partitions(tmp_path / f"{name}.log")
        for turn in range(ROUNDS - number):
            market.round(number := number + 1)
            if turn == 2:
                frozen.send_signal(signal.SIGSTOP)
                time.sleep(SESSION_S + 3)
                frozen.send_signal(signal.SIGCONT)
            time.sleep(0.3)
        want, deadline = expected(settings), time.monotonic() + 90
        while (said := on_topic(settings)) != want and time.monotonic() < deadline:
            time.sleep(0.5)
        for process in (frozen, second):
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, (tmp_path / "frozen.log").read_text("utf-8")[-4000:]

    assert said == want
    transitions = [msgspec.json.decode(value, type=TransitionClosed) for values in said.values() for value in values]
    ids = [one.decision_id for one in transitions]
    assert len(ids) == len(set(ids))
    assert market.decided - len(ids) <= PARTITIONS * OFFERS * 4  # the last ones are open
    assert {one.acknowledgement for one in transitions} >= {"not_needed", "applied", "missing"}
    assert sum(one.happened.units for one in transitions) > 0 < sum(one.happened.units_cancelled for one in transitions)
    assert {one.happened.orders for one in transitions} <= {0, 1, 2, 3}


def test_what_is_open_is_made_again_from_what_is_committed(settings):
    """Position and metadata alone: a shard that is restored from them goes on as the one that wrote them."""
    records = [r for r in read_committed(settings, PRICE_DECISIONS) if r.partition() == 0]
    pairs = [(r.offset(), r.value()) for r in records]
    whole = expected(settings)[0]
    for stop in (1, 50, 137, len(pairs) - 1):
        shard = OutcomeShard(settings, 0, 0, dict.fromkeys(SOURCES, 0))
        said = shard.join(pairs[:stop], pairs[stop][0])
        place, position = shard.position()
        position = msgspec.json.decode(msgspec.json.encode(position), type=Position)
        restored = OutcomeShard.restored(settings, 0, place, position)

        said += restored.join(pairs[stop:], pairs[-1][0] + 1)

        assert [encode(one) for one in said] == whole


def test_a_group_that_somebody_reset_is_refused(kafka, tmp_path):
    """From a position that is not ours decisions would be joined twice, or never."""
    settings = new_settings(kafka, partitions=PARTITIONS, http_port=0)
    name, group = PRICE_DECISIONS.full_name(settings.topic_prefix), f"{settings.group}-outcomes"
    somebody = ck.Consumer({**settings.consumer_config(), "group.id": group})
    somebody.commit(offsets=[ck.TopicPartition(name, 0, 0)], asynchronous=False)
    somebody.close()

    with running_program(settings, tmp_path / "log", "outcomes") as outcomes:
        assert outcomes.wait(90) == GroupReset.exit_code, (tmp_path / "log").read_text("utf-8")[-4000:]


def new_market(kafka, rounds):
    """Topics and a group of their own, and some rounds in them."""
    settings = new_settings(kafka, partitions=PARTITIONS, outcome_window_s=60, outcome_lateness_s=10, http_port=0)
    market = Market(settings)
    for number in range(1, rounds + 1):
        market.round(number)
    return settings, market


def follow_to_the_end(settings, metrics=None):
    """One life in this process, until nothing more comes."""
    with contextlib.closing(Follower(settings, metrics or Metrics())) as life:
        deadline, done, idle = time.monotonic() + 60, 0, 0
        while idle < 10 and time.monotonic() < deadline:
            step = life.step()
            done += step
            idle = idle + 1 if done and not step else 0
        return done


def test_decisions_that_expired_before_they_were_joined_are_said_and_remembered(kafka):
    settings, market = new_market(kafka, 4)
    assert follow_to_the_end(settings) == market.decided
    for number in range(5, 12):
        market.round(number)
    tp = ck.TopicPartition(PRICE_DECISIONS.full_name(settings.topic_prefix), 0, 70)
    for future in TopicAdmin(settings).client.delete_records([tp]).values():
        future.result(30)
    before, metrics = on_topic(settings), Metrics()

    follow_to_the_end(settings, metrics)

    (committed,) = committed_by_outcomes(settings, tp)
    position = msgspec.json.decode(committed.metadata, type=Position)
    ((first_lost, behind),) = position.expired
    assert (behind, metrics.value(OUTCOME_DECISIONS_EXPIRED)) == (70, 70 - first_lost)
    assert 0 < first_lost <= 4 * OFFERS
    after = on_topic(settings)
    assert {p: values[: len(before[p])] for p, values in after.items()} == before
    assert len(after[0]) > len(before[0])  # it goes on behind the gap
    assert all(len(set(values)) == len(values) for values in after.values())


def committed_by_outcomes(settings, tp):
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.group}-outcomes"})
    try:
        return consumer.committed([tp], timeout=15)
    finally:
        consumer.close()


def test_what_closes_at_once_is_written_in_pieces_and_once_wherever_one_dies(kafka, monkeypatch):
    """A jump of event time closes whatever is open, and a transaction must end before its timeout."""
    settings, market = new_market(kafka, 9)
    monkeypatch.setattr(follow, "TRANSITIONS_AT_ONCE", 8)
    pieces, commit = [], Follower._commit

    def commit_or_die(life, topic, closed, before, part):
        if len(pieces) in deaths:
            deaths.remove(len(pieces))
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._TIMED_OUT))
        commit(life, topic, closed, before, part)
        pieces.append(sum(len(transitions[part]) for transitions in closed.values()))

    deaths = {1, 2, 5, 9}
    monkeypatch.setattr(Follower, "_commit", commit_or_die)
    while deaths:
        with pytest.raises(ck.KafkaException):
            follow_to_the_end(settings)
    follow_to_the_end(settings)

    assert on_topic(settings) == expected(settings)
    assert len(pieces) > 10
    assert sum(pieces) == sum(map(len, on_topic(settings).values()))
    assert max(pieces) <= 8
    for partition in range(PARTITIONS):
        (committed,) = committed_by_outcomes(settings, ck.TopicPartition(market.decisions, partition))
        assert msgspec.json.decode(committed.metadata, type=Position).said == 0
