"""The simulated market without Kafka: its events, its copies under other rules, its pace."""

from collections import Counter
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import OrderRecorded
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms, parse_ms
from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, ORDERS
from streams.market.delivery import LATE_MS, Delivery
from streams.market.events import Event, EventWriter, OfferName, Period
from streams.market.pace import choose_pace, expected_events_a_day
from streams.market.policies import merchant_policies, offer_names
from streams.market.truth import Accounts, Sales, UnitProfits, read_truth, write_truth
from streams.market.worlds import DAY_MS, RIVAL_NAMES, RULES, Worlds, draw

START = 1_700_000_000_000
STEP = DAY_MS // 4
OFFERS = 12


@pytest.fixture(scope="module")
def drawn():
    return draw(3, OFFERS)


@pytest.fixture(scope="module")
def policies(drawn):
    return merchant_policies(drawn.markets, 3, version=1, at=START)


def run(drawn, policies, prices=None, periods=20, seed=3):
    """Let periods pass at constant prices; all events, and the account."""
    worlds = Worlds(drawn, policies, seed)
    accounts = Accounts(UnitProfits(policies), RULES, OFFERS)
    writer, delivery = EventWriter(offer_names(OFFERS), RIVAL_NAMES, seed), Delivery(seed)
    prices = worlds.start_price if prices is None else prices
    events = []
    for i in range(periods):
        start = START + i * STEP
        period, sales = worlds.advance(prices, start, start + STEP)
        accounts.close_period(sales)
        events += delivery.deliver(writer.events(period), start + STEP)
    return [*events, *delivery.rest()], accounts


def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(drawn, policies):
    first, again, other = (run(drawn, policies, seed=seed)[0] for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_after_a_regime_change_others_come_and_the_optimum_is_elsewhere(drawn, policies):
    worlds = Worlds(drawn, policies, 3)
    optimum = []
    for day in range(4):
        if day == 2:
            worlds.change_regime()
        _, sales = worlds.advance(worlds.start_price, START + day * DAY_MS, START + (day + 1) * DAY_MS)
        optimum.append(sales["optimum"].prices)
    moved = [np.abs(after / before - 1).mean() for before, after in pairwise(optimum)]
    assert moved[2] > 3 * moved[1]  # the optimum of a period is reckoned at the end of the one before


def test_applied_prices_that_never_change_earn_exactly_what_holding_earns(drawn, policies):
    _, accounts = run(drawn, policies)
    assert accounts.by_period["applied"] == accounts.by_period["hold"]
    assert np.array_equal(accounts.by_offer["applied"], accounts.by_offer["hold"])


def test_other_prices_change_our_market_and_not_the_copies(drawn, policies):
    raised = np.array([policy.ceiling for policy in policies])
    _, held = run(drawn, policies)
    _, dear = run(drawn, policies, raised)
    assert dear.by_period["applied"] != held.by_period["applied"]
    for rule in ("hold", "match_cheapest", "optimum"):
        assert dear.by_period[rule] == held.by_period[rule]


def test_the_optimum_is_above_the_other_rules(drawn, policies):
    _, accounts = run(drawn, policies, periods=60)
    total = {rule: accounts.by_offer[rule].sum() for rule in RULES}
    assert total["optimum"] > max(total["hold"], total["match_cheapest"])


def test_orders_add_up_to_the_account(drawn, policies):
    """Recomputed from the published bytes alone: pieces times unit profit at the price that was paid."""
    events, accounts = run(drawn, policies)
    orders = {event.number: msgspec.json.decode(event.value, type=OrderRecorded) for event in _of(events, ORDERS)}
    rows = {name.sku: i for i, name in enumerate(offer_names(OFFERS))}
    pieces = np.zeros(OFFERS, np.int64)
    for order in orders.values():
        row = rows[order.sku]
        assert order.line_total == order.quantity * policies[row].list_price
        pieces[row] += order.quantity
    start = np.array([policy.list_price for policy in policies])
    assert np.array_equal(pieces * UnitProfits(policies).at(start), accounts.by_offer["applied"])


def test_every_source_speaks_and_starts_by_telling_stock_and_rivals(drawn, policies):
    events, _ = run(drawn, policies, periods=1)
    topics = Counter(event.topic.name for event in events)
    assert set(topics) == {CLICKS.name, ORDERS.name, INVENTORY.name, COMPETITOR_PRICES.name}
    assert topics[INVENTORY.name] >= OFFERS
    assert topics[COMPETITOR_PRICES.name] >= drawn.markets.rivals.present.sum()


def test_policies_are_consistent_with_themselves(drawn):
    for policy in merchant_policies(drawn.markets, 9, version=1, at=START):
        assert msgspec.json.decode(msgspec.json.encode(policy), type=OfferPolicy) == policy
        assert policy.floor < policy.list_price < policy.ceiling
        assert policy.map_price is None or policy.map_price < policy.list_price
        assert policy.price_ending is None or str(policy.list_price).endswith(policy.price_ending)


def test_unit_profit_is_the_rounded_exact_value():
    policy = OfferPolicy(
        sku="A", channel="web", version=1, currency="EUR", unit_cost=500, list_price=1299, floor=900, ceiling=2000,
        updated_at=format_ms(START), tax_rate_bp=1900, commission_bp=1000, fixed_fee=25,
    )  # fmt: skip
    # 1299 / 1.19 = 1091.597; commission 129.9; 1091.597 - 129.9 - 525 = 436.697
    assert UnitProfits([policy]).at(np.array([1299])).tolist() == [437]


TIMES = st.lists(st.integers(START, START + STEP - 1), max_size=300)


@given(TIMES, st.integers(0, 2**32))
def test_delivery_loses_nothing_keeps_order_and_delays_at_most_six_hours(times, seed):
    sent = [Event(at, number, CLICKS, b"k", b"v") for number, at in enumerate(sorted(times))]
    delivery = Delivery(seed)
    in_time, rest = list(delivery.deliver(sent, START + STEP)), list(delivery.rest())
    assert {event.number for event in [*in_time, *rest]} == {event.number for event in sent}
    late = list(Delivery(seed).deliver(sent, START + STEP + LATE_MS[1]))
    assert late[: len(in_time)] == in_time
    assert len(late) == len(in_time) + len(rest)


def test_one_event_in_a_hundred_comes_twice_and_one_late():
    sent = [Event(START + i, i, CLICKS, b"k", b"v") for i in range(20_000)]
    delivery = Delivery(1)
    at_once, rest = list(delivery.deliver(sent, START + 20_001)), list(delivery.rest())
    late = {event.number for event in sent} - {event.number for event in at_once}
    assert 150 < len(at_once) + len(rest) - len(sent) < 250
    assert 150 < len(late) < 250


def test_views_carry_the_price_that_was_shown_and_a_time_inside_the_period():
    period = Period(
        start=START, end=START + 1000, price=np.array([1299]), impressions=np.array([7]), clicks=np.array([0]),
        units=np.array([0]), on_hand=np.array([5]), rival_price=np.zeros((1, 1), np.int64),
        rival_in_stock=np.zeros((1, 1), np.bool_),
    )  # fmt: skip
    views = _of(EventWriter([OfferName("web", "A")], ["R"], 1).events(period), CLICKS)
    shown = msgspec.json.decode(views[0].value)
    assert (shown["kind"], shown["count"], shown["price_shown"]) == ("impression", 7, 1299)
    assert START <= parse_ms(shown["occurred_at"]) == views[0].at < START + 1000
    assert len(views) == 1


def test_pace_meets_the_rate_by_its_speed_or_by_its_period(drawn):
    free = choose_pace(drawn, 500.0, None)
    assert free.wall_s(1000) == 2.0
    given_speed = choose_pace(drawn, expected_events_a_day(drawn, 12), 86_400.0)
    assert given_speed.period_ms == DAY_MS // 12
    assert given_speed.wall_s(1000) == pytest.approx(1 / 12)


def test_the_account_is_replaced_as_a_whole(tmp_path):
    accounts = Accounts(UnitProfits([]), RULES, 0)
    accounts.close_period({rule: Sales(np.zeros(0, np.int64), np.zeros(0, np.int64)) for rule in RULES})
    file = tmp_path / "truth.json"
    assert read_truth(file) is None
    truth = accounts.truth("EUR", [], days=1.5, events=7, final=True)
    write_truth(file, truth)
    assert read_truth(file) == truth
    assert [path.name for path in tmp_path.iterdir()] == ["truth.json"]


def _of(events, topic):
    return [event for event in events if event.topic is topic]
