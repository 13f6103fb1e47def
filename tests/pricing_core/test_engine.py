from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core import rolling_sums, valuation
from pricing_core.decisions import CHANGED, HELD, RECOMMENDED
from pricing_core.draws import uniform
from pricing_core.engine import CapacityExceeded, Intervals, PricingEngine
from pricing_core.features import HOLD, MOVES_BP
from pricing_core.state import NEVER
from schemas import columns as c
from schemas.dead_letter import Reason
from tests.pricing_core.engines import CAPACITY, MODEL, engine, opinion, opinionated
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
from tests.pricing_core.rules_by_hand import broken, broken_static, policies

UP, DOWN = HOLD + 1, HOLD - 1
INTERVALS = Intervals(decision=15 * MINUTE, review=6 * HOUR, acknowledgement=HOUR)


def decide(made, now=T0, run_mode="ACTIVE", **options):
    return made.decide(0, now, run_mode, **options)


def only(decisions):
    """The columns of the only decision."""
    assert len(decisions) == 1
    values = {f.name: getattr(decisions, f.name) for f in fields(decisions) if f.name != "now"}
    return type("Decision", (), {name: column[0] for name, column in values.items()})


def same(left, right):
    """Whether two decisions, rows of decisions and the like are the same to the last bit."""
    for f in fields(left):
        a, b = getattr(left, f.name), getattr(right, f.name)
        assert (a.tobytes() == b.tobytes()) if isinstance(a, np.ndarray) else a == b, f.name
    return True


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
    made.apply(0, applied())
    for minutes in range(16, 120, 16):
        made.apply(0, order(time=T0 + minutes * MINUTE))
        assert len(decide(made, T0 + minutes * MINUTE)) == 0
    assert only(decide(made, T0 + 2 * HOUR)).outcome == CHANGED


def test_a_review_inside_a_long_cooldown_waits_for_its_end():
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy(cooldown_ms=3 * DAY))
    decide(made)
    made.apply(0, applied())
    assert [len(decide(made, T0 + hour * HOUR)) for hour in range(1, 72)] == [0] * 71
    assert len(decide(made, T0 + 3 * DAY)) == 1


# What the merchant says


def test_recommend_says_a_price_and_changes_nothing():
    made = opinionated(engine(), UP)
    made.apply(0, policy(mode=c.RECOMMEND))
    found = only(decide(made))
    assert (found.outcome, found.code, found.price, found.version) == (RECOMMENDED, "demand", 1312, c.NONE)
    assert len(made.overdue_acknowledgements(0, T0 + DAY)) == 0
    assert only(decide(made, T0 + DAY)).previous_price == 1299


@pytest.mark.parametrize(
    ("changes", "run_mode", "code"), [({"mode": c.PAUSED}, "ACTIVE", "paused"), ({}, "HALTED", "halted")]
)
def test_paused_and_halted_offers_are_held_even_out_of_bounds(changes, run_mode, code):
    made = opinionated(engine(intervals=INTERVALS), UP)
    made.apply(0, policy(floor=1400, **changes))
    assert only(decide(made, run_mode=run_mode)).code == code
    assert len(decide(made, T0 + 15 * MINUTE - 1, run_mode)) == 0
    assert only(decide(made, T0 + 15 * MINUTE, run_mode)).code == code  # a blocked repair is looked at again soon


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
    assert len(made.overdue_acknowledgements(0, T0 + HOUR - 1)) == 0
    for hour in (1, 2, 3):
        again = made.overdue_acknowledgements(0, T0 + hour * HOUR)
        assert (again.keys, again.version.tolist(), again.price.tolist()) == ([KEY], [1], [sent.price])
        assert (again.sequence.tolist(), again.code, again.policy_version.tolist()) == ([1], ["demand"], [1])
        assert (again.previous_price.tolist(), again.currency.tolist(), again.alarms) == ([1299], [EUR], 0)
        assert made.dirty_count(0) == 1
        assert len(made.overdue_acknowledgements(0, T0 + hour * HOUR + 1)) == 0
    alarm = made.overdue_acknowledgements(0, T0 + 4 * HOUR)
    assert (len(alarm), alarm.alarms) == (0, 1)
    assert made.overdue_acknowledgements(0, T0 + 9 * HOUR).alarms == 0
    made.apply(0, applied(price=sent.price))
    assert only(decide(made, T0 + DAY)).version == 2


# What the model says


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_holds_that_offer_only(value):
    made = engine()
    made.apply(0, batch(c.PolicyColumns, {"key": b"web:a"}, {"key": b"web:b"}, {"key": b"web:c", "floor": 1400}))
    q = np.zeros((3, len(MOVES_BP)))
    q[[0, 2], UP] = value
    made._ask = lambda offers, ladder, _chance: opinion(ladder.prices, UP, q[offers.slots])
    found = decide(made)
    told = dict(zip(found.keys, zip(found.code, found.outcome, found.chosen, strict=True), strict=True))
    assert told == {
        b"web:a": ("non_finite", HELD, c.NONE),
        b"web:b": ("demand", CHANGED, UP),
        b"web:c": ("bounds_repair", CHANGED, len(MOVES_BP) - 1),
    }
    assert found.considered.all()


@pytest.mark.parametrize("chosen", [-1, 0, len(MOVES_BP), 99])
def test_a_choice_of_nothing_or_of_an_illegal_move_holds_the_price(chosen):
    made = opinionated(engine(), chosen)
    made.apply(0, policy(max_step_bp=0))
    found = only(decide(made))
    assert (found.outcome, found.price) == (HELD, 1299)


def test_where_every_move_is_forbidden_the_hold_names_the_rule():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(floor=1299, ceiling=1299))
    assert only(decide(made)).code == "minimum_change"


@settings(deadline=None, max_examples=150)
@given(
    policy_of=policies(),
    price=st.integers(1, 100_000),
    q=st.lists(st.floats(width=32), min_size=len(MOVES_BP), max_size=len(MOVES_BP)),
    chosen=st.integers(-2, len(MOVES_BP)),
    events=st.lists(st.sampled_from([order, stock, competitor, click]), max_size=3),
)
def test_no_price_leaves_the_bounds_whatever_model_state_and_policy_say(policy_of, price, q, chosen, events):
    made = opinionated(engine(), chosen, np.array(q, np.float32))
    made.apply(0, batch(c.PolicyColumns, policy_of))
    made.apply(0, manual(price=price))
    for event in events:
        made.apply(0, event())
    found = only(decide(made))
    if found.outcome != CHANGED:
        assert found.price == price
    elif found.code == "bounds_repair":
        assert broken_static(policy_of, int(found.price)) == []
        assert broken_static(policy_of, price)
    else:
        assert broken(policy_of, price, [price], int(found.price)) == []


@settings(deadline=None, max_examples=30)
@given(
    moves=st.lists(st.tuples(st.integers(0, len(MOVES_BP) - 1), st.integers(1, 20)), min_size=5, max_size=30),
    daily=st.integers(0, 2000),
)
def test_no_two_prices_in_effect_within_a_day_differ_by_more_than_allowed(moves, daily):
    made = engine(intervals=Intervals(decision=0, review=0))
    made.apply(0, policy(cooldown_ms=0, max_daily_change_bp=daily, min_change_bp=0, floor=1, ceiling=10**6))
    now, history = T0, [(T0 - DAY, 1299)]
    for version, (move, hours) in enumerate(moves, start=1):
        now += hours * HOUR
        opinionated(made, move)
        found = decide(made, now)
        if len(found) and found.outcome[0] == CHANGED:
            since = now - DAY
            lately = [p for t, p in history if t > since] + [p for t, p in history if t <= since][-1:]
            assert all(abs(int(found.price[0]) - p) * 10_000 <= daily * p for p in lately)
            history.append((now, int(found.price[0])))
            made.apply(0, applied(version=int(found.version[0]), price=int(found.price[0]), time=T0 + version))


# Numbers, order, size


def test_decisions_are_numbered_without_gaps_over_calls_and_holds():
    made = engine()
    made.apply(0, batch(c.PolicyColumns, *({"key": b"web:%d" % i, "mode": i % 3} for i in range(10))))
    numbers = []
    while len(found := decide(made, limit=4)):
        numbers += found.sequence.tolist()
    assert numbers == list(range(1, 11))


def test_fewer_decisions_than_the_limit_mean_that_nothing_else_is_due():
    made = opinionated(engine(intervals=INTERVALS), UP)
    offers = [{"key": b"web:%d" % i, "cooldown_ms": DAY} for i in range(10)]
    made.apply(0, batch(c.PolicyColumns, *offers))
    first = decide(made, limit=6).keys
    made.apply(0, batch(c.AppliedColumns, *({"key": key} for key in first)))
    # By now the review has come for the six, which are in their cooldown: they do not use up the limit.
    rest = decide(made, T0 + 6 * HOUR, limit=5).keys
    assert len(rest) == 4
    assert not set(rest) & set(first)


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 90 * MINUTE), st.lists(st.integers(0, 5), max_size=4), st.integers(1, 3)), max_size=25
    )
)
def test_the_agenda_finds_what_a_search_of_all_rows_would_find(steps):
    made = opinionated(engine(intervals=Intervals(decision=20 * MINUTE, review=HOUR)), HOLD)
    now = T0
    for pause, names, limit in steps:
        now += pause
        made.apply(0, batch(c.OrderColumns, *({"key": b"web:%d" % i} for i in names)))
        due = {made._slots.keys(np.array([i]))[0] for i in made._slots.of(0) if made._state.due_at[i] <= now}
        found = decide(made, now, limit=limit)
        assert set(found.keys) <= due
        assert len(found) == min(limit, len(due))
        assert len(set(found.keys)) == len(found)


def test_two_seeds_draw_differently_and_one_repeats_itself():
    sequence = np.arange(1, 2001)
    draws = uniform(1, 0, sequence)
    assert (draws == uniform(1, 0, sequence)).all()
    for other in (uniform(2, 0, sequence), uniform(1, 1, sequence), uniform(1, 0, sequence + 2000)):
        assert (draws != other).mean() > 0.99
        assert abs(np.corrcoef(draws, other)[0, 1]) < 0.1
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.1


def test_nothing_compiles_after_the_warm_up():
    made = engine(0, 1)
    made.warm_up()
    compiled = (*rolling_sums.COMPILED, *valuation.COMPILED)
    before = [function._cache_size() for function in compiled]
    for n in (1, 3, 40, CAPACITY):
        keys = [{"key": b"web:%d" % i} for i in range(n)]
        for kind in (c.PolicyColumns, c.OrderColumns, c.ClickColumns, c.CompetitorColumns, c.InventoryColumns):
            made.apply(0, batch(kind, *keys))
        decide(made, T0 + n * DAY)
        made.snapshot(0)
    keys, rows = made.snapshot(0)
    made.restore(1, keys, rows, sequence=0)
    made.drop_shard(0)
    assert [function._cache_size() for function in compiled] == before


def test_more_rows_than_fit_are_refused_when_a_shard_is_restored():
    made = engine()
    made.apply(0, batch(c.InventoryColumns, *({"key": b"web:%d" % i} for i in range(CAPACITY))))
    keys, rows = made.snapshot(0)
    small = engine(0, 1)
    small.apply(1, stock(key=b"web:other"))
    with pytest.raises(CapacityExceeded, match=f"{CAPACITY} offers"):
        small.restore(0, keys, rows, sequence=0)
    assert [r.reason for r in made.apply(0, stock(key=b"web:new"))] == [Reason.SHARD_FULL]


# What was written down


EVENTS = st.tuples(
    st.sampled_from([c.OrderColumns, c.ClickColumns, c.CompetitorColumns, c.InventoryColumns, c.PolicyColumns]),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3 * HOUR)), min_size=1, max_size=6),
)


def play(made, steps, now, versions):
    """Apply, decide and let the catalog answer most of it."""
    for kind, rows in steps:
        now += HOUR
        extra = {}
        if kind is c.PolicyColumns:
            extra = {"version": next(versions)}
        made.apply(0, batch(kind, *({"key": b"web:%d" % i, "time": now - late, **extra} for i, late in rows)))
        yield (found := decide(made, now))
        changed = [i for i in range(len(found)) if found.outcome[i] == CHANGED and found.sequence[i] % 4]
        if changed:
            answers = ({"key": found.keys[i], "version": found.version[i], "price": found.price[i]} for i in changed)
            made.apply(0, batch(c.AppliedColumns, *answers))


@settings(deadline=None, max_examples=25)
@given(before=st.lists(EVENTS, max_size=12), after=st.lists(EVENTS, max_size=12), seed=st.integers(0, 9))
def test_a_restored_shard_decides_as_the_first_one_would_have_to_the_last_bit(before, after, seed):
    options = {"seed": seed, "intervals": INTERVALS}
    first = engine(**options)
    start = policy(key=b"web:0", version=1)
    first.apply(0, start)
    list(play(first, before, T0, iter(range(2, 99))))
    keys, rows = first.snapshot(0)
    second = engine(5, **options)  # other rows of the arena
    second.apply(5, stock(key=b"web:elsewhere"))
    second.open_shard(0)
    second.restore(0, keys, np.frombuffer(rows.tobytes(), rows.dtype), sequence=first.sequence(0))
    second.apply(0, start, due=False)
    versions = iter(range(2, 99))
    for kind, found in before:
        if kind is c.PolicyColumns:
            version = next(versions)
            second.apply(0, batch(kind, *({"key": b"web:%d" % i, "version": version} for i, _ in found)), due=False)
    assert second.dirty_count(0) == 0
    now = T0 + 40 * HOUR
    told = zip(
        play(first, after, now, iter(range(100, 199))), play(second, after, now, iter(range(100, 199))), strict=True
    )
    assert all(same(a, b) for a, b in told)
    assert first.totals(0) == second.totals(0)
    last = first.snapshot(0), second.snapshot(0)
    assert last[0][0] == last[1][0]
    assert last[0][1].tobytes() == last[1][1].tobytes()


def test_a_row_that_the_log_has_lost_is_decided_again():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(), due=False)
    assert made.dirty_count(0) == 0
    assert len(decide(made)) == 1


def test_a_shard_that_was_never_written_is_restored_empty():
    made = engine()
    _, rows = made.snapshot(0)
    made.restore(0, [], rows, sequence=0)
    assert made.sequence(0) == 0
    assert len(decide(made, NEVER - 1)) == 0


def test_shards_are_numbered_scheduled_and_forgotten_apart():
    made = engine(0, 1)
    assert made.shards == {0, 1}
    made.apply(0, policy())
    made.apply(1, policy())
    assert len(made.decide(1, T0, "ACTIVE")) == 1
    assert (made.sequence(0), made.sequence(1)) == (0, 1)
    made.drop_shard(1)
    assert made.shards == {0}
    assert len(decide(made)) == 1


def test_the_worker_can_ask_for_unknown_keys():
    made = engine()
    made.apply(0, stock())
    assert made.unknown_keys(0, [KEY, b"web:new", b"web:new"]) == [b"web:new"]


def test_events_of_no_known_kind_are_a_programming_error():
    with pytest.raises(TypeError, match="Columns are no events"):
        engine().apply(0, c.Columns([KEY], np.zeros(1, np.int64), np.zeros(1, np.int64)))


def test_an_engine_needs_nothing_but_a_model():
    assert PricingEngine(MODEL, capacity=CAPACITY).model is MODEL
