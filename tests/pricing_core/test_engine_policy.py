"""What a policy says over time: promotions, emergencies, announced reductions, competitors, the goal."""

import numpy as np
import pytest

from pricing_core.decisions import CHANGED, HELD, RECOMMENDED
from pricing_core.engine import Moment
from pricing_core.features import HOLD
from schemas import columns as c
from tests.pricing_core.engines import UP, decide, engine, only, opinionated
from tests.pricing_core.events import DAY, HOUR, MINUTE, T0, applied, batch, competitor, manual, order, policy, stock

DOWN = HOLD - 1
WEEK = {"promotion_price": 1000, "promotion_from": T0 + HOUR, "promotion_to": T0 + 7 * DAY}


def acknowledged(made, now, run_mode="ACTIVE"):
    """The only decision at a time, which the catalog applies."""
    found = only(decide(made, now, run_mode))
    if found.outcome == CHANGED:
        made.apply(0, applied(version=int(found.version), price=int(found.price), time=now))
    return found


def said(found):
    return found.code, found.price, found.limit, found.value


def test_a_promotion_begins_and_ends_on_time_whatever_other_rules_say():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK, ending=99, ending_modulus=100, max_step_bp=0, max_daily_change_bp=0))
    made.apply(0, stock(on_hand=0))
    assert said(acknowledged(made, T0)) == ("stock_out", 1299, 1, 0)
    assert len(decide(made, T0 + HOUR - 1)) == 0
    assert said(acknowledged(made, T0 + HOUR)) == ("promotion", 1000, 1000, 1299)
    assert said(acknowledged(made, T0 + DAY)) == ("promotion", 1000, 1000, 1000)
    assert said(acknowledged(made, T0 + 7 * DAY)) == ("promotion_over", 1299, 1299, 1000)
    assert acknowledged(made, T0 + 8 * DAY).code == "stock_out"


def test_a_promotion_does_not_wait_for_the_cooldown():
    made = opinionated(engine(), UP)
    made.apply(0, policy(**WEEK, cooldown_ms=30 * DAY))
    assert acknowledged(made, T0).code == "demand"
    made.apply(0, order(time=T0 + MINUTE))
    assert acknowledged(made, T0 + HOUR).code == "promotion"
    assert said(acknowledged(made, T0 + 7 * DAY))[:2] == ("promotion_over", 1312)


def test_inside_a_promotion_neither_model_nor_competitors_move_the_price():
    made = opinionated(engine(), UP)
    made.apply(0, policy(**WEEK, competitor_rule=c.MATCH, cooldown_ms=0))
    acknowledged(made, T0)
    acknowledged(made, T0 + HOUR)
    for hour in range(2, 48):
        made.apply(0, competitor(price=950, time=T0 + hour * HOUR))
        assert said(acknowledged(made, T0 + hour * HOUR)) == ("promotion", 1000, 1000, 1000)


def test_a_promotion_that_is_withdrawn_is_over():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK))
    acknowledged(made, T0 + HOUR)
    made.apply(0, policy(version=2))
    assert said(acknowledged(made, T0 + HOUR)) == ("promotion_over", 1299, 1299, 1000)
    assert acknowledged(made, T0 + DAY).code == "model_holds"


def test_after_a_promotion_new_bounds_come_before_the_old_price():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK))
    acknowledged(made, T0 + HOUR)
    made.apply(0, policy(**WEEK, version=2, ceiling=1200))
    assert said(acknowledged(made, T0 + 7 * DAY)) == ("promotion_over", 1200, 1200, 1000)


def test_a_price_that_a_person_set_since_is_not_taken_back_after_the_promotion():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK))
    acknowledged(made, T0 + HOUR)
    made.apply(0, manual(version=1, price=1100, time=T0 + 7 * DAY))
    assert said(acknowledged(made, T0 + 7 * DAY))[:2] == ("model_holds", 1100)


def test_a_promotion_that_the_catalog_rejected_is_tried_again():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK))
    version = int(only(decide(made, T0 + HOUR)).version)
    made.apply(0, batch(c.AppliedColumns, {"version": version, "status": c.REJECTED, "price": 1299}))
    assert acknowledged(made, T0 + HOUR).code == "promotion"
    made.apply(0, policy(version=2))
    assert said(acknowledged(made, T0 + DAY))[:2] == ("promotion_over", 1299)


def test_a_promotion_that_the_catalog_rejected_and_the_merchant_withdrew_leaves_nothing_to_return_from():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK))
    version = int(only(decide(made, T0 + HOUR)).version)
    made.apply(0, policy(version=2))
    made.apply(0, batch(c.AppliedColumns, {"version": version, "status": c.REJECTED, "price": 1199}))
    assert said(acknowledged(made, T0 + DAY))[:2] == ("model_holds", 1199)


def test_a_recommended_promotion_changes_nothing():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK, mode=c.RECOMMEND))
    found = acknowledged(made, T0 + HOUR)
    assert (found.outcome, found.price) == (RECOMMENDED, 1000)
    found = acknowledged(made, T0 + 7 * DAY)
    assert (found.code, found.price) == ("model_holds", 1299)


def test_a_promotion_waits_while_prices_are_halted():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK))
    assert acknowledged(made, T0 + HOUR, "HALTED").code == "halted"
    assert acknowledged(made, T0 + HOUR + 15 * MINUTE).code == "promotion"


# Emergencies


def test_in_an_emergency_a_price_above_the_cap_falls_at_once_and_none_rises_over_it():
    made = opinionated(engine(), UP)
    made.apply(0, policy(cooldown_ms=0))
    acknowledged(made, T0)
    made.apply(0, policy(version=2, emergency_price=1000, cooldown_ms=0))
    assert said(acknowledged(made, T0)) == ("bounds_repair", 1100, 1100, 1312)
    found = acknowledged(made, T0 + DAY)
    assert (found.outcome, found.price) == (HELD, 1100)
    made.apply(0, policy(version=3, cooldown_ms=0))
    assert said(acknowledged(made, T0 + 2 * DAY))[:2] == ("demand", 1111)


# Reductions


def reduced(reductions, *moves):
    """Reasons and prior prices of decisions, each a number of days after the one before, with the model's choice."""
    made, now, found = engine(), T0, []
    made.apply(0, policy(reductions=reductions, cooldown_ms=0))
    for days, move in moves:
        now += days * DAY
        found.append(acknowledged(opinionated(made, move), now))
    return [(one.code, None if one.prior_price == c.NONE else int(one.prior_price)) for one in found]


MOVES = [(0, HOLD), (29, DOWN), (34, DOWN), (1, UP), (33, DOWN), (1, UP), (1, DOWN)]


def test_a_reduction_is_announced_with_the_lowest_price_of_the_last_month_or_not_at_all():
    assert reduced(c.ANNOUNCED, *MOVES) == [
        ("model_holds", None),
        ("demand", None),  # 1286, after 29 days: the prices of a month are not known yet
        ("demand", 1286),  # 1273
        ("demand", None),  # a rise, to 1286
        ("demand", 1286),  # 1273 was long ago; to 1273 again
        ("demand", None),
        ("demand", None),  # lower than now, but not than yesterday
    ]
    assert {prior for _, prior in reduced(c.SILENT, *MOVES)} == {None}


def test_who_announces_every_reduction_makes_none_that_must_not_be_announced():
    assert reduced(c.ANNOUNCED_OR_HELD, (0, HOLD), (29, DOWN), (4, DOWN), (1, UP), (1, DOWN)) == [
        ("model_holds", None),
        ("prior_price", None),
        ("demand", 1299),
        ("demand", None),
        ("prior_price", None),
    ]


def test_a_change_that_is_sent_again_names_the_same_prior_price():
    made = engine()
    made.apply(0, policy(reductions=c.ANNOUNCED))
    acknowledged(opinionated(made, HOLD), T0)
    only(decide(opinionated(made, DOWN), T0 + 40 * DAY))
    assert made.overdue_acknowledgements(0, Moment(T0 + 41 * DAY)).prior_price.tolist() == [1299]


def test_a_promotion_without_the_history_that_its_announcement_needs_is_not_made():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(**WEEK, reductions=c.ANNOUNCED_OR_HELD))
    acknowledged(made, T0)
    assert said(acknowledged(made, T0 + HOUR)) == ("prior_price", 1299, 30 * DAY, HOUR)


# Competitors


@pytest.mark.parametrize(
    ("rule", "points", "price", "expected"),
    [
        (c.MATCH, 0, 1250, ("competitors", 1250)),
        (c.MATCH, 0, 1050, ("competitors", 1170)),  # as far as the step goes
        (c.MATCH, 0, 1400, ("competitors", 1400)),
        (c.MATCH, 0, 1299, ("held", 1299)),  # the model wants more, and may not
        (c.UNDERCUT, 100, 1250, ("competitors", 1237)),
        (c.UNDERCUT, 100, 1400, ("demand", 1312)),
        (c.WITHIN, 500, 1400, ("competitors", 1330)),
        (c.WITHIN, 500, 1200, ("competitors", 1260)),
        (c.WITHIN, 500, 1250, ("demand", 1312)),
        (c.MATCH, 0, 324, ("demand", 1312)),  # a quarter of the list price is no price
        (c.FREE, 0, 1250, ("demand", 1312)),
    ],
)
def test_a_price_keeps_its_place_beside_the_cheapest_competitor(rule, points, price, expected):
    made = opinionated(engine(), UP)
    made.apply(0, policy(competitor_rule=rule, competitor_bp=points))
    made.apply(0, competitor(price=price))
    found = only(decide(made))
    assert (found.code if found.outcome == CHANGED else "held", found.price) == expected


def test_only_named_competitors_are_followed_and_none_below_the_floor():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(competitor_rule=c.MATCH, heeds_all=False, competitors=[7] + [0] * 7, max_step_bp=5000))
    made.apply(0, competitor(competitor=8, price=1000))
    made.apply(0, competitor(competitor=7, price=800))
    assert said(only(decide(made)))[:2] == ("competitors", 910)  # a day's change of 30 %


# The goal


def test_who_wants_revenue_is_told_the_same_whatever_the_goods_cost():
    def values(goal):
        made = engine()
        offers = [{"key": b"web:%d" % i, "unit_cost": cost, "goal": goal} for i, cost in enumerate((100, 800))]
        made.apply(0, batch(c.PolicyColumns, *offers))
        return decide(made).q

    assert np.array_equal(*values(c.REVENUE))
    assert not np.array_equal(*values(c.PROFIT))
