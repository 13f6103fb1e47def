"""Two incidents that are about all offers, or about the catalog, told to the shards of a worker in JSON."""

import pytest
from msgspec.structs import replace

from pricing_core.features import HOLD
from schemas.examples import RIVAL
from schemas.timestamps import format_ms
from schemas.topics import COMPETITOR_PRICES
from tests.pricing_core.events import HOUR, MINUTE
from tests.streams.shards import PLAIN, Shards

LOWEST, RAISE = 0, HOLD + 1
SHARDS, OFFERS = 4, 100_000


def test_a_hundred_thousand_offers_repriced_at_once_by_a_bad_model():
    """A shop that is priced well gets a model that wants the lowest price of everything."""
    shop = Shards(SHARDS, offers=110_000, move=RAISE)
    shop.sell(OFFERS)
    shop.tick()
    first = shop.changes()
    assert len(first) == OFFERS  # its first prices are no incident
    shop.answer(first)
    shop.published.clear()

    shop.model(LOWEST)
    shop.tick(7 * HOUR)
    published = shop.changes()
    offers = {p: shop.engine.offer_count(p) for p in shop.shards}
    by_shard = {p: sum(change["decision_id"].startswith(f"{p}-") for change in published) for p in shop.shards}
    assert all(0 < by_shard[p] <= offers[p] // 2 for p in shop.shards)
    assert all(change["price"] >= PLAIN.floor for change in published)
    assert {shard.modes_in_force.everything for shard in shop.shards.values()} == {"HALTED"}
    alarms = shop.alarms()
    assert sorted((a["scope"], a["severity"], a["code"]) for a in alarms) == [
        (f"shard/{p}", "critical", "breaker_many_changes") for p in shop.shards
    ]
    reasons = {d["reason"] for d in shop.decisions() if d["outcome"] == "held"}
    assert reasons == {"breaker", "halted"}

    state, slots = shop.engine._state, [shop.engine._slots.of(p) for p in shop.shards]
    moved = sum(int((state.decided_version[rows] == 2).sum()) for rows in slots)
    assert moved == len(published) == sum(shop.engine.pending_count(p) for p in shop.shards)
    shop.answer(published)
    for _ in range(4):
        shop.tick(7 * HOUR)
    assert shop.changes() == []


KEEPS_THE_OLD, SHOWS_ANOTHER = 1299, 1305


@pytest.fixture
def shop():
    made = Shards(move=RAISE)
    made.sell(3, cooldown_s=4 * 3600)
    made.tick()
    return made


def test_a_catalog_that_says_done_and_keeps_the_old_price(shop):
    """Found and decided again with the answer itself, whatever cooldown and interval say; then at the usual pace."""
    first = shop.changes()
    assert [change["price"] for change in first] == [1312] * 3
    shop.answer(first, price=KEEPS_THE_OLD)
    (alarm,) = shop.alarms()
    assert (alarm["code"], alarm["severity"], alarm["count"], alarm["values"]["shows"]) == (
        "catalog_drift", "warning", 3, KEEPS_THE_OLD,
    )  # fmt: skip
    again = shop.changes()
    assert [(change["version"], change["previous_price"], change["price"]) for change in again] == [(2, 1299, 1312)] * 3

    shop.answer(again, price=KEEPS_THE_OLD)
    for _ in range(30):
        shop.tick(MINUTE)
    assert shop.changes() == []
    assert [(a["code"], a["count"]) for a in shop.alarms()] == [("catalog_drift", 3)]
    shop.tick(7 * HOUR)
    third = shop.changes()
    assert {change["version"] for change in third} == {3}

    shop.answer(third)
    shop.tick(7 * HOUR)
    assert {change["previous_price"] for change in shop.changes()} == {1312}
    assert shop.alarms() == []


def test_a_catalog_that_says_done_and_shows_another_price(shop):
    """Its price is the current one from then on; the change was made, so cooldown and daily limit count it."""
    shop.answer(shop.changes(), price=SHOWS_ANOTHER)
    assert [a["values"]["shows"] for a in shop.alarms()] == [SHOWS_ANOTHER]
    shop.tick(HOUR)
    assert shop.changes() == []
    shop.tick(7 * HOUR)
    assert {change["previous_price"] for change in shop.changes()} == {SHOWS_ANOTHER}


def test_an_answer_that_comes_twice_or_confirms_what_was_told_is_no_drift(shop):
    first = shop.changes()
    shop.answer(first)
    shop.answer(first)
    shop.answer(first, price=KEEPS_THE_OLD)  # late, and nothing waits for it any more
    shop.tick(HOUR)
    assert shop.alarms() == []


def test_a_competitor_that_is_our_own_offer_is_said_to_be_one(shop):
    """An own price that comes back as a competitor's, three times in a row."""
    shop.sell(3, version=2, cooldown_s=0)
    price = 1312
    for i in range(5):
        shop.answer(shop.changes())
        rivals = [
            replace(RIVAL, sku=f"SKU-{n}", event_id=f"{i}-{n}", price=price, shipping=0, in_stock=True,
                    observed_at=format_ms(shop.now)) for n in range(3)
        ]  # fmt: skip
        shop.tell(COMPETITOR_PRICES, *rivals)
        shop.tick(7 * HOUR)
        price = round(price * 1.01)
    found = [alarm for alarm in shop.alarms() if alarm["code"] == "loop_echo"]
    assert [alarm["count"] for alarm in found] == [3]
