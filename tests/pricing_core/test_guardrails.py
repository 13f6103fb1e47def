import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_core.guardrails import CONDITIONS, PRICE_RULES, judge
from pricing_core.policy_table import IMPOSSIBLE, margin_floor
from pricing_core.price_window import BUCKET_MS, LONGER, MONTH_MS, Window, rolled
from pricing_core.rules import CODES
from pricing_core.run_modes import HALTED
from pricing_core.state import State
from schemas import columns as c
from tests.pricing_core.events import DAY, HOUR, POLICY, T0, USD
from tests.pricing_core.rules_by_hand import (
    Rival,
    Situation,
    band,
    broken,
    family_ends,
    forced,
    margin,
    offers_of,
    policies,
    situations,
)


@st.composite
def moves(draw):
    """A situation, and a price of which some rule may speak."""
    found = draw(situations())
    _, target = forced(found)
    said = [
        found.current,
        *(found.lowest,) * (found.lowest > 0),
        *(band(found) or ()),
        *(int(end) for end in family_ends(found) or ()),
        *((target,) * (target is not None)),
    ]
    return found, draw(
        st.integers(1, 100_000) | st.sampled_from(said).flatmap(lambda p: st.sampled_from([p, p + 1, p or 1]))
    )


@given(st.lists(moves(), min_size=1, max_size=8))
def test_the_guards_name_the_first_rule_that_a_price_breaks(found):
    offers = offers_of(*(situation for situation, _ in found))
    verdicts = judge(PRICE_RULES, offers, np.array([price for _, price in found]))
    for i, (situation, price) in enumerate(found):
        assert CODES[verdicts.code[i]] == (broken(situation, price) or ["legal"])[0]


@pytest.mark.parametrize(
    ("policy", "price", "code", "limit", "value"),
    [
        ({"floor": 1250}, 1249, "floor", 1250, 1249),
        ({"ceiling": 1350}, 1351, "ceiling", 1350, 1351),
        ({"unit_cost": 1000, "min_margin_bp": 2000}, 1249, "minimum_margin", 1250, 1249),
        ({"map_price": 1250}, 1249, "map", 1250, 1249),
        ({"max_step_bp": 100}, 1314, "maximum_step", 13, 14),
        ({"max_daily_change_bp": 100}, 1314, "maximum_daily_change", 100, 14),
        ({"ending": 99, "ending_modulus": 100}, 1314, "price_ending", 99, 1314),
        ({"min_change_bp": 200}, 1314, "minimum_change", 26, 14),
        ({}, 1300, "minimum_change", 7, 0),
        ({"emergency_price": 1200, "max_emergency_rise_bp": 833}, 1300, "emergency_cap", 1299, 1300),
        ({"max_step_bp": 10_000, "floor": 1}, 129, "maximum_jump", 1300, 129),
        ({"reductions": c.ANNOUNCED_OR_HELD}, 1290, "prior_price", 1280, 1290),
        ({"competitor_rule": c.UNDERCUT, "competitor_bp": 100}, 1314, "competitors", 1250, 1314),
        ({"family": 1, "max_family_spread_bp": 333}, 1301, "family_spread", 1291, 1301),
        ({"family": 1, "max_family_spread_bp": 333}, 1258, "family_spread", 1259, 1258),
        ({"promotion_price": 1100, "promotion_from": T0, "promotion_to": T0 + 1}, 1101, "promotion", 1100, 1101),
    ],
)
def test_a_denial_carries_code_limit_and_value(policy, price, code, limit, value):
    situation = Situation(POLICY | policy, 1300, [1300], [Rival(1250)], 1280, others=(1250, 1300))
    verdict = judge(PRICE_RULES, offers_of(situation), np.array([price]))
    assert (CODES[verdict.code[0]], verdict.limit[0], verdict.value[0]) == (code, limit, value)


LASTING = {"promotion_from": T0, "promotion_to": T0 + 1}
NAMED = {"heeds_all": False, "competitors": [7] + [0] * 7}


@pytest.mark.parametrize(
    ("policy", "state", "code", "limit", "value"),
    [
        ({"removed": True}, {}, "no_policy", c.NONE, c.NONE),
        ({"mode": c.PAUSED}, {}, "paused", c.NONE, c.NONE),
        ({"mode": 7}, {}, "paused", c.NONE, c.NONE),  # a mode that nobody knows changes no price
        ({}, {"currency": USD}, "currency_mismatch", 978, 840),
        ({"unit_cost": 1900, "min_margin_bp": 1000}, {}, "contradictory_bounds", 2000, 2112),
        ({"map_price": 2001}, {}, "contradictory_bounds", 2000, 2001),
        ({"emergency_price": 899, "max_emergency_rise_bp": 0}, {}, "contradictory_bounds", 899, 900),
        (LASTING | {"promotion_price": 899}, {}, "contradictory_bounds", 900, 899),
        (LASTING | {"promotion_price": 2001}, {}, "contradictory_bounds", 2000, 2001),
        (LASTING | {"promotion_price": 2001, "promotion_to": T0}, {}, "legal", c.NONE, c.NONE),  # it is over
        (LASTING | {"promotion_price": 1300}, {"on_hand": 0}, "promotion", 1300, 1300),
        ({}, {"pending": 1, "decided_at": T0 - 5}, "pending_acknowledgement", c.NONE, 5),
        ({}, {"on_hand": 0}, "stock_out", 1, 0),
        ({"max_stock_age_ms": HOUR}, {"stock_at": T0 - HOUR - 1}, "stale_input", HOUR, HOUR + 1),
        ({"max_stock_age_ms": HOUR}, {"stock_at": T0 - HOUR}, "legal", c.NONE, c.NONE),
        ({"max_stock_age_ms": HOUR}, {}, "stale_input", HOUR, c.NONE),  # never counted
        ({"max_competitor_age_ms": HOUR}, {}, "stale_input", HOUR, c.NONE),
        ({"max_competitor_age_ms": HOUR}, {"rival_seen_at": T0 - 2 * HOUR}, "stale_input", HOUR, 2 * HOUR),
        ({"max_competitor_age_ms": HOUR}, {"rival_seen_at": T0}, "legal", c.NONE, c.NONE),
        ({"family": 1, "max_family_spread_bp": 0}, {}, "legal", c.NONE, c.NONE),
        (NAMED | {"max_competitor_age_ms": HOUR}, {"rival": 8, "rival_seen_at": T0}, "stale_input", HOUR, c.NONE),
        (NAMED | {"max_competitor_age_ms": HOUR}, {"rival": 7, "rival_seen_at": T0}, "legal", c.NONE, c.NONE),
        ({}, {"last_change_at": T0 - 1}, "cooldown", HOUR, 1),
        ({}, {"last_change_at": T0 - HOUR}, "legal", c.NONE, c.NONE),
    ],
)
def test_conditions(policy, state, code, limit, value):
    offers = offers_of((POLICY | policy, 1300, [1300]))
    for name, found in state.items():
        offers.state[name] = found
    verdict = judge(CONDITIONS, offers, offers.current)
    assert (CODES[verdict.code[0]], verdict.limit[0], verdict.value[0]) == (code, limit, value)


@pytest.mark.parametrize(("policy", "code"), [({}, "family_unknown"), ({"floor": 1400}, "legal")])
def test_while_other_members_are_not_known_only_what_must_move_moves(policy, code):
    offers = offers_of((POLICY | {"family": 1, "max_family_spread_bp": 0} | policy, 1300, [1300]))
    offers.policy["family_count"] = c.NONE
    assert CODES[judge(CONDITIONS, offers, offers.current).code[0]] == code


def test_where_the_shard_is_halted_prices_stay():
    offers = offers_of((POLICY, 1300, [1300]), mode=HALTED)
    assert CODES[judge(CONDITIONS, offers, offers.current).code[0]] == "halted"


@pytest.mark.parametrize(
    ("state", "code"),
    [
        ({"on_hand": 0, "last_change_at": T0 - 1}, "legal"),  # the law does not wait for stock or cooldown
        ({"pending": 1}, "pending_acknowledgement"),
        ({"currency": USD}, "currency_mismatch"),
    ],
)
def test_a_price_out_of_bounds_is_repaired_unless_it_cannot_be_known(state, code):
    offers = offers_of((POLICY | {"floor": 1400, "max_stock_age_ms": 1}, 1300, [1300]))
    for name, found in state.items():
        offers.state[name] = found
    assert CODES[judge(CONDITIONS, offers, offers.current).code[0]] == code


@given(policies())
def test_the_margin_floor_is_the_smallest_price_with_the_margin(policy):
    if policy["min_margin_bp"] == c.NONE:
        return
    limit = margin_floor(
        margin_bp=policy["min_margin_bp"],
        tax_bp=policy["tax_rate_bp"] if policy["prices_include_tax"] else 0,
        commission_bp=policy["commission_bp"],
        cost=policy["unit_cost"],
        fixed_fee=policy["fixed_fee"],
    )

    def has_margin(price):
        return margin(policy, price) * 10_000 >= policy["min_margin_bp"]

    if limit == IMPOSSIBLE:
        assert not has_margin(10**30)
    else:
        assert has_margin(limit)
        assert limit == 1 or not has_margin(limit - 1)


def test_a_margin_of_everything_is_impossible_but_for_what_costs_nothing():
    free = {"margin_bp": 10_000, "tax_bp": 0, "commission_bp": 0, "cost": 0, "fixed_fee": 0}
    assert margin_floor(**free) == 1
    assert margin_floor(**free | {"cost": 1}) == IMPOSSIBLE
    assert margin_floor(**free | {"commission_bp": 1}) == IMPOSSIBLE


@given(
    changes=st.lists(st.tuples(st.integers(0, 3 * DAY), st.integers(1, 99)), min_size=1, max_size=20),
    later=st.integers(0, DAY),
)
def test_the_window_holds_every_price_of_the_last_day_and_none_from_before_thirty_hours(changes, later):
    window, prices, now = after_changes(sorted(changes), later)
    day, covered = prices(now - DAY), prices((now // BUCKET_MS - 4) * BUCKET_MS)
    assert window.lowest.min() <= min(day)
    assert window.highest.max() >= max(day)
    assert (window.lowest.min(), window.highest.max()) == (min(covered), max(covered))


@given(
    changes=st.lists(st.tuples(st.integers(0, 80 * DAY), st.integers(1, 99)), min_size=1, max_size=20),
    later=st.integers(0, 40 * DAY),
)
def test_the_lowest_price_of_the_month_is_that_of_thirty_days_or_of_three_more(changes, later):
    window, prices, now = after_changes(sorted(changes), later)
    covered = (now // BUCKET_MS // LONGER - 10) * LONGER * BUCKET_MS
    assert now - 33 * DAY < covered <= now - MONTH_MS
    assert window.month_lowest.min() == min(prices(covered)) <= min(prices(now - MONTH_MS))
    assert window.priced_since[0] == T0 + min(changes)[0]


def blank():
    state = State(1)
    state.clear(np.zeros(1, np.int64))
    return state.rows


def after_changes(changes, later):
    """The window after changes of (time, price), what was in effect since a time, and the time of the end."""
    window, price = Window.of(blank()), changes[0][1]
    for time, after in changes:
        window = rolled(window, np.array([price]), T0 + time)
        window = rolled(window, np.array([after]), T0 + time)
        price = after
    now = T0 + changes[-1][0] + later

    def in_effect_since(start):
        before = [p for t, p in changes if T0 + t <= start][-1:] or [changes[0][1]]
        return before + [p for t, p in changes if start < T0 + t <= now]

    return rolled(window, np.array([price]), now), in_effect_since, now


def test_codes_are_distinct_and_keep_their_numbers():
    assert len(set(CODES)) == len(CODES) < 256
    assert [CODES[number] for number in (0, 10, 22, 28)] == ["legal", "duplicate", "demand", "competitors"]
    assert {check.code for check in (*CONDITIONS, *PRICE_RULES)} <= set(CODES)
