"""What persons order for single offers: each command has one effect, or a refusal that says why."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.commands import PROPOSAL_LIFETIME_MS
from pricing_core.decisions import CHANGED, HELD, OUTCOMES, PROPOSED
from pricing_core.engine import Moment
from pricing_core.features import HOLD
from pricing_core.run_modes import RunModes
from schemas import columns as c
from tests.pricing_core.engines import UP, decide, engine, only, opinionated
from tests.pricing_core.events import (
    DAY,
    EUR,
    HOUR,
    MINUTE,
    T0,
    USD,
    applied,
    batch,
    command,
    manual,
    order,
    policy,
    stock,
)

FREE = {"cooldown_ms": 0, "max_daily_change_bp": 10_000}


def said(found):
    return OUTCOMES[found.outcome], found.code, found.price


def changed(made, now=T0):
    """The only decision at a time, a change that the catalog applies."""
    found = only(decide(made, now))
    assert found.outcome == CHANGED
    made.apply(0, applied(version=int(found.version), price=int(found.price), time=now))
    return found


def risen(**changes):
    """An offer whose price the model has raised from 1299 to 1312."""
    made = opinionated(engine(), UP)
    made.apply(0, policy(**FREE | changes))
    assert said(changed(made)) == ("changed", "demand", 1312)
    return made


# Pauses


def test_a_paused_offer_is_held_until_somebody_resumes_it_whatever_policies_come():
    made = risen()
    made.apply(0, command(c.PAUSE))
    assert said(only(decide(made, T0 + HOUR))) == ("held", "paused_by_operator", 1312)
    made.apply(0, policy(version=2, floor=1400))  # not even into new bounds, as with a policy's own pause
    assert only(decide(made, T0 + 2 * HOUR)).code == "paused_by_operator"
    made.apply(0, command(c.RESUME))
    assert said(only(decide(made, T0 + 2 * HOUR))) == ("changed", "bounds_repair", 1400)


def test_a_change_that_is_not_answered_is_not_sent_again_while_the_offer_is_paused():
    made = opinionated(engine(), UP)
    made.apply(0, policy())
    decide(made)
    made.apply(0, command(c.PAUSE))
    assert len(made.overdue_acknowledgements(0, Moment(T0 + DAY))) == 0
    made.apply(0, command(c.RESUME))
    assert len(made.overdue_acknowledgements(0, Moment(T0 + DAY))) == 1


# Approvals


def proposal(choice=UP, **changes):
    """An offer whose price waits for approval, and the decision that has proposed it."""
    made = opinionated(engine(), choice)
    made.apply(0, policy(mode=c.ON_APPROVAL, **FREE | changes))
    return made, only(decide(made))


def answer(made, kind, found, now=T0 + HOUR, **changes):
    """The decision that follows a person's answer."""
    made.apply(0, command(kind, int(found.sequence), offset=7, **changes))
    return only(decide(made, now))


def test_a_price_that_is_proposed_is_published_once_it_is_approved_and_then_waits_for_the_catalog():
    made, found = proposal()
    assert (said(found), found.version) == (("proposed", "demand", 1312), c.NONE)
    assert made.pending_count(0) == 0
    made.apply(0, order(time=T0 + HOUR))
    assert said(only(decide(made, T0 + HOUR))) == ("held", "pending_approval", 1299)
    approved = answer(made, c.APPROVE, found, T0 + 2 * HOUR)
    assert (said(approved), approved.version, approved.command) == (("changed", "demand", 1312), 1, 7)
    assert made.pending_count(0) == 1


def test_an_approval_that_comes_twice_is_one_change():
    made, found = proposal()
    made.apply(0, command(c.APPROVE, int(found.sequence)))
    made.apply(0, command(c.APPROVE, int(found.sequence)))  # before anything is decided
    assert only(decide(made, T0 + HOUR)).outcome == CHANGED
    assert said(answer(made, c.APPROVE, found, T0 + HOUR)) == ("held", "superseded", 1299)


def test_a_rejected_price_is_not_proposed_again_for_a_day():
    made, found = proposal()
    assert said(answer(made, c.REJECT, found)) == ("held", "rejected", 1299)
    made.apply(0, order(time=T0 + 2 * HOUR))
    assert only(decide(made, T0 + 2 * HOUR)).code == "rejected"
    assert said(answer(made, c.APPROVE, found, T0 + 3 * HOUR)) == ("held", "superseded", 1299)
    made.apply(0, order(time=T0 + PROPOSAL_LIFETIME_MS))
    assert only(decide(made, T0 + PROPOSAL_LIFETIME_MS)).outcome == PROPOSED


REFUSED = {
    "expired": ((), {"now": T0 + PROPOSAL_LIFETIME_MS}),
    "expired command": ((), {"expires_at": T0 + HOUR}),
    "superseded": ((policy(version=2, mode=c.AUTO, **FREE),), {}),
    "ceiling": ((policy(version=2, mode=c.ON_APPROVAL, **FREE, ceiling=1305),), {}),
    "maximum_step": ((manual(version=0, price=1100, time=T0),), {}),
    "paused": ((policy(version=2, mode=c.PAUSED),), {}),
    "paused_by_operator": ((command(c.PAUSE),), {}),
    "contradictory_bounds": ((policy(version=2, mode=c.ON_APPROVAL, map_price=5000),), {}),
}


@pytest.mark.parametrize("why", REFUSED)
def test_an_approval_is_refused_and_the_price_stays(why):
    """Bounds are those of the policy of now, and a pause counts more than an approval that was under way."""
    meanwhile, how = REFUSED[why]
    made, found = proposal()
    for columns in meanwhile:
        made.apply(0, columns)
    refused = answer(made, c.APPROVE, found, **how)
    expected = {"expired command": "expired", "paused": "superseded"}.get(why, why)
    assert (refused.outcome, refused.code, refused.version, refused.command) == (HELD, expected, c.NONE, 7)


def test_an_approval_while_prices_are_halted_is_refused_and_can_be_given_again():
    made, found = proposal()
    made.apply(0, command(c.APPROVE, int(found.sequence)))
    assert said(only(decide(made, T0 + HOUR, run_mode="HALTED"))) == ("held", "halted", 1299)
    assert said(answer(made, c.APPROVE, found, T0 + 2 * HOUR)) == ("changed", "demand", 1312)


def test_an_approval_of_another_decision_is_refused():
    made, found = proposal()
    found.sequence += 1
    assert answer(made, c.APPROVE, found).code == "superseded"


def test_bounds_that_leave_a_proposal_outside_make_a_new_one():
    made, _ = proposal()
    made.apply(0, policy(version=2, mode=c.ON_APPROVAL, ceiling=1290, **FREE))
    assert said(only(decide(made, T0 + HOUR))) == ("proposed", "bounds_repair", 1290)
    made.apply(0, order(time=T0 + 2 * HOUR))
    assert only(decide(made, T0 + 2 * HOUR)).code == "pending_approval"


def test_a_promotion_that_was_approved_ends_by_itself_as_a_proposal():
    made, found = proposal(HOLD, promotion_price=1000, promotion_from=T0, promotion_to=T0 + 12 * HOUR, max_step_bp=0)
    assert said(found) == ("proposed", "promotion", 1000)
    approved = answer(made, c.APPROVE, found)
    assert said(approved) == ("changed", "promotion", 1000)
    made.apply(0, applied(price=1000))
    assert said(only(decide(made, T0 + 12 * HOUR))) == ("proposed", "promotion_over", 1299)


# Rollbacks


def rolled_back(made, price, now=T0 + HOUR, run_mode="ACTIVE", **changes):
    made.apply(0, command(c.ROLL_BACK, price, offset=9, **changes))
    return only(decide(made, now, run_mode))


def test_a_rollback_goes_back_at_once_and_pauses_the_offer():
    made = risen(cooldown_ms=DAY)
    found = rolled_back(made, 1299, T0 + MINUTE)
    assert (said(found), found.version, found.limit, found.value) == (("changed", "rollback", 1299), 2, 1299, 1312)
    assert found.command == 9
    made.apply(0, applied(version=2, price=1299, time=T0 + HOUR))
    made.apply(0, order(time=T0 + DAY))
    assert said(only(decide(made, T0 + 2 * DAY))) == ("held", "paused_by_operator", 1299)


@pytest.mark.parametrize("run_mode", ["HALTED", "REDUCING"])
def test_neither_a_halt_nor_a_pause_stops_a_rollback_and_it_is_sent_again_all_the_same(run_mode):
    """Or nobody could stop everything first and then go back."""
    made = risen()
    made.apply(0, policy(version=2, mode=c.PAUSED))
    made.apply(0, command(c.PAUSE))
    assert said(rolled_back(made, 1290, run_mode=run_mode)) == ("changed", "rollback", 1290)
    overdue = made.overdue_acknowledgements(0, Moment(T0 + DAY, RunModes.everywhere(run_mode)))
    assert (overdue.version.tolist(), overdue.price.tolist()) == ([2], [1290])


def test_a_rollback_ends_at_the_nearest_legal_price():
    made = risen()
    made.apply(0, policy(version=2, floor=1305, **FREE))
    found = rolled_back(made, 1299)
    assert (said(found), found.limit) == (("changed", "rollback", 1305), 1299)


def test_a_rollback_is_as_long_as_the_way_there_was():
    made = risen()
    made.apply(0, policy(version=2, max_step_bp=0, ceiling=200_000, reductions=c.ANNOUNCED_OR_HELD))
    assert said(rolled_back(made, 100_000)) == ("changed", "rollback", 100_000)


def test_the_same_rollback_twice_is_one_change():
    made = risen()
    assert rolled_back(made, 1299).outcome == CHANGED
    assert said(rolled_back(made, 1299)) == ("held", "rollback", 1312)  # the catalog has not answered yet
    made.apply(0, applied(version=2, price=1299, time=T0 + HOUR))
    assert said(rolled_back(made, 1299)) == ("held", "rollback", 1299)


def test_a_rollback_to_the_price_that_still_stands_overtakes_a_change_that_is_on_its_way():
    made = opinionated(engine(), UP)
    made.apply(0, policy(**FREE))
    assert only(decide(made)).outcome == CHANGED
    found = rolled_back(made, 1299)
    assert (said(found), found.version) == (("changed", "rollback", 1299), 2)


REFUSED_ROLLBACKS = {
    "no_policy": (policy(removed=True), {}),
    "promotion": (policy(version=2, promotion_price=1000, promotion_from=T0, promotion_to=T0 + DAY), {}),
    "contradictory_bounds": (policy(version=2, map_price=5000), {}),
    "expired": (policy(version=2), {"expires_at": T0 + HOUR}),
}


@pytest.mark.parametrize("why", REFUSED_ROLLBACKS)
def test_a_rollback_that_is_not_allowed_is_refused_and_the_offer_is_paused_all_the_same(why):
    columns, changes = REFUSED_ROLLBACKS[why]
    made = risen()
    made.apply(0, columns)
    refused = rolled_back(made, 1299, **changes)
    assert (refused.outcome, refused.code, refused.command) == (HELD, why, 9)
    made.apply(0, policy(version=3))
    assert only(decide(made, T0 + 2 * DAY)).code == "paused_by_operator"


def test_a_rollback_in_another_currency_is_refused_before_it_is_one():
    made = risen()
    (reject,) = made.apply(0, command(c.ROLL_BACK, 1299, currency=USD))
    assert reject.reason == "currency_mismatch"
    assert len(decide(made, T0 + MINUTE)) == 0


def test_a_rollback_of_a_recommended_offer_is_a_change():
    """It was priced automatically when the change was made that is now taken back."""
    made = risen()
    made.apply(0, policy(version=2, mode=c.RECOMMEND))
    assert rolled_back(made, 1299).outcome == CHANGED


def test_a_rollback_withdraws_what_is_proposed():
    made, found = proposal()
    made.apply(0, command(c.APPROVE, int(found.sequence)))
    assert said(rolled_back(made, 1250)) == ("changed", "rollback", 1250)
    made.apply(0, command(c.RESUME))
    assert answer(made, c.APPROVE, found, T0 + 2 * HOUR).code == "superseded"


# All of them


def test_a_pause_and_a_rollback_of_one_batch_both_count_and_a_resume_behind_them_too():
    made = risen()
    rollback = {"kind": c.ROLL_BACK, "value": 1299, "currency": EUR}
    made.apply(0, batch(c.CommandColumns, {"kind": c.PAUSE}, rollback, {"kind": c.RESUME}))
    assert said(only(decide(made, T0 + MINUTE))) == ("changed", "rollback", 1299)
    made.apply(0, applied(version=2, price=1299, time=T0 + HOUR))
    made.apply(0, order(time=T0 + DAY))
    assert only(decide(made, T0 + DAY)).code == "demand"


def test_the_first_answer_to_a_proposal_counts():
    made, found = proposal()
    answers = [{"kind": kind, "value": int(found.sequence)} for kind in (c.REJECT, c.APPROVE)]
    made.apply(0, batch(c.CommandColumns, *answers))
    assert only(decide(made, T0 + HOUR)).code == "rejected"


def test_a_command_does_not_wait_for_stock_interval_or_cooldown_and_survives_a_restart():
    made = risen(cooldown_ms=DAY)
    made.apply(0, stock(on_hand=0))
    made.apply(0, command(c.ROLL_BACK, 1299))
    keys, rows = made.snapshot(0)
    other = opinionated(engine(), UP)
    other.restore(0, keys, rows, sequence=made.sequence(0))
    other.apply(0, policy(**FREE), due=False)
    assert only(decide(other, T0 + 1)).code == "rollback"


KINDS = st.sampled_from([c.PAUSE, c.RESUME, c.APPROVE, c.REJECT, c.ROLL_BACK])
STEPS = st.lists(st.tuples(KINDS, st.integers(1, 6), st.sampled_from([1200, 1299, 2500])), max_size=8)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.sampled_from([c.AUTO, c.ON_APPROVAL, c.RECOMMEND, c.PAUSED]))
def test_whatever_is_ordered_every_price_is_legal_versions_have_no_hole_and_no_command_acts_twice(steps, mode):
    made, version, seen = opinionated(engine(), UP), 0, []
    made.apply(0, policy(mode=mode, **FREE))
    for hour, (kind, sequence, price) in enumerate(steps):
        value = {c.ROLL_BACK: price, c.APPROVE: sequence, c.REJECT: sequence}.get(kind, c.NONE)
        made.apply(0, command(kind, value, offset=hour))
        found = decide(made, T0 + hour * HOUR)
        seen += found.command[found.command != c.NONE].tolist()
        if (found.outcome == CHANGED).any():
            one = only(found)
            version += 1
            assert one.version == version
            assert 900 <= one.price <= 2000
            made.apply(0, applied(version=version, price=int(one.price), time=T0 + hour * HOUR))
    assert len(seen) == len(set(seen))
    assert not np.isin(made._state.command, (c.APPROVE, c.REJECT, c.ROLL_BACK)).any()
