import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.decisions import CHANGED, HELD
from pricing_core.engine import Intervals
from pricing_core.features import HOLD, MOVES_BP
from schemas import columns as c
from tests.pricing_core.engines import UP, decide, engine, only, opinion, opinionated
from tests.pricing_core.events import DAY, HOUR, T0, applied, batch, click, competitor, manual, order, policy, stock
from tests.pricing_core.rules_by_hand import Rival, Situation, broken, broken_static, policies

# What the model says


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_holds_that_offer_only(value):
    made = engine()
    made.apply(0, batch(c.PolicyColumns, {"key": b"web:a"}, {"key": b"web:b"}, {"key": b"web:c", "floor": 1400}))
    q = np.zeros((3, len(MOVES_BP)))
    q[[0, 2], UP] = value
    made._ask = lambda offers, ladder, _chance: opinion(ladder.prices, UP, q[offers.slots])
    found = decide(made)
    told = dict(zip(found.keys, zip(found.reasons, found.outcome, found.chosen, strict=True), strict=True))
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
        rivals = [Rival(1250)] if competitor in events else []
        assert broken(Situation(policy_of, price, [price], rivals, known=0), int(found.price)) == []


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
