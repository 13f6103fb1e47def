"""The first half of the guards: whether an offer may be decided at all, by mode, commands, knowledge and time."""

from __future__ import annotations

import numpy as np

from pricing_core import rivals
from pricing_core.checks import Check, Finding
from pricing_core.offers import Offers, age, in_promotion
from pricing_core.rules import APPROVED
from pricing_core.run_modes import HALTED
from schemas.columns import APPROVE, AUTO, NONE, ON_APPROVAL, RECOMMEND, REJECT, Bool, Int64


def _no_policy(offers: Offers, _: Int64) -> Finding:
    return Finding(~offers.policy["present"], NONE, NONE)


def _halted(offers: Offers, _: Int64) -> Finding:
    return Finding(offers.mode == HALTED, NONE, NONE)


def _paused(offers: Offers, _: Int64) -> Finding:
    mode = offers.policy["mode"]
    return Finding((mode != AUTO) & (mode != RECOMMEND) & (mode != ON_APPROVAL), NONE, NONE)


def _superseded(offers: Offers, _: Int64) -> Finding:
    """An answer to a decision whose price does not wait for one, any more or at all; or another must be set by now."""
    given, waits = offers.state["command_value"], offers.state["proposed_sequence"]
    same_reason = (offers.must == APPROVED) | (offers.must == offers.state["proposed_code"])
    stands = (given == waits) & (waits != 0) & (offers.policy["mode"] == ON_APPROVAL)
    stands &= same_reason | (offers.state["command"] != APPROVE)
    return Finding(_is_answered(offers) & ~stands, waits, given)


def _expired(offers: Offers, _: Int64) -> Finding:
    given, until = offers.state["command"] != 0, offers.state["command_expires_at"]
    until = np.where(_is_answered(offers), np.minimum(until, offers.state["proposed_until"]), until)
    return Finding(given & (offers.now >= until), until, offers.now)


def _is_answered(offers: Offers) -> Bool:
    """Whether a person has answered a proposal, [n]."""
    command = offers.state["command"]
    answered: Bool = (command == APPROVE) | (command == REJECT)
    return answered


def _paused_by_operator(offers: Offers, _: Int64) -> Finding:
    return Finding(offers.state["operator_paused"] != 0, NONE, NONE)


def _rejected(offers: Offers, _: Int64) -> Finding:
    """By the command at hand, or lately: then the same is not proposed again for a while."""
    lately = _proposal_lasts(offers) & (offers.state["proposed_sequence"] == 0)
    return Finding((offers.state["command"] == REJECT) | lately, NONE, offers.state["proposed_price"])


def _pending_approval(offers: Offers, _: Int64) -> Finding:
    """A proposal waits, unless another price has become a must or the bounds have moved away from it."""
    price = offers.state["proposed_price"]
    inside = (offers.policy["low"] <= price) & (price <= offers.policy["high"])
    waits = _proposal_lasts(offers) & (offers.state["proposed_sequence"] != 0) & inside
    return Finding(waits & (offers.state["command"] != APPROVE), offers.state["proposed_until"], offers.now)


def _proposal_lasts(offers: Offers) -> Bool:
    """Whether the last proposal's time is not over, and nothing else must be done, [n]."""
    lasts = (offers.policy["mode"] == ON_APPROVAL) & (offers.now < offers.state["proposed_until"])
    lasting: Bool = lasts & ((offers.must == 0) | (offers.must == offers.state["proposed_code"]))
    return lasting


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


def _family_unknown(offers: Offers, _: Int64) -> Finding:
    """Other shards have not been heard yet."""
    return Finding((offers.policy["family"] != 0) & (offers.policy["family_count"] == NONE), NONE, NONE)


def _cooldown(offers: Offers, _: Int64) -> Finding:
    since, limit = age(offers.now, offers.state["last_change_at"]), offers.policy["cooldown_ms"]
    return Finding((since != NONE) & (since < limit), limit, since)


CONDITIONS = (
    Check("no_policy", _no_policy),
    Check("superseded", _superseded),
    Check("expired", _expired),
    Check("halted", _halted),
    Check("paused", _paused),
    Check("paused_by_operator", _paused_by_operator),
    Check("currency_mismatch", _currency_mismatch),
    Check("contradictory_bounds", _contradictory_bounds),
    Check("pending_acknowledgement", _pending_acknowledgement),
    Check("rejected", _rejected),
    Check("pending_approval", _pending_approval),
    Check("promotion", _promotion_stands),
    Check("stock_out", _stock_out),
    Check("stale_input", _stale_stock),
    Check("stale_input", _stale_competitors),
    Check("family_unknown", _family_unknown),
    Check("cooldown", _cooldown),
)
