"""The guards: a visible chain of named checks in front of every decision and behind every chosen price.

`CONDITIONS` say whether an offer may be decided at all, `PRICE_RULES` judge the price that was chosen. The rules
are written from the policy's own numbers and not from the ladder's intervals, so that a fault there cannot pass
here. What is not known to be allowed is not allowed. All comparisons are exact: integers in minor units,
basis points or ms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pricing_core import rivals
from pricing_core.offers import Offers, age, in_promotion
from pricing_core.price_window import MONTH_MS
from pricing_core.rules import CODE, CODES, MAX_JUMP, PROMOTION_OVER, WAIVED
from schemas.columns import ANNOUNCED_OR_HELD, AUTO, FREE, MATCH, NONE, RECOMMEND, UNDERCUT, WITHIN, Bool, Int8, Int64

__all__ = ["CODES", "CONDITIONS", "PASSED", "PRICE_RULES", "Check", "Finding", "Verdicts", "judge"]

PASSED = 0
ONE = 10_000
"""In basis points."""


class Finding(NamedTuple):
    """What one check found for n offers: [n] each, or one value for all."""

    violated: Bool
    limit: Int64 | int
    value: Int64 | int


class Check(NamedTuple):
    """A named test of n offers and the price proposed for each."""

    code: str
    test: Callable[[Offers, Int64], Finding]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The first violated check of each of n offers."""

    code: Int8
    """[n] index into `rules.CODES`; `PASSED` if nothing is violated."""
    limit: Int64
    value: Int64


# May this offer be decided?


def _no_policy(offers: Offers, _: Int64) -> Finding:
    return Finding(~offers.policy["present"], NONE, NONE)


def _halted(offers: Offers, _: Int64) -> Finding:
    return Finding(~offers.active, NONE, NONE)


def _paused(offers: Offers, _: Int64) -> Finding:
    mode = offers.policy["mode"]
    return Finding((mode != AUTO) & (mode != RECOMMEND), NONE, NONE)


def _currency_mismatch(offers: Offers, _: Int64) -> Finding:
    ours, theirs = offers.state["currency"].astype(np.int64), offers.policy["currency"]
    return Finding(ours != theirs, theirs, ours)


def _contradictory_bounds(offers: Offers, _: Int64) -> Finding:
    """Low above high; or a promotion outside of both, however many reductions went into its price."""
    low, high, wanted = offers.policy["low"], offers.policy["high"], offers.policy["promotion_price"]
    inside, below = in_promotion(offers.policy, offers.now), wanted < low
    astray = inside & (below | (wanted > high))
    empty = low > high
    limit = np.where(empty, high, np.where(below, low, high))
    return Finding(empty | astray, limit, np.where(empty, low, wanted))


def _pending_acknowledgement(offers: Offers, _: Int64) -> Finding:
    return Finding(offers.state["pending"] != 0, NONE, age(offers.now, offers.state["decided_at"]))


def _promotion_stands(offers: Offers, _: Int64) -> Finding:
    wanted = offers.policy["promotion_price"]
    return Finding(in_promotion(offers.policy, offers.now) & (offers.current == wanted), wanted, offers.current)


def _stock_out(offers: Offers, _: Int64) -> Finding:
    return Finding(offers.state["on_hand"] == 0, 1, 0)


def _stale_stock(offers: Offers, _: Int64) -> Finding:
    return _stale(offers.policy["max_stock_age_ms"], age(offers.now, offers.state["stock_at"]))


def _stale_competitors(offers: Offers, _: Int64) -> Finding:
    return _stale(offers.policy["max_competitor_age_ms"], age(offers.now, rivals.newest(offers)))


def _stale(limit: Int64, found: Int64) -> Finding:
    return Finding((limit != NONE) & ((found == NONE) | (found > limit)), limit, found)


def _cooldown(offers: Offers, _: Int64) -> Finding:
    since, limit = age(offers.now, offers.state["last_change_at"]), offers.policy["cooldown_ms"]
    return Finding((since != NONE) & (since < limit), limit, since)


CONDITIONS = (
    Check("no_policy", _no_policy),
    Check("halted", _halted),
    Check("paused", _paused),
    Check("currency_mismatch", _currency_mismatch),
    Check("contradictory_bounds", _contradictory_bounds),
    Check("pending_acknowledgement", _pending_acknowledgement),
    Check("promotion", _promotion_stands),
    Check("stock_out", _stock_out),
    Check("stale_input", _stale_stock),
    Check("stale_input", _stale_competitors),
    Check("cooldown", _cooldown),
)


# May this price be set?


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


def _competitors(offers: Offers, price: Int64) -> Finding:
    """Away from where the price must lie beside the cheapest competitor's, further than static bounds ask for."""
    rule, low, high = offers.policy["competitor_rule"], offers.policy["low"], offers.policy["high"]
    if not rule.any():
        return Finding(rule != FREE, NONE, NONE)
    theirs, known, *_ = rivals.cheapest(offers)
    share = np.where(rule == MATCH, 0, offers.policy["competitor_bp"])
    above = np.where(rule == WITHIN, price * ONE > theirs * (ONE + share), price * ONE > theirs * (ONE - share))
    below = (rule != UNDERCUT) & (price * ONE < theirs * (ONE - share))
    dearer = above & (price > offers.current) & (price > low)
    cheaper = below & (price < offers.current) & (price < high)
    return Finding(known & (rule != FREE) & (dearer | cheaper), theirs, price)


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
    Check("emergency_cap", _emergency_cap),
    Check("prior_price", _prior_price),
    Check("floor", _floor),
    Check("ceiling", _ceiling),
    Check("minimum_margin", _minimum_margin),
    Check("map", _map),
    Check("maximum_jump", _maximum_jump),
    Check("promotion", _promotion),
    Check("competitors", _competitors),
    Check("maximum_step", _maximum_step),
    Check("maximum_daily_change", _maximum_daily_change),
    Check("price_ending", _price_ending),
    Check("minimum_change", _minimum_change),
)


def judge(chain: tuple[Check, ...], offers: Offers, price: Int64) -> Verdicts:
    """Find the first violated check of each offer.

    Args:
        chain: Checks, the first one counting most.
        offers: n offers.
        price: [n] proposed for each.
    """
    n = len(offers)
    verdicts = Verdicts(np.zeros(n, np.int8), np.full(n, NONE, np.int64), np.full(n, NONE, np.int64))
    forced = offers.must.any()
    for check in chain:
        violated, limit, value = check.test(offers, price)
        new = violated & (verdicts.code == PASSED)
        if check.code in WAIVED and forced:
            new &= ~np.isin(offers.must, WAIVED[check.code])
        if new.any():
            verdicts.code[new] = CODE[check.code]
            verdicts.limit[new] = np.broadcast_to(limit, n)[new]
            verdicts.value[new] = np.broadcast_to(value, n)[new]
    return verdicts
