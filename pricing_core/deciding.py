"""From offers to decisions: conditions, ladder, model, guards. A pure function; the engine writes down what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from pricing_core import ladder as ladders
from pricing_core.decisions import CHANGED, HELD, RECOMMENDED, Decisions, blank
from pricing_core.features import HOLD, MOVES_BP
from pricing_core.guardrails import CONDITIONS, PASSED, PRICE_RULES, Verdicts, judge
from pricing_core.ladder import Ladder
from pricing_core.offers import Offers
from pricing_core.rules import CODE
from pricing_core.valuation import Float32, Valuation
from schemas.binary import BinaryArray
from schemas.columns import NONE, RECOMMEND, Bool, Int64

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
    present = offers.policy["present"]
    for column, name in ((decisions.policy_version, "version"), (decisions.lower, "low"), (decisions.upper, "high")):
        column[:] = np.where(present, offers.policy[name], NONE)
    return decisions


def _consider(offers: Offers, uniform: Float32, ask: Ask) -> _Considered:
    ladder = ladders.build(offers)
    opinion = ask(offers, ladder, uniform)
    chosen = _choice(offers, ladder, opinion)
    usable = chosen != NONE
    proposed = ladder.prices[np.arange(len(offers)), np.where(usable, chosen, HOLD)]
    proposed = np.where(usable, proposed, offers.current)
    guarded = judge(PRICE_RULES, offers, proposed)
    moves = proposed != offers.current
    passed = moves & (guarded.code == PASSED)
    code = np.select(
        [passed & offers.out_of_bounds, passed, ~usable, ~moves],
        [np.full(len(offers), CODE[c]) for c in ("bounds_repair", "demand", "non_finite")] + [_why_held(ladder)],
        guarded.code,
    )
    limit, value = _evidence(offers, guarded, denied=moves & ~passed, passed=passed)
    return _Considered(offers, ladder, opinion, chosen, proposed, passed, Verdicts(code, limit, value))


def _fill_in(d: Decisions, rows: Int64, considered: _Considered) -> None:
    """Write what was considered into the given rows of the decisions."""
    offers, ladder, passed = considered.offers, considered.ladder, considered.passed
    recommend = offers.policy["mode"] == RECOMMEND
    d.outcome[rows] = np.where(passed, np.where(recommend, RECOMMENDED, CHANGED), HELD)
    d.price[rows] = np.where(passed, considered.proposed, offers.current)
    d.version[rows] = np.where(passed & ~recommend, offers.state["decided_version"] + 1, NONE)
    d.prices[rows], d.masked[rows] = ladder.prices, ladder.masked
    d.lower[rows], d.upper[rows] = ladder.lower, ladder.upper
    d.q[rows], d.features[rows], d.considered[rows] = considered.opinion.q, considered.opinion.features, True
    d.chosen[rows], d.batch[rows] = considered.chosen, considered.opinion.batch
    propensity = np.where(offers.out_of_bounds, np.float32(1.0), considered.opinion.propensity)
    d.propensity[rows] = np.where(considered.chosen != NONE, propensity, 0.0)


def _choice(offers: Offers, ladder: Ladder, opinion: Valuation) -> Int64:
    """The model's choice, [n], `NONE` where it is none; bounds are restored without asking it.

    Whether the choice is legal is not asked here: that is what the guards are for.
    """
    legal = ladder.legal
    chosen = np.where(offers.out_of_bounds, legal.argmax(axis=1), opinion.chosen)
    finite = (np.isfinite(opinion.q) | ~legal).all(axis=1) | offers.out_of_bounds
    return np.where(finite & (chosen >= 0) & (chosen < len(MOVES_BP)), chosen, NONE)


def _why_held(ladder: Ladder) -> Int64:
    """The model holds; or it had to, and the rule against the largest cut says why."""
    no_move = ladder.legal.sum(axis=1) <= 1
    return np.where(no_move, ladder.masked[:, 0], CODE["model_holds"])


def _evidence(offers: Offers, guarded: Verdicts, *, denied: Bool, passed: Bool) -> tuple[Int64, Int64]:
    """Limit and value of the deciding rule, [n]; of a repair, the bound that was crossed and the price that did."""
    low, high = offers.policy["low"], offers.policy["high"]
    repaired = passed & offers.out_of_bounds
    bound = np.where(offers.current < low, low, high)
    limit = np.where(repaired, bound, np.where(denied, guarded.limit, NONE))
    return limit, np.where(repaired, offers.current, np.where(denied, guarded.value, NONE))
