"""A shard whose budget is exceeded stands, says so once, and stands until a person says otherwise."""

import pytest
from msgspec.structs import replace

from pricing_core.features import HOLD
from schemas.examples import ORDER
from schemas.timestamps import format_ms
from schemas.topics import ORDERS
from streams.breaker.state import LIVELY, MEMORY_TICKS
from streams.metrics import BREAKER_STOPS
from tests.pricing_core.events import DAY, HOUR, MINUTE
from tests.streams.shards import Shards

LOWEST = 0
OFFERS = 300


@pytest.fixture
def shop():
    """A shop whose offers have each been repriced once, and whose model is bad from now on."""
    made = Shards(move=HOLD + 1)
    made.sell(OFFERS)
    made.tick()
    made.answer(made.changes())
    made.model(LOWEST)
    made.decisions(), made.alarms()
    return made


def stopped(shop):
    shop.tick(7 * HOUR)
    return shop.changes(), shop.decisions()


def test_a_new_shop_is_repriced_as_a_whole(shop):
    assert shop.shards[0].breaker.stop is None
    assert shop.engine.pending_count(0) == 0
    assert (shop.engine._state.decided_version[shop.engine._slots.of(0)] == 1).all()


def test_what_exceeds_the_budget_is_held_and_the_shard_stands(shop):
    changes, decisions = stopped(shop)
    assert len(changes) == OFFERS // 2
    reasons = [d["reason"] for d in decisions]
    assert (reasons.count("demand"), reasons.count("breaker")) == (OFFERS // 2, OFFERS // 2)
    held = [d for d in decisions if d["reason"] == "breaker"]
    assert all(d["outcome"] == "held" and d["price"] == d["previous_price"] for d in held)
    assert {(d["run_mode"], d["version"], d["verdict"]["limit"]) for d in held} == {("ACTIVE", None, 5000)}
    state, slots = shop.engine._state, shop.engine._slots.of(0)
    assert shop.engine.pending_count(0) == state.pending[slots].sum() == OFFERS // 2
    assert sorted(set(state.decided_version[slots].tolist())) == [1, 2]
    assert shop.shards[0].modes_in_force.everything == "HALTED"
    assert shop.metrics.value(BREAKER_STOPS, "many_changes") == 1


def test_a_shard_that_stands_decides_halted_and_sends_nothing_again(shop):
    changes, _ = stopped(shop)
    shop.answer(changes)
    for _ in range(3):
        shop.tick(7 * HOUR)
    assert shop.changes() == []
    decisions = shop.decisions()
    assert {(d["reason"], d["run_mode"]) for d in decisions} == {("halted", "HALTED")}


def test_one_alarm_says_what_was_seen_and_what_to_do(shop):
    stopped(shop)
    (alarm,) = shop.alarms()
    assert (alarm["severity"], alarm["code"], alarm["scope"], alarm["count"]) == (
        "critical", "breaker_many_changes", "shard/0", 1,
    )  # fmt: skip
    assert alarm["values"] == {
        "found": "many_changes", "limit": 5000, "value": 10_000, "published": 150, "withheld": 150, "offers": OFFERS,
    }  # fmt: skip
    assert "repricer control resume" in alarm["what_to_do"]
    shop.tick(7 * HOUR)
    assert shop.alarms() == []


def test_another_owner_finds_the_shard_standing_and_only_a_later_resume_starts_it(shop):
    shop.control("ACTIVE")
    stopped(shop)
    shop.restart()
    assert shop.shards[0].modes_in_force.everything == "HALTED"
    shop.control("HALTED")
    shop.restart()
    assert shop.shards[0].breaker.stop is not None
    shop.control("ACTIVE")
    assert shop.shards[0].modes_in_force.everything == "ACTIVE"
    shop.restart()
    assert shop.shards[0].modes_in_force.everything == "ACTIVE"


def test_a_resume_that_is_read_again_does_not_start_a_shard_that_stopped_behind_it(shop):
    for _ in range(2):
        shop.control("ACTIVE")
    stopped(shop)
    for _ in range(2):
        shop.restart()
        assert shop.shards[0].modes_in_force.everything == "HALTED"


def test_the_window_survives_another_owner(shop):
    shop.model(HOLD - 1)
    shop.tick(7 * HOUR)
    before = shop.record().breaker
    assert before.window.whole.repeated == OFFERS
    shop.restart()
    assert shop.record().breaker == replace(before, heard=-1)


def test_after_a_topic_of_controls_was_created_anew_a_resume_still_counts(shop):
    for _ in range(5):
        shop.control("ACTIVE")
    stopped(shop)
    shop.controls.clear()
    shop.restart()
    assert shop.shards[0].modes_in_force.everything == "HALTED"
    shop.control("ACTIVE")
    assert shop.shards[0].modes_in_force.everything == "ACTIVE"


def test_after_a_resume_the_budget_is_new_and_the_bad_model_is_stopped_again(shop):
    changes, _ = stopped(shop)
    shop.answer(changes)
    shop.control("ACTIVE")
    shop.tick(7 * HOUR)
    assert len(shop.changes()) == OFFERS // 2
    assert [alarm["code"] for alarm in shop.alarms()] == ["breaker_many_changes"] * 2


def test_a_promotion_of_all_offers_is_the_merchants_own(shop):
    shop.model(HOLD)
    today = {"promotion_from": format_ms(shop.now), "promotion_to": format_ms(shop.now + DAY)}
    shop.sell(OFFERS, version=2, promotion_price=950, **today)
    assert {change["reason"] for change in shop.changes()} == {"promotion"}
    assert shop.shards[0].breaker.stop is None


def test_a_catalog_that_rejects_most_is_told_nothing_more(shop):
    shop.model(HOLD - 1)
    shop.tick(7 * HOUR)
    shop.answer(shop.changes(), status="rejected")
    shop.tick(HOUR + MINUTE)
    assert shop.shards[0].breaker.stop.code == "catalog_rejects"


def test_a_model_that_answers_nonsense_stands(shop):
    shop.model(HOLD, q=float("nan"))
    shop.tick(7 * HOUR)
    assert {d["reason"] for d in shop.decisions()} == {"non_finite"}
    assert [alarm["code"] for alarm in shop.alarms()] == ["non_finite", "breaker_model_anomalies"]


def test_a_feed_that_was_busy_and_says_nothing_more_stops_the_shard_and_one_that_comes_now_and_then_does_not(shop):
    shop.model(HOLD)
    silence = shop.settings.breaker_silent_ticks
    for i in range(MEMORY_TICKS):
        shop.tell(ORDERS, replace(ORDER, sku="SKU-1", event_id=f"a{i}", occurred_at=format_ms(shop.now)))
        shop.tick(5000)
    assert shop.shards[0].breaker.feeds["orders"].liveliness > LIVELY
    for _ in range(silence - 1):
        shop.tick(5000)
    assert shop.shards[0].breaker.stop is None
    shop.tick(5000)
    assert (shop.shards[0].breaker.stop.code, shop.alarms()[-1]["values"]["feed"]) == ("silent_feed", "orders")
    shop.control("ACTIVE")
    for i in range(4):
        shop.tell(ORDERS, replace(ORDER, sku="SKU-1", event_id=f"b{i}", occurred_at=format_ms(shop.now)))
        for _ in range(2 * silence):
            shop.tick(5000)
    assert shop.shards[0].breaker.stop is None
