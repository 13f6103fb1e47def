"""From offers to decisions: conditions, ladder, model, guards. A pure function; the engine writes down what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pricing_core import feedback
from pricing_core import ladder as ladders
from pricing_core.decisions import CHANGED, HELD, PROPOSED, RECOMMENDED, Decisions, blank
from pricing_core.features import HOLD, MOVES_BP
from pricing_core.guardrails import CONDITIONS, PASSED, PRICE_RULES, Verdicts, judge
from pricing_core.ladder import Ladder
from pricing_core.offers import Offers, age
from pricing_core.price_window import MONTH_MS
from pricing_core.rules import APPROVED, CODE, REPAIR, ROLLBACK
from pricing_core.run_modes import HELD_OUT
from pricing_core.valuation import Float32, Valuation
from schemas.binary import BinaryArray
from schemas.columns import APPROVE, AUTO, NONE, ON_APPROVAL, RECOMMEND, SILENT, Bool, Int64

Ask = Callable[[Offers, Ladder, Float32], Valuation]
"""Asks the model about n offers with their candidates and a uniform number [n] each."""


@dataclass(frozen=True, slots=True)
class _Considered:
    """What came of offers that meet all conditions, [n] each."""

    offers: Offers
    ladder: Ladder
    opinion: Valuation
    chosen: Int64
    proposed: Int64
    passed: Bool
    """The price moves, and every guard agrees."""
    verdicts: Verdicts


def decide(offers: Offers, keys: BinaryArray, sequence: Int64, uniform: Float32, ask: Ask) -> Decisions:
    """Decide n offers.

    Args:
        offers: What is known about them.
        keys: Their keys.
        sequence: [n] numbers of the decisions.
        uniform: [n] in [0, 1): what chance says.
        ask: The model. Whatever it answers, no price leaves the bounds.
    """
    decisions = _held(offers, keys, sequence, uniform)
    offers = _watched(offers, decisions)
    verdicts = judge(CONDITIONS, offers, offers.current)
    rows = np.flatnonzero(verdicts.code == PASSED)
    if len(rows):
        considered = _consider(offers.take(rows), uniform[rows], ask)
        _fill_in(decisions, rows, considered)
        verdicts.code[rows] = considered.verdicts.code
        verdicts.limit[rows], verdicts.value[rows] = considered.verdicts.limit, considered.verdicts.value
    decisions.code[:], decisions.limit[:], decisions.value[:] = verdicts.code, verdicts.limit, verdicts.value
    return decisions


def _held(offers: Offers, keys: BinaryArray, sequence: Int64, uniform: Float32) -> Decisions:
    """Every price stays: where nothing else is decided, this is the answer."""
    decisions = replace(blank(offers.now, keys), uniform=uniform, rows=offers.state, policies=offers.policy)
    decisions.sequence[:] = sequence
    decisions.price[:] = decisions.previous_price[:] = np.where(offers.current > 0, offers.current, NONE)
    decisions.currency[:] = offers.state["currency"]
    decisions.command[:] = np.where(offers.state["command"] != 0, offers.state["command_offset"], NONE)
    decisions.run_mode[:], decisions.run_mode_scope[:] = offers.mode, offers.scope
    present = offers.policy["present"]
    for column, name in ((decisions.policy_version, "version"), (decisions.lower, "low"), (decisions.upper, "high")):
        column[:] = np.where(present, offers.policy[name], NONE)
    return decisions


def _watched(offers: Offers, decisions: Decisions) -> Offers:
    """Ignore competitors that are found in a loop with us just now, and note what was seen."""
    decisions.loops[:] = feedback.watch(offers)
    if not decisions.loops["found"].any():
        return offers
    state = offers.state.copy()
    state["loop"] = decisions.loops
    return replace(offers, state=state)


def _consider(offers: Offers, uniform: Float32, ask: Ask) -> _Considered:
    ladder = ladders.build(offers)
    opinion = ask(offers, ladder, uniform)
    chosen = _choice(ladder, opinion)
    usable = chosen != NONE
    proposed = ladder.prices[np.arange(len(offers)), np.where(usable, chosen, HOLD)]
    proposed = np.where(usable, proposed, offers.current)
    guarded = judge(PRICE_RULES, offers, proposed)
    moves = proposed != _price_on_its_way(offers)
    passed = moves & (guarded.code == PASSED)
    forced = [offers.must != 0, offers.mode == HELD_OUT, ladder.only != NONE]
    beside = ladder.masked[:, HOLD].astype(np.int64)  # why the only candidate is the only one
    why = np.select(forced, [offers.must, CODE["held_out"], beside], CODE["demand"])
    why = np.where(offers.must == APPROVED, offers.state["proposed_code"], why)
    stays = np.where(offers.must == 0, _why_held(ladder), offers.must)
    code = np.select([passed, ~usable, ~moves], [why, CODE["non_finite"], stays], guarded.code)
    limit, value = _evidence(offers, guarded, proposed, denied=moves & ~passed, passed=passed)
    return _Considered(offers, ladder, opinion, chosen, proposed, passed, Verdicts(code, limit, value))


def _price_on_its_way(offers: Offers) -> Int64:
    """Price in effect, [n]; for a rollback, which comes behind all others, the one that the catalog was told last."""
    told = (offers.must == ROLLBACK) & (offers.state["pending"] != 0)
    return np.where(told, offers.state["decided_price"], offers.current)


def _outcome(offers: Offers, passed: Bool) -> Int64:
    """Outcome of offers whose price might move, [n]. What a person has ordered is not asked once more."""
    mode = np.where((offers.must == ROLLBACK) | (offers.state["command"] == APPROVE), AUTO, offers.policy["mode"])
    return np.select([~passed, mode == RECOMMEND, mode == ON_APPROVAL], [HELD, RECOMMENDED, PROPOSED], CHANGED)


def _fill_in(d: Decisions, rows: Int64, considered: _Considered) -> None:
    """Write what was considered into the given rows of the decisions."""
    offers, ladder, passed = considered.offers, considered.ladder, considered.passed
    outcome = _outcome(offers, passed)
    d.outcome[rows] = outcome
    d.price[rows] = np.where(passed, considered.proposed, offers.current)
    d.version[rows] = np.where(outcome == CHANGED, offers.state["decided_version"] + 1, NONE)
    d.prices[rows], d.masked[rows] = ladder.prices, ladder.masked
    d.lower[rows], d.upper[rows] = ladder.lower, ladder.upper
    d.q[rows], d.features[rows], d.considered[rows] = considered.opinion.q, considered.opinion.features, True
    d.chosen[rows], d.batch[rows] = considered.chosen, considered.opinion.batch
    d.prior_price[rows] = np.where(passed, _announced_prior_price(offers, considered.proposed), NONE)
    d.rung[rows], d.demand[rows] = considered.opinion.rung, considered.opinion.changed
    each, chosen = considered.opinion.probabilities, considered.chosen
    each = np.where((ladder.only != NONE)[:, None], np.arange(len(MOVES_BP)) == ladder.only[:, None], each)
    d.probabilities[rows] = np.where((chosen != NONE)[:, None], each, 0.0)
    d.propensity[rows] = np.take_along_axis(d.probabilities[rows], np.maximum(chosen, 0)[:, None], axis=1)[:, 0]


def _choice(ladder: Ladder, opinion: Valuation) -> Int64:
    """The model's choice, [n], `NONE` where it is none; a price that must move moves without asking it.

    Whether the choice is legal is not asked here: that is what the guards are for.
    """
    forced = ladder.only != NONE
    chosen = np.where(forced, ladder.only, opinion.chosen)
    finite = (np.isfinite(opinion.q) | ~ladder.legal).all(axis=1) | forced
    return np.where(finite & (chosen >= 0) & (chosen < len(MOVES_BP)), chosen, NONE)


def _why_held(ladder: Ladder) -> Int64:
    """The model holds; or it had to, and the rule against the largest cut says why."""
    no_move = (ladder.legal.sum(axis=1) <= 1) & (ladder.masked[:, 0] != 0)
    return np.where(no_move, ladder.masked[:, 0], CODE["model_holds"])


def _evidence(offers: Offers, guarded: Verdicts, proposed: Int64, *, denied: Bool, passed: Bool) -> tuple[Int64, Int64]:
    """Limit and value of the deciding rule, [n]; of a forced move, what forced it, and the price that had to move."""
    low, high = offers.policy["low"], offers.policy["high"]
    forced = passed & (offers.must != 0)
    bound = np.where(offers.current < low, low, high)
    bound = np.where(offers.must == REPAIR, bound, proposed)
    bound = np.where(offers.must == ROLLBACK, offers.state["command_value"], bound)
    limit = np.where(forced, bound, np.where(denied, guarded.limit, NONE))
    return limit, np.where(forced, offers.current, np.where(denied, guarded.value, NONE))


def _announced_prior_price(offers: Offers, price: Int64) -> Int64:
    """Lowest price of the last 30 days, [n], where a move to ``price`` is to be announced as a reduction from it.

    `NONE` where the policy wants no announcement, where the price was not known for so long, or was lower since: then
    nothing may be called a reduction (98/6/EC, Art. 6a; CJEU C-330/23 of 26 September 2024).
    """
    lowest, known = offers.window.month_lowest.min(axis=1), age(offers.now, offers.window.priced_since)
    reduced = (known >= MONTH_MS) & (price < lowest) & (price < offers.current)
    return np.where(reduced & (offers.policy["reductions"] != SILENT), lowest, NONE)
