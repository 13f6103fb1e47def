import threading
import time
from contextlib import closing

import confluent_kafka as ck
import msgspec
import pytest

from schemas.decisions import PriceChanged
from schemas.events import PriceApplied
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms
from schemas.topics import OFFER_POLICIES, PRICE_APPLIED, PRICE_CHANGES
from streams.catalog.ledger import Batch, Ledger
from streams.catalog.service import Catalog, set_price
from streams.embedded_broker import EmbeddedBroker
from streams.errors import InputRefused
from streams.settings import Settings

TIMEOUT_S = 30
NOW = time.time_ns() // 1_000_000


@pytest.fixture
def broker():
    with EmbeddedBroker("shop") as started:
        servers = started.bootstrap_servers
        yield Settings(
            bootstrap_servers=servers, topic_prefix="shop", partitions=4, session_timeout_s=6, heartbeat_interval_s=2
        )


def policy(sku):
    return OfferPolicy(
        sku=sku, channel="web", version=1, currency="EUR", unit_cost=500, list_price=1299, floor=900, ceiling=2000,
        updated_at=format_ms(NOW),
    )  # fmt: skip


def change(sku, version, price):
    return PriceChanged(
        decision_id=f"0-{version}", sku=sku, channel="web", version=version, price=price, previous_price=1299,
        currency="EUR", policy_version=1, reason="demand", valid_from=format_ms(NOW),
        expires_at=format_ms(NOW + 3_600_000),
    )  # fmt: skip


def publish(settings, records):
    producer = ck.Producer(settings.producer_config())
    for topic, record in records:
        key = f"{record.channel}:{record.sku}".encode() if isinstance(record, msgspec.Struct) else b"?"
        value = msgspec.json.encode(record) if isinstance(record, msgspec.Struct) else record
        producer.produce(topic.full_name(settings.topic_prefix), value, key)
    producer.flush(TIMEOUT_S)


def run_until(settings, ledger, done):
    """Run a catalog, with its signals replaced by an event, until `done` or the deadline."""
    catalog = Catalog(settings, ledger, in_market_time=False)
    stopping, deadline = threading.Event(), time.monotonic() + TIMEOUT_S
    while not done(ledger.counts()) and time.monotonic() < deadline:
        catalog.step()
    stopping.set()
    catalog.run(stopping, lambda _: None)
    catalog.close()
    assert done(ledger.counts())


def read_answers(settings, expected):
    """All answers on the topic: ``expected`` of them, or what is there at the deadline."""
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": "reader"})
    topic = PRICE_APPLIED.full_name(settings.topic_prefix)
    consumer.assign([ck.TopicPartition(topic, p, ck.OFFSET_BEGINNING) for p in range(settings.partitions)])
    answers, deadline = [], time.monotonic() + TIMEOUT_S
    while len(answers) < expected and time.monotonic() < deadline:
        records = consumer.consume(expected, 0.5)
        answers += [msgspec.json.decode(r.value(), type=PriceApplied) for r in records if r.error() is None]
    consumer.close()
    return answers


def test_changes_are_applied_answered_and_never_read_twice_over_a_restart(tmp_path, broker):
    skus = [f"S{i}" for i in range(20)]
    publish(broker, [(OFFER_POLICIES, policy(sku)) for sku in skus])
    publish(broker, [(PRICE_CHANGES, change(sku, 1, 1249)) for sku in skus])
    publish(broker, [(PRICE_CHANGES, b"{"), (PRICE_CHANGES, change("S0", 2, 100))])
    file = tmp_path / "catalog.db"
    with closing(Ledger(file)) as ledger:
        run_until(broker, ledger, lambda c: c.applied == 20 and c.rejected and c.unreadable and not c.unanswered)
    publish(broker, [(PRICE_CHANGES, change(sku, 3, 1199)) for sku in skus])
    with closing(Ledger(file)) as ledger:
        run_until(broker, ledger, lambda c: c.applied == 40 and not c.unanswered)
        counts = ledger.counts()
    assert counts.duplicates == 0
    assert counts.rejected == {"floor": 1}
    answers = read_answers(broker, 41)
    assert sorted((a.sku, a.version) for a in answers) == sorted(
        [(sku, version) for sku in skus for version in (1, 3)] + [("S0", 2)]
    )
    assert {a.price for a in answers if a.version == 3} == {1199}


def test_a_price_set_by_hand_is_told_at_once_even_if_no_catalog_runs(tmp_path, broker):
    file = tmp_path / "catalog.db"
    with closing(Ledger(file)) as ledger:
        ledger.take(Batch(policies=[("web:H1", policy("H1"))]), NOW)
    set_price(broker, file, "web:H1", 1111)
    answers = read_answers(broker, 1)
    assert [(a.status, a.price, a.version) for a in answers] == [("manual", 1111, 0)]
    with closing(Ledger(file)) as ledger:
        assert ledger.answers() == []


def test_a_price_by_hand_does_not_make_a_catalog(tmp_path):
    with pytest.raises(InputRefused, match="start `repricer catalog` first"):
        set_price(Settings(), tmp_path / "none.db", "web:H1", 1111)
    assert list(tmp_path.iterdir()) == []
