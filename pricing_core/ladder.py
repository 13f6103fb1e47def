"""Candidate prices of each offer and the rule that forbids each: exact integers in minor units.

A normal move goes by a fixed share of the current price, is cut to the legal interval and rounded to the nearest
price with the wanted ending. An offer whose price must move has one candidate only: the nearest price inside of its
static bounds, its promotion's, that before the promotion, or the nearest one where it must lie beside the other members
of its family, or beside competitors'.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pricing_core.family_room import Room, family_room
from pricing_core.features import HOLD, MOVES_BP
from pricing_core.offers import Offers, resumed_price
from pricing_core.policy_table import IMPOSSIBLE, emergency_cap
from pricing_core.price_window import MONTH_MS
from pricing_core.rules import CODE, FORCED, MAX_JUMP, PROMOTION, WAIVED
from pricing_core.run_modes import HELD_OUT, REDUCING
from pricing_core.wanted_band import Band, wanted_band
from schemas.columns import ANNOUNCED_OR_HELD, APPROVE, NONE, Bool, Int8, Int64
from schemas.money import divide_half_even, divide_up, ending_at_or_above, ending_at_or_below

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
    """[n, A]: 0 where legal, else an index into `rules.CODES`."""
    lower: Int64
    """[n] legal interval, of all rules but the ending and the prior price."""
    upper: Int64
    only: Int64
    """[n] the only candidate of an offer whose price must move; `NONE` where the model chooses."""

    @property
    def legal(self) -> Bool:
        """[n, A]."""
        legal: Bool = self.masked == 0
        return legal


def build(offers: Offers) -> Ladder:
    """Make the candidates of n offers, all of which have a policy whose bounds do not contradict each other."""
    room = family_room(offers)
    band = wanted_band(offers, room)
    lower, upper = _interval(offers, band, room)
    prices = _rounded(offers, _targets(offers), lower, upper)
    prices[:, HOLD] = offers.current
    target, why = _only_price(offers, band, room, lower, upper)
    rows = np.flatnonzero(why)
    only = np.full(len(offers), NONE)
    only[rows] = np.where(target < offers.current, _DOWN, _UP)[rows]
    prices[rows, only[rows]] = target[rows]
    masked = _masks(offers, prices, band, room)
    if len(rows):
        _leave_one(masked, rows, only[rows], why[rows])
        lower, upper = _forced_interval(offers, lower, upper)
    return Ladder(prices, masked, lower, upper, only)


def _only_price(offers: Offers, band: Band, room: Room | None, lower: Int64, upper: Int64) -> tuple[Int64, Int64]:
    """The only candidate of each offer, [n], and why: an index into `rules.CODES`; 0 where there are others."""
    target, why = offers.current, offers.must.copy()
    held_out = offers.mode == HELD_OUT
    if offers.policy["competitor_rule"].any() or held_out.any() or room is not None:
        target = _towards_band(offers, band, lower, upper)
        moves = (why == 0) & (target != offers.current)
        apart = False if room is None else room.nearest(offers.current) != offers.current
        beside = np.where(apart, CODE["family_spread"], CODE["competitors"])
        why[moves] = np.where(held_out, CODE["held_out"], beside)[moves]
    if offers.must.any():
        forced = (repair_price(offers), offers.policy["promotion_price"], resumed_price(offers.state, offers.policy))
        said = (_rollback_price(offers), offers.state["proposed_price"])
        target = np.select([offers.must == code for code in FORCED], (*forced, *said), target)
        target = np.where(offers.state["command"] == APPROVE, offers.state["proposed_price"], target)
    return target, why


def _leave_one(masked: Int8, rows: Int64, only: Int64, why: Int64) -> None:
    """Mask all candidates of some rows but one each, which may be masked by another rule already."""
    kept = masked[rows, only]
    masked[rows] = np.where(masked[rows] == 0, why[:, None], masked[rows])
    masked[rows, only] = np.where(kept == CODE["duplicate"], 0, kept)


def _forced_interval(offers: Offers, lower: Int64, upper: Int64) -> tuple[Int64, Int64]:
    """What the law leaves an offer whose price must move: its static bounds, or the promotion's price."""
    must, policy = offers.must, offers.policy
    promoted, moving = must == PROMOTION, must != 0
    lower = np.where(promoted, policy["promotion_price"], np.where(moving, policy["low"], lower))
    return lower, np.where(promoted, policy["promotion_price"], np.where(moving, policy["high"], upper))


def repair_price(offers: Offers) -> Int64:
    """Legal price nearest to a current one that is out of bounds; with the ending if there is one inside, [n]."""
    policy = offers.policy
    low, high, ending, modulus = policy["low"], policy["high"], policy["ending"], policy["ending_modulus"]
    upwards = offers.current < low
    bound = np.where(upwards, low, high)
    ended = np.where(upwards, ending_at_or_above(low, ending, modulus), ending_at_or_below(high, ending, modulus))
    return np.where((low <= ended) & (ended <= high), ended, bound)


def _rollback_price(offers: Offers) -> Int64:
    """Price to go back to, or the legal one nearest to it: better half of the way back than none, [n]."""
    price: Int64 = np.minimum(np.maximum(offers.state["command_value"], offers.policy["low"]), offers.policy["high"])
    return price


def _towards_band(offers: Offers, band: Band, lower: Int64, upper: Int64) -> Int64:
    """The way into the wanted band, as far as it goes: with the ending, and inside if that can be; [n].

    The current price where that lies inside, or where no legal one is nearer.
    """
    current, ending, modulus = offers.current, offers.policy["ending"], offers.policy["ending_modulus"]
    above_band, below_band = current > band.most, current < band.least
    down, up = np.minimum(np.maximum(band.most, lower), upper), np.maximum(np.minimum(band.least, upper), lower)
    below, above = ending_at_or_below(down, ending, modulus), ending_at_or_above(up, ending, modulus)
    cut = np.where(below >= lower, below, ending_at_or_above(down, ending, modulus))
    raised = np.where(above <= upper, above, ending_at_or_below(up, ending, modulus))
    target = np.where(above_band, np.minimum(cut, current), np.where(below_band, np.maximum(raised, current), current))
    return np.where((lower <= target) & (target <= upper), target, current)


def step_bounds(offers: Offers) -> tuple[Int64, Int64]:
    """Prices p with |p - current| · 10⁴ ≤ max_step_bp · current, [n] each."""
    step = offers.policy["max_step_bp"] * offers.current // ONE
    return offers.current - step, offers.current + step


def daily_bounds(offers: Offers) -> tuple[Int64, Int64]:
    """Prices p with |p - q| · 10⁴ ≤ max_daily_change_bp · q for every price q lately in effect, [n] each.

    Both bounds grow with q, so the highest and the lowest q speak for all.
    """
    share = offers.policy["max_daily_change_bp"]
    lowest, highest = offers.window.lowest.min(axis=1), offers.window.highest.max(axis=1)
    return highest - share * highest // ONE, lowest + share * lowest // ONE


def _interval(offers: Offers, band: Band, room: Room | None) -> tuple[Int64, Int64]:
    """Legal prices of a move that nothing forces; beside others' prices, none further out than the current one."""
    step_low, step_high = step_bounds(offers)
    daily_low, daily_high = daily_bounds(offers)
    least, most = np.minimum(band.least, offers.current), np.maximum(band.most, offers.current)
    lower = np.maximum(np.maximum(np.maximum(offers.policy["low"], step_low), daily_low), least)
    upper = np.minimum(np.minimum(np.minimum(offers.policy["high"], step_high), daily_high), most)
    if room is not None:
        family_low, family_high = room.reachable(offers.current)
        lower, upper = np.maximum(lower, family_low), np.minimum(upper, family_high)
    return _not_beyond_list(offers, lower, upper)


def _not_beyond_list(offers: Offers, lower: Int64, upper: Int64) -> tuple[Int64, Int64]:
    """While prices may only go back to the list price, no move goes farther. A mask forbids those away from it."""
    reducing = offers.mode == REDUCING
    if not reducing.any():
        return lower, upper
    wanted, current = offers.policy["list_price"], offers.current
    lower = np.where(reducing & (current > wanted), np.maximum(lower, wanted), lower)
    return lower, np.where(reducing & (current < wanted), np.minimum(upper, wanted), upper)


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


def _masks(offers: Offers, prices: Int64, band: Band, room: Room | None) -> Int8:
    """The first rule that forbids each candidate, by precedence. To hold is always allowed."""
    policy = offers.policy[:, None]
    current = offers.current[:, None]
    step_low, step_high = step_bounds(offers)
    daily_low, daily_high = daily_bounds(offers)
    small = (abs(prices - current) * ONE < policy["min_change_bp"] * current) | (prices == current)
    broken = (
        ("reducing", _not_nearer_to_list(offers, prices)),
        ("held_out", _away_from_list(band, offers, prices)),
        ("emergency_cap", _over_emergency_cap(offers, prices)),
        ("prior_price", _not_to_be_announced(offers, prices)),
        ("floor", prices < policy["floor"]),
        ("ceiling", prices > policy["ceiling"]),
        ("minimum_margin", prices < policy["margin_floor"]),
        ("map", prices < policy["map_price"]),  # NONE is below all prices
        ("maximum_jump", (prices > current * MAX_JUMP) | (prices < divide_up(current, np.array(MAX_JUMP)))),
        ("family_spread", None if room is None else room.forbids(current, prices)),
        ("competitors", _away_from(band, offers, prices)),
        ("maximum_step", (prices < step_low[:, None]) | (prices > step_high[:, None])),
        ("maximum_daily_change", (prices < daily_low[:, None]) | (prices > daily_high[:, None])),
        ("price_ending", (prices - policy["ending"]) % policy["ending_modulus"] != 0),
        ("minimum_change", small),
        ("duplicate", prices == prices[:, _NEARER_HOLD]),
    )
    masked = np.zeros(prices.shape, np.int8)
    forced = offers.must.any()
    for rule, where in reversed(broken):
        if where is None:
            continue
        if forced and rule in WAIVED:
            where = where & ~np.isin(offers.must, WAIVED[rule])[:, None]  # noqa: PLW2901  # what is left of it
        masked[where] = CODE[rule]
    masked[:, HOLD] = 0
    return masked


# Rules that few policies have: None where none of these offers has one.


def _not_nearer_to_list(offers: Offers, prices: Int64) -> Bool | None:
    """Of offers whose prices may only go back to the list price: anywhere else, [n, A]."""
    reducing = offers.mode == REDUCING
    if not reducing.any():
        return None
    wanted, current = offers.policy["list_price"][:, None], offers.current[:, None]
    outside = (prices < np.minimum(wanted, current)) | (prices > np.maximum(wanted, current))
    not_nearer: Bool = reducing[:, None] & (outside | (prices == current))
    return not_nearer


def _over_emergency_cap(offers: Offers, prices: Int64) -> Bool | None:
    cap = emergency_cap(offers.policy)
    return prices > cap[:, None] if (cap < IMPOSSIBLE).any() else None


def _away_from_list(band: Band, offers: Offers, prices: Int64) -> Bool | None:
    """Of offers that are held out: not nearer to the list price than the current one, [n, A]."""
    held_out = offers.mode == HELD_OUT
    if not held_out.any():
        return None
    not_nearer: Bool = held_out[:, None] & (_away(band, offers, prices) | (prices == offers.current[:, None]))
    return not_nearer


def _away_from(band: Band, offers: Offers, prices: Int64) -> Bool | None:
    """Further from the competitors' prices than the current one, [n, A]."""
    return _away(band, offers, prices) if offers.policy["competitor_rule"].any() else None


def _away(band: Band, offers: Offers, prices: Int64) -> Bool:
    """Further out than the current price, [n, A]."""
    least, most = np.minimum(band.least, offers.current), np.maximum(band.most, offers.current)
    away: Bool = (prices < least[:, None]) | (prices > most[:, None])
    return away


def _not_to_be_announced(offers: Offers, prices: Int64) -> Bool | None:
    """Reductions that must not be announced as such, of offers whose reductions all are, [n, A]."""
    strict = offers.policy["reductions"] == ANNOUNCED_OR_HELD
    if not strict.any():
        return None
    since, lowest = offers.window.priced_since, offers.window.month_lowest.min(axis=1)
    known = (since > 0) & (offers.now - since >= MONTH_MS)
    lowest = np.where(known, lowest, -IMPOSSIBLE)  # an ending may ask for less than nothing
    reduced: Bool = strict[:, None] & (prices < offers.current[:, None]) & (prices >= lowest[:, None])
    return reduced
