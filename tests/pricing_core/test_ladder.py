import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pricing_core.features import HOLD, MOVES_BP
from pricing_core.ladder import build
from pricing_core.rules import CODES
from schemas.columns import ANNOUNCED_OR_HELD, NONE, SILENT
from tests.pricing_core.events import DAY, POLICY
from tests.pricing_core.rules_by_hand import (
    Situation,
    band,
    bounds,
    broken,
    broken_static,
    forced,
    is_promoted,
    offers_of,
    situations,
)

ENDING_99 = {"ending": 99, "ending_modulus": 100}


def ladder_of(policy, current, in_effect=None):
    """Prices and names of the masks of one offer."""
    made = build(offers_of((POLICY | policy, current, in_effect or [current])))
    return made.prices[0].tolist(), [CODES[number] for number in made.masked[0].tolist()], made


def is_free(found):
    """Whether a price inside of bounds that leave room may stay or move as the model likes."""
    room = bounds(found.policy) is not None and not is_promoted(found.policy)
    return room and not broken_static(found.policy, found.current) and not forced(found)[0]


def legal_prices(policy, current, in_effect=None):
    prices, masks, _ = ladder_of(policy, current, in_effect)
    return [price for price, mask in zip(prices, masks, strict=True) if mask == "legal"]


CHEAP = POLICY | {"list_price": 1, "floor": 1, "ceiling": 1, "unit_cost": 0, "ending": 2, "ending_modulus": 10}
BELOW_NOTHING = Situation(CHEAP | {"reductions": ANNOUNCED_OR_HELD, "min_change_bp": 0}, 1, [1], known=DAY)


@given(st.lists(situations(), min_size=1, max_size=8))
@example([BELOW_NOTHING])  # the ending asks for -8
def test_a_legal_move_breaks_no_rule_and_a_masked_one_breaks_the_rule_it_names(found):
    found = [s for s in found if is_free(s)] or [Situation(POLICY, 1299, [1299])]
    made = build(offers_of(*found))
    for situation, prices, masks, only in zip(
        found, made.prices.tolist(), made.masked.tolist(), made.only.tolist(), strict=True
    ):
        for move, (price, mask) in enumerate(zip(prices, masks, strict=True)):
            rules = broken(situation, price)
            if only not in {NONE, move} and (move == HOLD or not rules):
                assert CODES[mask] in {"family_spread", "competitors", "duplicate"}
            elif move == HOLD:
                assert (price, mask) == (situation.current, 0)
            elif CODES[mask] == "duplicate":
                assert not rules
                assert price == prices[move + 1 if move < HOLD else move - 1]
            else:
                assert CODES[mask] == (rules or ["legal"])[0]
        legal = [price for price, mask in zip(prices, masks, strict=True) if mask == 0]
        assert len(set(legal)) == len(legal)


@given(situations())
def test_the_interval_is_what_the_rules_but_ending_and_least_change_allow(found):
    policy, current = found.policy, found.current
    if not is_free(found):
        return
    made = build(offers_of(found))
    lower, upper = int(made.lower[0]), int(made.upper[0])
    free = found._replace(
        policy={**policy, "ending": NONE, "ending_modulus": 1, "min_change_bp": 0, "reductions": SILENT}
    )
    for price in {lower - 1, lower, upper, upper + 1} - {current}:
        if price > 0:
            rules = [rule for rule in broken(free, price) if rule != "maximum_jump"]
            assert (rules == []) == (lower <= price <= upper)


@given(situations(top=300))
def test_a_price_out_of_bounds_has_the_nearest_legal_one_as_its_only_candidate(found):
    policy, current = found.policy, found.current
    if forced(found)[0] not in {None, "bounds_repair"}:
        return
    inside = [p for p in range(1, 700) if not broken_static(policy, p)]
    if current in inside or not inside:
        return
    nearest = min(inside, key=lambda p: abs(p - current))
    ended = [p for p in inside if policy["ending"] == NONE or p % policy["ending_modulus"] == policy["ending"]]
    expected = min(ended, key=lambda p: abs(p - current)) if ended else nearest
    made = build(offers_of(found))
    jumps = "maximum_jump" in broken(found, expected)
    assert made.prices[0, made.only[0]] == expected
    assert made.prices[0][made.legal[0]].tolist() == ([] if jumps else [expected])
    assert (made.lower[0], made.upper[0]) == (inside[0], inside[-1])


@given(situations(top=300))
def test_a_promotion_and_the_way_back_are_the_only_candidate(found):
    why, target = forced(found)
    if why not in {"promotion", "promotion_over"}:
        return
    made = build(offers_of(found))
    assert made.prices[0, made.only[0]] == target
    assert made.prices[0][made.legal[0]].tolist() == ([] if broken(found, target) else [target])
    assert CODES[made.masked[0, HOLD]] == why


@given(situations(top=300))
def test_beside_competitors_the_price_goes_where_it_must_lie_or_as_near_as_other_rules_let_it(found):
    beside = band(found)
    if not is_free(found) or beside is None or beside[0] <= found.current <= beside[1]:
        return
    later = {"minimum_change", "prior_price", "maximum_jump"}
    down = found.current > beside[1]
    way = range(1, found.current) if down else range(found.current + 1, 700)
    possible = [p for p in way if not set(broken(found, p)) - later]
    inside = [p for p in possible if beside[0] <= p <= beside[1]]
    nearest = min(
        inside or possible, key=lambda p: abs(p - found.current) if inside else -abs(p - found.current), default=None
    )
    made = build(offers_of(found))
    if nearest is None:
        assert made.only[0] == NONE
    else:
        assert made.prices[0, made.only[0]] == nearest
        assert made.prices[0][made.legal[0]].tolist() == ([] if broken(found, nearest) else [nearest])


@pytest.mark.parametrize(
    ("policy", "current", "expected"),
    [
        ({}, 1300, [1170, 1235, 1268, 1287, 1300, 1313, 1332, 1365, 1430]),  # nothing in the way: all nine
        (ENDING_99, 1299, [1199, 1299, 1399]),  # small moves end where they began
        ({"max_step_bp": 200}, 1300, [1274, 1287, 1300, 1313, 1326]),  # large moves are cut, and are one then
        ({"ceiling": 1310}, 1300, [1170, 1235, 1268, 1287, 1300, 1310]),
        ({"min_change_bp": 300}, 1300, [1170, 1235, 1300, 1365, 1430]),
        ({"max_step_bp": 0}, 1300, [1300]),
        ({"floor": 1300, "ceiling": 1300}, 1300, [1300]),
        ({"floor": 1270, "ending": 1234, "ending_modulus": 10_000}, 1300, [1300]),  # the ending is below the floor
    ],
)
def test_examples(policy, current, expected):
    assert legal_prices(policy, current) == expected


def test_the_daily_limit_counts_from_every_price_in_effect():
    limit = {"max_daily_change_bp": 1000}
    assert legal_prices(limit, 1300, [1300, 1200]) == [1170, 1235, 1268, 1287, 1300, 1313, 1320]
    assert legal_prices(limit, 1300, [1300, 1444]) == [1300, 1313, 1332, 1365, 1430]
    assert legal_prices(limit, 1300, [1100, 1500]) == [1300]  # below 1350 and above 1210 at once: nothing


@pytest.mark.parametrize(
    ("policy", "current", "repaired"),
    [
        ({"floor": 1400}, 1300, 1400),
        ({"floor": 1400, **ENDING_99}, 1300, 1499),  # prefers the ending
        ({"floor": 1400, "ceiling": 1450, **ENDING_99}, 1300, 1400),  # does not insist on it
        ({"ceiling": 1250, **ENDING_99}, 1300, 1199),
        ({"ceiling": 1000, "max_step_bp": 0, "max_daily_change_bp": 0}, 1900, 1000),  # bounds come before steps
        ({"unit_cost": 1200, "min_margin_bp": 2000}, 1300, 1500),
        ({"map_price": 1350}, 1300, 1350),
        ({"emergency_price": 1000}, 1300, 1100),
        ({"ceiling": 130, "floor": 1}, 1300, 130),  # a tenth is the most
    ],
)
def test_repairs(policy, current, repaired):
    assert legal_prices(policy, current) == [repaired]


def test_bounds_that_are_out_by_a_hundred_move_nothing():
    assert legal_prices({"floor": 9, "ceiling": 20, "list_price": 13}, 1300) == []
    assert legal_prices({"floor": 90_000, "ceiling": 200_000}, 1300) == []


def test_money_at_its_largest_stays_exact():
    top = 10**13
    made = build(offers_of((POLICY | {"floor": 1, "ceiling": top, **ENDING_99}, top - 1, [top - 1])))
    assert (made.prices > 0).all()
    assert made.prices[0].tolist()[HOLD] == top - 1
    assert legal_prices({"floor": 1, "ceiling": top, "max_daily_change_bp": 10_000}, top)[0] == top * 9 // 10


def test_moves_are_measured_from_the_current_price_in_basis_points():
    prices, _, _ = ladder_of({"floor": 1, "ceiling": 10**9}, 1_000_000)
    assert (np.array(prices) - 1_000_000).tolist() == [100 * move for move in MOVES_BP]


@given(st.integers(1, 20))
def test_tiny_prices_have_no_move_of_less_than_a_unit(current):
    assert legal_prices({"floor": 1, "max_step_bp": 400}, current) == [current]
