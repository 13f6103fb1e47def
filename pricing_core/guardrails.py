"""The guards: a visible chain of named checks in front of every decision and behind every chosen price.

`CONDITIONS` say whether an offer may be decided at all, `PRICE_RULES` judge the price that was chosen. The rules
are written from the policy's own numbers and not from the ladder's intervals, so that a fault there cannot pass
here. What is not known to be allowed is not allowed. All comparisons are exact: integers in minor units,
basis points or ms.
"""

from __future__ import annotations

import numpy as np

from pricing_core import rivals
from pricing_core.checks import PASSED, Check, Finding, Verdicts, judge
from pricing_core.conditions import CONDITIONS
from pricing_core.offers import Offers, age, in_promotion
from pricing_core.price_window import MONTH_MS
from pricing_core.rules import CODES, MAX_JUMP, PROMOTION_OVER, ROLLBACK
from pricing_core.run_modes import HELD_OUT, REDUCING
from schemas.columns import ANNOUNCED_OR_HELD, APPROVE, FREE, MATCH, NONE, UNDERCUT, WITHIN, Bool, Int64

__all__ = ["CODES", "CONDITIONS", "PASSED", "PRICE_RULES", "Check", "Finding", "Verdicts", "judge"]

ONE = 10_000
"""In basis points."""


def _reducing(offers: Offers, price: Int64) -> Finding:
    """Anywhere but nearer to the list price, on the same side of it."""
    reducing = offers.mode == REDUCING
    if not reducing.any():
        return Finding(reducing, NONE, NONE)
    return Finding(reducing & ~_is_nearer_to_list(offers, price), offers.policy["list_price"], price)


def _held_out(offers: Offers, price: Int64) -> Finding:
    """Anywhere but nearer to the list price, on the same side of it."""
    held_out = offers.mode == HELD_OUT
    return Finding(held_out & ~_is_nearer_to_list(offers, price), offers.policy["list_price"], price)


def _is_nearer_to_list(offers: Offers, price: Int64) -> Bool:
    wanted, current = offers.policy["list_price"], offers.current
    nearer: Bool = np.where(
        current > wanted, (wanted <= price) & (price < current), (current < price) & (price <= wanted)
    )
    return nearer


def _emergency_cap(offers: Offers, price: Int64) -> Finding:
    before, rise = offers.policy["emergency_price"], offers.policy["max_emergency_rise_bp"]
    declared = before != NONE
    if not declared.any():
        return Finding(declared, NONE, NONE)
    limit = before * (ONE + rise)
    return Finding(declared & (price * ONE > limit), limit // ONE, price)


def _prior_price(offers: Offers, price: Int64) -> Finding:
    """98/6/EC, Art. 6a: what is announced as a reduction is one from the lowest price of the last 30 days."""
    strict = (offers.policy["reductions"] == ANNOUNCED_OR_HELD) & (price < offers.current)
    if not strict.any():
        return Finding(strict, NONE, NONE)
    known = age(offers.now, offers.window.priced_since)
    lowest = offers.window.month_lowest.min(axis=1)
    short = known < MONTH_MS
    violated = strict & (short | (price >= lowest))
    return Finding(violated, np.where(short, MONTH_MS, lowest), np.where(short, known, price))


def _floor(offers: Offers, price: Int64) -> Finding:
    return Finding(price < offers.policy["floor"], offers.policy["floor"], price)


def _ceiling(offers: Offers, price: Int64) -> Finding:
    return Finding(price > offers.policy["ceiling"], offers.policy["ceiling"], price)


def _minimum_margin(offers: Offers, price: Int64) -> Finding:
    # Exact: computed in fractions when the policy came (`policy_table.margin_floor`).
    return Finding(price < offers.policy["margin_floor"], offers.policy["margin_floor"], price)


def _map(offers: Offers, price: Int64) -> Finding:
    limit = offers.policy["map_price"]
    return Finding((limit != NONE) & (price < limit), limit, price)


def _maximum_jump(offers: Offers, price: Int64) -> Finding:
    return Finding((price > offers.current * MAX_JUMP) | (price * MAX_JUMP < offers.current), offers.current, price)


def _promotion(offers: Offers, price: Int64) -> Finding:
    """Inside the window the promotion's price, on the way back that before it or the nearest bound."""
    inside, back = in_promotion(offers.policy, offers.now), offers.must == PROMOTION_OVER
    resumed = np.clip(offers.state["regular_price"], offers.policy["low"], offers.policy["high"])
    wanted = np.where(inside, offers.policy["promotion_price"], resumed)
    return Finding((inside | back) & (price != wanted), wanted, price)


def _rollback(offers: Offers, price: Int64) -> Finding:
    """To where a person has ordered the price back, or to the nearest bound."""
    wanted = np.clip(offers.state["command_value"], offers.policy["low"], offers.policy["high"])
    return Finding((offers.must == ROLLBACK) & (price != wanted), wanted, price)


def _approved(offers: Offers, price: Int64) -> Finding:
    """The price that a person has approved, and no other."""
    wanted = offers.state["proposed_price"]
    return Finding((offers.state["command"] == APPROVE) & (price != wanted), wanted, price)


def _family_spread(offers: Offers, price: Int64) -> Finding:
    """A raise that ends too far above the family's cheapest other member, or a cut too far below the dearest one."""
    ruled = _heeds_family(offers)
    if not ruled.any():
        return Finding(ruled, NONE, NONE)
    least, most = _family_limits(offers)
    dearer, cheaper = (price > offers.current) & (price > most), (price < offers.current) & (price < least)
    return Finding(ruled & (dearer | cheaper), np.where(dearer, most, least), price)


def _heeds_family(offers: Offers) -> Bool:
    heeds: Bool = (offers.policy["family"] != 0) & (offers.policy["family_count"] > 0)
    return heeds


def _family_limits(offers: Offers) -> tuple[Int64, Int64]:
    """Smallest p with p · (10⁴ + spread) ≥ dearest · 10⁴, largest p with p · 10⁴ ≤ cheapest · (10⁴ + spread)."""
    whole = ONE + offers.policy["max_family_spread_bp"]
    return -(-offers.policy["family_high"] * ONE // whole), offers.policy["family_low"] * whole // ONE


def _competitors(offers: Offers, price: Int64) -> Finding:
    """Away from where the price must lie beside the cheapest competitor's, further than bounds and family ask for."""
    rule, low, high = offers.policy["competitor_rule"], offers.policy["low"], offers.policy["high"]
    if not rule.any():
        return Finding(rule != FREE, NONE, NONE)
    heeds = _heeds_family(offers)
    if heeds.any():
        limits = _family_limits(offers)
        low = np.where(heeds, np.maximum(low, np.minimum(*limits)), low)
        high = np.where(heeds, np.minimum(high, np.maximum(*limits)), high)
    theirs, known, *_ = rivals.cheapest(offers)
    share = np.where(rule == MATCH, 0, offers.policy["competitor_bp"])
    above = np.where(rule == WITHIN, price * ONE > theirs * (ONE + share), price * ONE > theirs * (ONE - share))
    below = (rule != UNDERCUT) & (price * ONE < theirs * (ONE - share))
    dearer = above & (price > offers.current) & (price > low)
    cheaper = below & (price < offers.current) & (price < high)
    ruled = known & (rule != FREE) & (offers.mode != HELD_OUT)
    return Finding(ruled & (dearer | cheaper), theirs, price)


def _maximum_step(offers: Offers, price: Int64) -> Finding:
    limit, moved = offers.policy["max_step_bp"] * offers.current, abs(price - offers.current)
    return Finding(moved * ONE > limit, limit // ONE, moved)


def _maximum_daily_change(offers: Offers, price: Int64) -> Finding:
    in_effect = np.concatenate((offers.window.lowest, offers.window.highest), axis=1)
    change, share = abs(price[:, None] - in_effect), offers.policy["max_daily_change_bp"]
    return Finding(np.any(change * ONE > share[:, None] * in_effect, axis=1), share, change.max(axis=1))


def _price_ending(offers: Offers, price: Int64) -> Finding:
    ending, modulus = offers.policy["ending"], offers.policy["ending_modulus"]
    return Finding((modulus > 1) & (price % modulus != ending), ending, price)


def _minimum_change(offers: Offers, price: Int64) -> Finding:
    limit, moved = offers.policy["min_change_bp"] * offers.current, abs(price - offers.current)
    return Finding((moved * ONE < limit) | (moved == 0), -(-limit // ONE), moved)


PRICE_RULES = (
    Check("reducing", _reducing),
    Check("held_out", _held_out),
    Check("emergency_cap", _emergency_cap),
    Check("prior_price", _prior_price),
    Check("floor", _floor),
    Check("ceiling", _ceiling),
    Check("minimum_margin", _minimum_margin),
    Check("map", _map),
    Check("maximum_jump", _maximum_jump),
    Check("promotion", _promotion),
    Check("rollback", _rollback),
    Check("approved", _approved),
    Check("family_spread", _family_spread),
    Check("competitors", _competitors),
    Check("maximum_step", _maximum_step),
    Check("maximum_daily_change", _maximum_daily_change),
    Check("price_ending", _price_ending),
    Check("minimum_change", _minimum_change),
)
