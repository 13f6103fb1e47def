"""Candidate prices of each offer and the rule that forbids each: exact integers in minor units.

A normal move goes by a fixed share of the current price, is cut to the legal interval and rounded to the nearest
price with the wanted ending. An offer whose price is out of its static bounds has one candidate only: the nearest
legal price.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pricing_core.features import HOLD, MOVES_BP
from pricing_core.offers import Offers
from pricing_core.rules import CODE
from schemas.columns import Bool, Int8, Int64
from schemas.money import divide_half_even, ending_at_or_above, ending_at_or_below

A = len(MOVES_BP)
ONE = 10_000
"""In basis points."""

_SHARE = np.array([ONE + move for move in MOVES_BP])
_WHOLE = np.array(ONE)
_DOWN, _UP = 0, A - 1
_NEARER_HOLD = np.array([i + 1 if i < HOLD else max(i - 1, HOLD) for i in range(A)])


@dataclass(frozen=True, slots=True)
class Ladder:
    """Candidates of n offers."""

    prices: Int64
    """[n, A]; column `HOLD` is the current price."""
    masked: Int8
    """[n, A]: 0 where legal, else an index into `rules.RULES`."""
    lower: Int64
    """[n] legal interval, of all rules but the ending."""
    upper: Int64

    @property
    def legal(self) -> Bool:
        """[n, A]."""
        legal: Bool = self.masked == 0
        return legal


def build(offers: Offers) -> Ladder:
    """Make the candidates of n offers, all of which have a policy whose bounds do not contradict each other."""
    lower, upper = _interval(offers)
    prices = _rounded(offers, _targets(offers), lower, upper)
    prices[:, HOLD] = offers.current
    masked = _masks(offers, prices)
    repair = offers.out_of_bounds
    if repair.any():
        column = np.where(offers.current < offers.policy["low"], _UP, _DOWN)[repair]
        prices[repair, column] = repair_price(offers)[repair]
        masked[repair] = np.where(masked[repair] == 0, CODE["bounds_repair"], masked[repair])
        masked[repair, column] = 0
        lower, upper = np.where(repair, offers.policy["low"], lower), np.where(repair, offers.policy["high"], upper)
    return Ladder(prices, masked, lower, upper)


def repair_price(offers: Offers) -> Int64:
    """Legal price nearest to a current one that is out of bounds; with the ending if there is one inside, [n]."""
    policy = offers.policy
    low, high, ending, modulus = policy["low"], policy["high"], policy["ending"], policy["ending_modulus"]
    upwards = offers.current < low
    bound = np.where(upwards, low, high)
    ended = np.where(upwards, ending_at_or_above(low, ending, modulus), ending_at_or_below(high, ending, modulus))
    return np.where((low <= ended) & (ended <= high), ended, bound)


def step_bounds(offers: Offers) -> tuple[Int64, Int64]:
    """Prices p with |p - current| · 10⁴ ≤ max_step_bp · current, [n] each."""
    step = offers.policy["max_step_bp"] * offers.current // ONE
    return offers.current - step, offers.current + step


def daily_bounds(offers: Offers) -> tuple[Int64, Int64]:
    """Prices p with |p - q| · 10⁴ ≤ max_daily_change_bp · q for every price q lately in effect, [n] each.

    Both bounds grow with q, so the highest and the lowest q speak for all.
    """
    share = offers.policy["max_daily_change_bp"]
    lowest, highest = offers.lowest.min(axis=1), offers.highest.max(axis=1)
    return highest - share * highest // ONE, lowest + share * lowest // ONE


def _interval(offers: Offers) -> tuple[Int64, Int64]:
    step_low, step_high = step_bounds(offers)
    daily_low, daily_high = daily_bounds(offers)
    lower = np.maximum(np.maximum(offers.policy["low"], step_low), daily_low)
    return lower, np.minimum(np.minimum(offers.policy["high"], step_high), daily_high)


def _targets(offers: Offers) -> Int64:
    targets: Int64 = divide_half_even(offers.current[:, None] * _SHARE, _WHOLE)
    return targets


def _rounded(offers: Offers, target: Int64, lower: Int64, upper: Int64) -> Int64:
    """Cut to the interval on the move's own side of the current price, then round to the nearest ending inside.

    Where there is none inside, the result lies outside of the interval, and a rule masks it.
    """
    ending, modulus = offers.policy["ending"][:, None], offers.policy["ending_modulus"][:, None]
    current, downwards = offers.current[:, None], np.arange(A) < HOLD
    low = np.where(downwards, lower[:, None], np.maximum(lower[:, None], current))
    high = np.where(downwards, np.minimum(upper[:, None], current), upper[:, None])
    cut = np.where(downwards, np.minimum(np.maximum(target, low), high), np.maximum(np.minimum(target, high), low))
    below, above = ending_at_or_below(cut, ending, modulus), ending_at_or_above(cut, ending, modulus)
    nearest = np.where(cut - below <= above - cut, below, above)
    first, last = ending_at_or_above(low, ending, modulus), ending_at_or_below(high, ending, modulus)
    return np.where(first <= last, np.clip(nearest, first, last), np.where(downwards, below, above))


def _masks(offers: Offers, prices: Int64) -> Int8:
    """The first rule that forbids each candidate, by precedence. To hold is always allowed."""
    policy = offers.policy[:, None]
    current = offers.current[:, None]
    step_low, step_high = step_bounds(offers)
    daily_low, daily_high = daily_bounds(offers)
    small = (abs(prices - current) * ONE < policy["min_change_bp"] * current) | (prices == current)
    broken = (
        ("floor", prices < policy["floor"]),
        ("ceiling", prices > policy["ceiling"]),
        ("minimum_margin", prices < policy["margin_floor"]),
        ("map", prices < policy["map_price"]),  # NONE is below all prices
        ("maximum_step", (prices < step_low[:, None]) | (prices > step_high[:, None])),
        ("maximum_daily_change", (prices < daily_low[:, None]) | (prices > daily_high[:, None])),
        ("price_ending", (prices - policy["ending"]) % policy["ending_modulus"] != 0),
        ("minimum_change", small),
        ("duplicate", prices == prices[:, _NEARER_HOLD]),
    )
    masked = np.zeros(prices.shape, np.int8)
    for rule, where in reversed(broken):
        masked[where] = CODE[rule]
    masked[:, HOLD] = 0
    return masked
