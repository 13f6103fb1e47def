from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from schemas.decisions import PriceChanged
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms
from streams.catalog.rules import Standing, broken_bound, keeps_margin, reason_to_reject

NOW = 1_800_000_000_000
TIME = "2026-11-24T00:00:00.000Z"

POLICY = OfferPolicy(
    sku="A", channel="web", version=3, currency="EUR", unit_cost=600, list_price=1299, floor=900, ceiling=2000,
    updated_at=TIME, map_price=1000, min_margin_bp=2000, tax_rate_bp=1900, commission_bp=500,
)  # fmt: skip
CHANGE = PriceChanged(
    decision_id="0-7", sku="A", channel="web", version=5, price=1249, previous_price=1299, currency="EUR",
    policy_version=3, reason="demand", valid_from=TIME, expires_at=TIME,
)  # fmt: skip
STANDING = Standing(latest_version=4, manual_at=0, policy=POLICY)


def promoted(start, end):
    return replace(POLICY, promotion_price=1199, promotion_from=format_ms(start), promotion_to=format_ms(end))


CASES = [
    ("a legal change is shown", {}, {}, None),
    ("a version between two judged ones is late", {"version": 4}, {}, "older_version"),
    ("a person's price is newer than the decision", {}, {"manual_at": NOW}, "manual_price"),
    ("the merchant removed the policy", {}, {"policy": None}, "no_policy"),
    ("the merchant paused the offer", {}, {"policy": replace(POLICY, mode="paused")}, "not_automatic"),
    ("the merchant wants recommendations", {}, {"policy": replace(POLICY, mode="recommend")}, "not_automatic"),
    ("a person approved it", {}, {"policy": replace(POLICY, mode="approve")}, None),
    ("a person ordered a paused offer back", {"reason": "rollback"}, {"policy": replace(POLICY, mode="paused")}, None),
    ("not even a person orders it below the floor", {"price": 899, "reason": "rollback"}, {}, "floor"),
    ("another currency", {"currency": "USD"}, {}, "currency_mismatch"),
    ("below the floor", {"price": 899}, {}, "floor"),
    ("above the ceiling", {"price": 2001}, {}, "ceiling"),
    ("below the minimum margin", {"price": 950}, {}, "minimum_margin"),
    ("above what an emergency allows", {}, {"policy": replace(POLICY, emergency_price=1135)}, "emergency_cap"),
    ("not the promotion's price", {}, {"policy": promoted(NOW, NOW + 1)}, "promotion"),
    ("the promotion is over", {}, {"policy": promoted(NOW - 1, NOW)}, None),
    ("the promotion's price", {"price": 1199}, {"policy": promoted(NOW, NOW + 1)}, None),
    ("below the advertised minimum", {}, {"policy": replace(POLICY, map_price=1250)}, "map"),
]


@pytest.mark.parametrize(
    ("change", "standing", "reason"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_the_first_broken_rule_is_the_reason(change, standing, reason):
    changed, offer = replace(CHANGE, **change), STANDING._replace(**standing)
    assert reason_to_reject(changed, valid_from=NOW - 1, expires_at=NOW + 1, offer=offer, now=NOW) == reason


def test_a_change_expires_at_its_very_millisecond():
    assert reason_to_reject(CHANGE, NOW - 2, NOW, STANDING, now=NOW) == "expired"
    assert reason_to_reject(CHANGE, NOW - 2, NOW, STANDING, now=NOW - 1) is None


def test_a_bound_itself_is_legal():
    policy = replace(POLICY, map_price=None, min_margin_bp=None)
    assert broken_bound(policy, policy.floor, "EUR") is None
    assert broken_bound(policy, policy.ceiling, "EUR") is None


BP = st.integers(0, 10_000)
POLICIES = st.builds(
    replace, st.just(POLICY), unit_cost=st.integers(0, 10**13), fixed_fee=st.integers(0, 10**6), tax_rate_bp=BP,
    commission_bp=BP, min_margin_bp=BP, prices_include_tax=st.booleans(),
)  # fmt: skip


@given(POLICIES, st.integers(1, 10**13))
def test_the_margin_is_exact(policy, price):
    rate = Fraction(policy.tax_rate_bp, 10_000) if policy.prices_include_tax else 0
    net = price / Fraction(1 + rate)
    commission = price * Fraction(policy.commission_bp, 10_000)
    margin = (net - policy.unit_cost - policy.fixed_fee - commission) / net
    assert keeps_margin(policy, price) == (margin >= Fraction(policy.min_margin_bp, 10_000))
