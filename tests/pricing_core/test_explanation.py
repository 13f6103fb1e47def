"""What would have flipped a decision: found by deciding again, exact to one unit, and nothing nearer."""

import numpy as np
import pytest

from pricing_core.decision_inputs import INPUTS
from pricing_core.explanation import _direction, asked, look_for_flips, smallest
from pricing_core.policy_table import SIBLINGS
from pricing_core.replaying import ReplayingEngine
from pricing_core.run_modes import MODES
from schemas import columns as c
from tests.pricing_core.engines import MODEL, engine
from tests.pricing_core.events import DAY, HOUR, T0, click, competitor, manual, order, policy, stock
from tests.pricing_core.test_replaying import asked as question_of

BY_NAME = {one.name: one for one in INPUTS}


@pytest.fixture(scope="module")
def replaying():
    return ReplayingEngine(MODEL, capacity=1024)


def decided(*events, now=T0 + DAY, run_mode="ACTIVE"):
    """The question of the only decision that these events lead to, and its reason."""
    made = engine(0)
    for columns in events:
        made.apply(0, columns)
    decisions = made.decide(0, now, run_mode)
    assert len(decisions) == 1
    return question_of(decisions), decisions.reasons[0]


def flips(replaying, question, name, value):
    """Whether the decision is another with one input at this value."""
    changed = asked(question, [(BY_NAME[name], np.array([value]))])
    before, after = replaying.decide_again(question_of_one(question)), replaying.decide_again(changed)
    return bool((_direction(before) != _direction(after))[0])


def question_of_one(question):
    return question.part(slice(0, 1))


SOLD = (click(count=400), order(quantity=3), competitor(price=1210), stock(on_hand=40))
FAMILY = {"family": 7, "max_family_spread_bp": 300, "competitor_rule": c.MATCH, "max_step_bp": 10_000}
SITUATIONS = {
    "free": (policy(), *SOLD),
    "sold out": (policy(), *SOLD, stock(on_hand=0, time=T0 + HOUR)),
    "stale stock": (policy(max_stock_age_ms=2 * HOUR), *SOLD),
    "out of bounds": (policy(floor=1400), *SOLD),
    "hardly room": (policy(floor=1299, ceiling=1310), *SOLD),
    "recommended": (policy(mode=c.RECOMMEND), *SOLD),
    "family not heard": (policy(**FAMILY), *SOLD),
}


def test_what_the_family_allows_and_costs_is_among_the_inputs(replaying):
    question, reason = decided(*SITUATIONS["family not heard"])
    assert (reason, flips(replaying, question, "the family's prices are known", 1)) == ("family_unknown", True)
    question.recorded.policies[list(SIBLINGS)] = 1299, 1299, 1
    assert flips(replaying, question, "largest distance in the family", 0)
    assert flips(replaying, question, "highest price in the family", 1400)
    assert not flips(replaying, question, "highest price in the family", 1250)


@pytest.mark.parametrize("situation", SITUATIONS)
def test_each_flip_is_one_and_a_unit_less_of_the_change_is_none(replaying, situation):
    question, _ = decided(*SITUATIONS[situation])
    known = look_for_flips(replaying, question)
    assert [one.name for one in known if one.flips_at is not None]
    for one in known:
        assert one.low <= one.value <= one.high or one.value < one.low
        if one.flips_at is None:
            continue
        assert flips(replaying, question, one.name, one.flips_at), one
        back = one.flips_at - int(np.sign(one.flips_at - one.value))
        assert back == one.value or not flips(replaying, question, one.name, back), one


CONDITIONS = {
    "stock_out": ((policy(), *SOLD, stock(on_hand=0, time=T0 + HOUR)), "ACTIVE", ("stock on hand", 1)),
    "halted": ((policy(), *SOLD), "HALTED", ("run mode is ACTIVE", 1)),
    "paused": ((policy(mode=c.PAUSED), *SOLD), "ACTIVE", ("offer is not paused", 1)),
    "stale_input": ((policy(max_stock_age_ms=2 * HOUR), *SOLD), "ACTIVE", ("age of the count of stock", 120)),
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_the_smallest_change_against_a_condition_is_the_one_that_meets_it(replaying, condition):
    events, run_mode, flip = CONDITIONS[condition]
    question, reason = decided(*events, run_mode=run_mode)
    question.mode[:] = MODES.index(run_mode)
    assert reason == condition
    nearest = smallest(look_for_flips(replaying, question))
    assert (nearest.name, nearest.flips_at) == flip
    assert nearest.answer.outcome == "changed"


def test_an_unanswered_change_holds_until_the_catalog_answers(replaying):
    made = engine(0)
    for columns in (policy(), *SOLD):
        made.apply(0, columns)
    assert made.decide(0, T0 + DAY, "ACTIVE").reasons == ["demand"]
    held = made.decide(0, T0 + 2 * DAY, "ACTIVE")
    assert held.reasons == ["pending_acknowledgement"]
    known = look_for_flips(replaying, question_of(held))
    assert {one.name for one in known if one.flips_at is not None} == {"catalog has answered"}


def test_without_a_policy_nothing_flips_the_hold(replaying):
    question, reason = decided(*SOLD)
    assert reason == "no_policy"
    known = look_for_flips(replaying, question)
    assert known
    assert smallest(known) is None


def test_the_question_itself_is_left_as_it_was(replaying):
    question, _ = decided(policy(), *SOLD)
    before = question.recorded.rows.tobytes(), question.recorded.policies.tobytes(), question.now.tobytes()
    look_for_flips(replaying, question)
    assert before == (question.recorded.rows.tobytes(), question.recorded.policies.tobytes(), question.now.tobytes())


def test_a_price_that_a_person_set_counts_as_the_price_in_effect(replaying):
    question, _ = decided(policy(), *SOLD, manual(price=1350, time=T0 + HOUR))
    known = {one.name: one for one in look_for_flips(replaying, question)}
    assert known["price in effect"].value == 1350
