import numpy as np
import pytest

from pricing_core.decisions import CHANGED, HELD, RECOMMENDED
from pricing_core.engine import Intervals, Moment
from pricing_core.features import HOLD, MOVES_BP
from schemas import columns as c
from tests.pricing_core.engines import INTERVALS, UP, decide, engine, only, opinionated
from tests.pricing_core.events import (
    DAY,
    EUR,
    HOUR,
    KEY,
    MINUTE,
    T0,
    USD,
    applied,
    batch,
    click,
    competitor,
    manual,
    order,
    policy,
    stock,
)

# From events to a price and back


def test_a_price_goes_out_is_answered_and_is_the_next_current_price():
    made = opinionated(engine(), UP)
    made.apply(0, policy())
    first = only(decide(made))
    assert (first.outcome, first.code, first.version, first.policy_version) == (CHANGED, "demand", 1, 1)
    assert (first.previous_price, first.price, first.currency, first.sequence) == (1299, 1312, EUR, 1)
    made.apply(0, applied(version=1, price=1312))
    second = only(decide(made, T0 + 6 * HOUR))
    assert (second.previous_price, second.price, second.version, second.sequence) == (1312, 1325, 2, 2)
    assert made.sequence(0) == 2


def test_the_trained_model_explains_its_decision():
    made = engine()
    made.apply(0, policy())
    made.apply(0, batch(c.ClickColumns, *({"time": T0 - i * HOUR, "count": 50} for i in range(48))))
    found = only(decide(made))
    assert found.considered
    assert found.chosen in range(len(MOVES_BP))
    assert 0 < found.propensity <= 1
    assert np.isfinite(found.q).all()
    assert found.features.any()
    assert found.prices[HOLD] == 1299
    assert found.lower <= found.price <= found.upper


def test_without_a_policy_events_are_applied_and_the_hold_is_recorded_once_a_review():
    made = engine(intervals=INTERVALS)
    made.apply(0, order())
    found = only(decide(made))
    assert (found.outcome, found.code, found.price, found.policy_version) == (HELD, "no_policy", c.NONE, c.NONE)
    for hour in range(1, 6):
        made.apply(0, order(time=T0 + hour * HOUR))
        assert len(decide(made, T0 + hour * HOUR)) == 0
    assert only(decide(made, T0 + 6 * HOUR)).code == "no_policy"
    assert made.totals(0)[KEY]["orders"] == 6


@pytest.mark.parametrize("event", [order, competitor, stock, policy])
def test_what_matters_makes_due_after_the_decision_interval(event):
    made = opinionated(engine(intervals=INTERVALS), HOLD)
    made.apply(0, policy())
    decide(made)
    made.apply(0, event(time=T0 + MINUTE))
    assert len(decide(made, T0 + 15 * MINUTE - 1)) == 0
    assert only(decide(made, T0 + 15 * MINUTE)).code == "model_holds"


@pytest.mark.parametrize(
    "event", [click, lambda **_: applied(version=0), lambda time: batch(c.TickColumns, {"key": b"", "time": time})]
)
def test_clicks_answers_and_ticks_make_nothing_due_but_the_review_does(event):
    made = opinionated(engine(intervals=INTERVALS), HOLD)
    made.apply(0, policy())
    decide(made)
    assert made.apply(0, event(time=T0 + MINUTE)) == []
    assert len(decide(made, T0 + 6 * HOUR - 1)) == 0
    assert len(decide(made, T0 + 6 * HOUR)) == 1


def test_in_its_cooldown_an_offer_is_neither_decided_nor_recorded():
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy(cooldown_ms=2 * HOUR))
    decide(made)
    made.apply(0, applied(price=1312))
    for minutes in range(16, 120, 16):
        made.apply(0, order(time=T0 + minutes * MINUTE))
        assert len(decide(made, T0 + minutes * MINUTE)) == 0
    assert only(decide(made, T0 + 2 * HOUR)).outcome == CHANGED


def test_a_review_inside_a_long_cooldown_waits_for_its_end():
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy(cooldown_ms=3 * DAY))
    decide(made)
    made.apply(0, applied(price=1312))
    assert [len(decide(made, T0 + hour * HOUR)) for hour in range(1, 72)] == [0] * 71
    assert len(decide(made, T0 + 3 * DAY)) == 1


# What the merchant says


def test_recommend_says_a_price_and_changes_nothing():
    made = opinionated(engine(), UP)
    made.apply(0, policy(mode=c.RECOMMEND))
    found = only(decide(made))
    assert (found.outcome, found.code, found.price, found.version) == (RECOMMENDED, "demand", 1312, c.NONE)
    assert len(made.overdue_acknowledgements(0, Moment(T0 + DAY))) == 0
    assert only(decide(made, T0 + DAY)).previous_price == 1299


@pytest.mark.parametrize(
    ("changes", "run_mode", "code"),
    [
        ({"mode": c.PAUSED}, "ACTIVE", "paused"),
        *(({}, mode, "halted") for mode in ("HALTED", "active", "")),
    ],
)
def test_paused_and_halted_offers_are_held_even_out_of_bounds(changes, run_mode, code):
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy(floor=1400, **changes))
    assert only(decide(made, run_mode=run_mode)).code == code
    assert len(decide(made, T0 + 15 * MINUTE - 1, run_mode)) == 0
    assert only(decide(made, T0 + 15 * MINUTE, run_mode)).code == code  # a blocked repair is looked at again soon


def test_a_blocked_repair_without_a_decision_interval_is_not_tried_again_at_the_same_time():
    made = engine(intervals=Intervals(decision=0))
    made.apply(0, policy(ceiling=1199))
    assert only(decide(made, run_mode="HALTED")).code == "halted"
    assert len(decide(made, run_mode="HALTED")) == 0, "a worker that asks until nothing is due would ask for ever"


def test_a_policy_that_forbids_the_current_price_is_obeyed_at_once():
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy())
    decide(made)
    made.apply(0, applied(price=1312))
    made.apply(0, policy(version=2, floor=1500, max_step_bp=10))
    made.apply(0, stock(on_hand=0))
    found = only(decide(made, T0 + 1))
    assert (found.outcome, found.code, found.price, found.version) == (CHANGED, "bounds_repair", 1500, 2)
    assert (found.limit, found.value, found.propensity) == (1500, 1312, 1.0)


def test_a_repair_waits_for_the_answer_to_what_was_sent_and_then_for_nothing():
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy())
    decide(made)
    made.apply(0, policy(version=2, floor=1500))
    assert only(decide(made, T0 + 1)).code == "pending_acknowledgement"
    made.apply(0, applied(price=1312))
    assert only(decide(made, T0 + 2)).code == "bounds_repair"


def test_an_older_policy_is_ignored_and_a_removed_one_holds_the_price():
    made = opinionated(engine(), HOLD)
    made.apply(0, batch(c.PolicyColumns, {"version": 5, "list_price": 1500}, {"version": 4, "list_price": 1400}))
    assert only(decide(made)).price == 1500
    made.apply(0, policy(version=4, list_price=1400))
    assert only(decide(made, T0 + DAY)).price == 1500
    made.apply(0, policy(removed=True, version=0))
    assert only(decide(made, T0 + 2 * DAY)).code == "no_policy"
    made.apply(0, policy(version=1, list_price=1600))
    assert only(decide(made, T0 + 3 * DAY)).price == 1600


def test_a_policy_in_another_currency_than_the_orders_holds_the_price():
    made = engine()
    made.apply(0, order(currency=USD))
    assert made.apply(0, policy()) == []
    found = only(decide(made))
    assert (found.code, found.limit, found.value) == ("currency_mismatch", EUR, USD)


# What the catalog says


def test_answers_resolve_by_version_and_never_go_back():
    made = opinionated(engine(), UP)
    made.apply(0, policy(cooldown_ms=0))
    for day in range(3):
        decide(made, T0 + day * DAY)
        made.apply(0, applied(version=day + 1, price=1300 + day, time=T0 + day * DAY))
    made.apply(0, applied(version=2, price=7, time=T0 + 9 * DAY))
    found = only(decide(made, T0 + 3 * DAY))
    assert (found.previous_price, found.version) == (1302, 4)


def test_a_late_copy_of_an_answer_does_not_undo_a_persons_price():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy())
    answer = {"version": 3, "price": 1400, "time": T0}
    made.apply(0, applied(**answer))
    made.apply(0, manual(version=3, price=1450, time=T0 + 1))
    made.apply(0, applied(**answer))
    assert only(decide(made, T0 + DAY)).price == 1450


def test_a_rejection_ends_the_waiting_at_the_price_that_the_catalog_names():
    made = opinionated(engine(), UP)
    made.apply(0, policy())
    decide(made)
    made.apply(0, applied(status=c.REJECTED, price=1250))
    assert only(decide(made, T0 + DAY)).previous_price == 1250


def test_a_persons_price_starts_the_cooldown_and_counts_for_the_daily_limit():
    made = opinionated(engine(intervals=INTERVALS), HOLD)
    made.apply(0, policy(max_daily_change_bp=300, min_change_bp=0, list_price=1300))
    decide(made)
    made.apply(0, manual(price=1330, time=T0 + 400 * DAY))  # the catalog's clock is far ahead of event time
    made.apply(0, order(time=T0 + MINUTE))
    assert len(decide(made, T0 + HOUR - 1)) == 0
    found = only(decide(opinionated(made, 0), T0 + HOUR))
    assert (found.price, found.lower, found.upper) == (1291, 1291, 1339)  # 3 % from both 1330 and 1300


def test_a_catalog_that_knows_later_versions_is_believed():
    made = opinionated(engine(), UP)
    made.apply(0, policy())
    made.apply(0, applied(version=41, price=1350))
    assert only(decide(made)).version == 42


def test_an_answer_that_does_not_come_is_asked_for_three_times_then_alarmed_once():
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy())
    sent = only(decide(made))
    made.snapshot(0)
    assert len(made.overdue_acknowledgements(0, Moment(T0 + HOUR - 1))) == 0
    for hour in (1, 2, 3):
        again = made.overdue_acknowledgements(0, Moment(T0 + hour * HOUR))
        assert (list(again.keys), again.version.tolist(), again.price.tolist()) == ([KEY], [1], [sent.price])
        assert (again.sequence.tolist(), again.reasons, again.policy_version.tolist()) == ([1], ["demand"], [1])
        assert (again.previous_price.tolist(), again.currency.tolist(), len(again.given_up)) == ([1299], [EUR], 0)
        assert made.dirty_count(0) == 1
        assert len(made.overdue_acknowledgements(0, Moment(T0 + hour * HOUR + 1))) == 0
    alarm = made.overdue_acknowledgements(0, Moment(T0 + 4 * HOUR))
    assert (len(alarm), list(alarm.given_up)) == (0, [KEY])
    assert len(made.overdue_acknowledgements(0, Moment(T0 + 9 * HOUR)).given_up) == 0
    made.apply(0, applied(price=sent.price))
    assert only(decide(made, T0 + DAY)).version == 2
