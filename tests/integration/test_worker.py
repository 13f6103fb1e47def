"""The worker as its neighbours see it, on a real Kafka: one running worker, every test with offers of its own."""

import base64
import hashlib
import signal
import subprocess
import sys
import time

import pytest
from msgspec.structs import replace

from schemas.codec import encode
from schemas.dead_letter import MAX_KEPT_BYTES
from schemas.examples import CLICK, ORDER, POLICY, RIVAL, STOCK
from schemas.topics import (
    CLICKS,
    COMPETITOR_PRICES,
    HOT_SOURCES,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_APPLIED,
    PRICE_CHANGES,
    PRICE_DECISIONS,
    PRICING_CONTROL,
    TICKS,
    offer_key,
)
from streams.partitioner import partition_of
from tests.integration.recomputation import check_log, dead_letters, totals_in_the_state
from tests.integration.shop import (
    impressions,
    new_settings,
    now,
    order,
    policy,
    records_of,
    skus_of_every_partition,
)
from tests.integration.worker_process import (
    ROOT,
    consumer_lag,
    environment_of,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.usefixtures("worker", "catalog")]

LAG_GAUGE = 'repricer_lag_records{partition="%d",topic="orders"} 0.0'


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(kafka, decision_interval_s=1, tick_interval_s=1)


def decided(settings, sku, **wanted):
    """The decisions about an offer that look like this."""
    found = records_of(settings, PRICE_DECISIONS, sku)
    return [d for d in found if all(d[name] == value for name, value in wanted.items())]


def test_an_offer_without_a_policy_is_watched_and_held(settings, publisher, worker):
    publisher.tell(order("watched"), impressions("watched"))
    wait_for(
        lambda: decided(settings, "watched", outcome="held", reason="no_policy", price=None), 30, "no_policy", worker
    )
    totals = totals_in_the_state(settings)[b"web:watched"]
    assert (totals["units_placed"], totals["amount_placed"], totals["impressions"]) == (1, 1299, 100)
    assert records_of(settings, PRICE_CHANGES, "watched") == []


def test_an_order_becomes_a_price_that_the_catalog_has_acknowledged_and_the_next_one_knows(settings, publisher, worker):
    rival = replace(RIVAL, sku="priced", in_stock=True, observed_at=now())
    publisher.tell(policy("priced", 1, ceiling=1199), rival, impressions("priced"), order("priced"))
    wait_for(lambda: records_of(settings, PRICE_APPLIED, "priced"), 30, "the catalog's answer", worker)
    (change,), (answer,) = records_of(settings, PRICE_CHANGES, "priced"), records_of(settings, PRICE_APPLIED, "priced")
    (decision,) = decided(settings, "priced", outcome="changed")
    assert (change["version"], change["price"], change["previous_price"]) == (1, 1199, 1299)
    assert (answer["version"], answer["price"], answer["status"]) == (1, 1199, "applied")
    assert change["decision_id"] == answer["decision_id"] == decision["decision_id"]
    assert (decision["reason"], decision["policy_version"]) == ("bounds_repair", 1)

    publisher.tell(policy("priced", 2, ceiling=1099))
    wait_for(lambda: len(records_of(settings, PRICE_APPLIED, "priced")) == 2, 30, "the second answer", worker)
    second = records_of(settings, PRICE_CHANGES, "priced")[1]
    assert (second["version"], second["price"], second["previous_price"], second["policy_version"]) == (
        2,
        1099,
        1199,
        2,
    )


def test_every_bad_record_is_a_dead_letter_and_the_good_ones_around_it_are_applied(settings, publisher, worker):
    good = encode(replace(ORDER, sku="bad", occurred_at=now()))
    later = encode(replace(ORDER, sku="bad", event_id="later", occurred_at=now(7200)))
    huge = good[:-1] + b',"note":"' + b"x" * 10_000_000 + b'"}'
    deep = good[:-1] + b',"note":' + b"[" * 100_000 + b"}"
    click, rival = replace(CLICK, sku="bad", occurred_at=now()), replace(RIVAL, sku="bad", observed_at=now())
    stock = replace(STOCK, sku="bad", occurred_at=now())
    upside_down = replace(POLICY, sku="bad", floor=2000, ceiling=1000, updated_at=now())
    key, elsewhere = b"web:bad", encode(order("bad"))
    home = partition_of(key, settings.partitions)
    away = (home + 1) % settings.partitions
    bad = [
        ("malformed_json", ORDERS, key, good[:-9], home),
        ("malformed_json", ORDERS, key, good.replace(b'"line_total":2598', b'"line_total":NaN'), home),
        ("malformed_json", ORDERS, key, deep, home),
        ("malformed_json", ORDERS, key, b"", home),
        ("not_utf8", ORDERS, key, good.replace(b"o-1", b"\xff\xfe\xfd"), home),
        ("schema_violation", ORDERS, key, good.replace(b'"line_total":2598', b'"line_total":1e308'), home),
        ("schema_violation", ORDERS, key, good.replace(b'"line_total":2598', b'"line_total":-1'), home),
        ("schema_violation", ORDERS, key, good.replace(b'"quantity":2', b'"quantity":"2"'), home),
        ("schema_violation", ORDERS, key, good.replace(b'"quantity":2,', b""), home),
        ("schema_violation", ORDERS, key, None, home),
        ("schema_violation", CLICKS, key, encode(replace(click, price_shown=0)), home),
        ("schema_violation", COMPETITOR_PRICES, key, encode(replace(rival, price=-1249)), home),
        ("schema_violation", COMPETITOR_PRICES, key, encode(replace(rival, price=0)), home),
        ("schema_violation", INVENTORY, key, encode(stock).replace(b":7", b":-7"), home),
        ("unknown_currency", ORDERS, key, good.replace(b"EUR", b"XQZ"), home),
        ("currency_mismatch", ORDERS, key, encode(order("bad", currency="USD")), home),
        ("too_large", ORDERS, key, huge, home),
        ("missing_key", ORDERS, b"", good, home),
        ("missing_key", ORDERS, None, good, home),
        ("key_mismatch", ORDERS, b"web:other", good, home),
        ("key_mismatch", ORDERS, b"k" * 900_000, good, home),
        ("future_timestamp", ORDERS, key, later, home),
        ("invalid_timestamp", ORDERS, key, encode(order("bad", occurred_at="yesterday")), home),
        ("contradictory_bounds", OFFER_POLICIES, key, encode(upside_down), home),
        ("wrong_partition", ORDERS, key, elsewhere, away),
        ("wrong_partition", OFFER_POLICIES, key, encode(policy("bad", 9, ceiling=1199)), away),
        ("malformed_json", TICKS, None, b"{", home),
        ("schema_violation", PRICING_CONTROL, b"*", b'{"mode":"STOPPED"}', home),
    ]
    expected = {}
    publisher.tell(order("bad"))
    for reason, topic, bad_key, value, partition in bad:
        expected[publisher.put(topic, bad_key, value, partition)] = (reason, bad_key, value)
        publisher.tell(order("bad"))
    wait_for(lambda: len(dead_letters(settings)) >= len(bad), 60, "all dead letters", worker)
    wait_until_read(worker, settings, ORDERS, 30)

    found = {(x["topic"], x["partition"], x["offset"]): x for x in dead_letters(settings)}
    assert len(dead_letters(settings)) == len(found) == len(bad)
    for place, (reason, bad_key, value) in expected.items():
        letter = found[place]
        assert letter["reason"] == reason, (place, letter["detail"], value and value[:200])
        assert letter["key"] == (None if bad_key is None else base64.b64encode(bad_key[:MAX_KEPT_BYTES]).decode())
        assert letter["value"] == (None if value is None else base64.b64encode(value[:MAX_KEPT_BYTES]).decode())
        assert letter["length"] == len(value or b"")
        assert letter["sha256"] == hashlib.sha256(value or b"").hexdigest()
    assert totals_in_the_state(settings)[key]["units_placed"] == len(bad) + 1
    worker.require_running()


def test_a_policy_on_a_wrong_partition_founds_no_second_life_of_its_offer_after_a_restart(settings, publisher, worker):
    sku = "stray"
    home = partition_of(offer_key("web", sku), settings.partitions)
    publisher.put(OFFER_POLICIES, b"web:stray", encode(policy(sku, 1, ceiling=1199)), (home + 1) % settings.partitions)
    wait_until_read(worker, settings, OFFER_POLICIES, 30)
    restart(worker)
    publisher.tell(order(sku))
    wait_for(lambda: decided(settings, sku), 30, "a decision", worker)
    time.sleep(2)  # two ticks: time for the other shard to decide, if it knew the offer
    assert decided(settings, sku) == decided(settings, sku, reason="no_policy")
    assert records_of(settings, PRICE_CHANGES, sku) == []


def test_a_resend_counts_once_also_when_the_worker_was_restarted_in_between(settings, publisher, worker):
    once, twice = order("again"), order("again")
    publisher.tell(once, twice, twice)
    wait_until_read(worker, settings, ORDERS, 30)
    assert 'repricer_duplicates_total{topic="orders"} 1.0' in worker.page("/metrics")[1]
    restart(worker)
    publisher.tell(once, order("again"), twice)
    wait_until_read(worker, settings, ORDERS, 30)
    assert totals_in_the_state(settings)[b"web:again"]["units_placed"] == 3


def test_a_halt_holds_every_price_also_on_a_worker_that_starts_later_until_resumed(settings, publisher, worker):
    skus = skus_of_every_partition(settings, "halted")
    control(settings, "halt")
    time.sleep(1)
    publisher.tell(*[policy(sku, 1, ceiling=1199) for sku in skus])
    wait_for(
        lambda: all(decided(settings, sku, reason="halted") for sku in skus), 30, "held on every partition", worker
    )
    restart(worker, signal.SIGKILL)
    before = {sku: len(decided(settings, sku)) for sku in skus}
    publisher.tell(*[order(sku) for sku in skus])
    wait_for(
        lambda: all(len(decided(settings, sku)) > before[sku] for sku in skus),
        30,
        "decisions after the restart",
        worker,
    )
    assert all(d["reason"] == "halted" and d["run_mode"] == "HALTED" for sku in skus for d in decided(settings, sku))
    assert [records_of(settings, PRICE_CHANGES, sku) for sku in skus] == [[]] * len(skus)

    control(settings, "resume")
    wait_for(lambda: all(records_of(settings, PRICE_APPLIED, sku) for sku in skus), 30, "answers after resume", worker)
    assert [records_of(settings, PRICE_CHANGES, sku)[0]["price"] for sku in skus] == [1199] * len(skus)


def test_it_is_not_ready_before_the_takeover_stops_quickly_and_leaves_no_lag(settings, publisher, worker):
    publisher.tell(*[order("busy") for _ in range(2000)])
    for topic in HOT_SOURCES:
        if topic is not TICKS:  # its leader publishes ticks to the last moment
            wait_until_read(worker, settings, topic, 60)
    started = time.monotonic()
    assert worker.end(signal.SIGTERM) == 0
    assert time.monotonic() - started < 10
    assert [consumer_lag(settings, topic) for topic in HOT_SOURCES if topic is not TICKS] == [0] * 7

    worker.start()
    assert worker.wait_until_ready() == [0, 503, 200]
    assert worker.page("/livez")[0] == 200
    lag = [LAG_GAUGE % partition for partition in range(settings.partitions)]
    wait_for(
        lambda: all(line in worker.page("/metrics")[1] for line in lag), 10, "a lag gauge for each partition", worker
    )


def test_what_all_these_tests_have_left_in_the_log_is_right(settings, worker):
    check_log(settings)
    worker.require_running()


def restart(worker, how=signal.SIGTERM):
    worker.end(how)
    worker.start()
    worker.wait_until_ready()


def control(settings, verb):
    command = [sys.executable, "-m", "streams.cli", "control", verb, "--why", "a test"]
    subprocess.run(command, cwd=ROOT, env=environment_of(settings), check=True, timeout=60)
