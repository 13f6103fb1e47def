"""The breaker: a budget of price changes for a shard, and for all shards together, over some minutes of event time.

Guardrails look at one price; the breaker looks at all of them. It stops what is legal for each offer and a disaster for
the shop: a model or a feed gone wrong that moves everything at once, many offers to one price, a catalog that refuses
what it is told. What exceeds the budget is not published: those decisions become holds, and the shard stops.

Counted is what the model, or the rule about competitors, has moved. Moves that a policy orders (`rules.FORCED`: into
new bounds, into a promotion and out of it) are the merchant's own, for however many offers: they are neither counted
nor held. An offer's first change counts for its size and its target only: a new shop is repriced once, all of it. All
comparisons are exact: integers in minor units, basis points and counts.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np

from pricing_core.decisions import CHANGED, HELD, Decisions
from pricing_core.rules import BREAKER, CODE, CODES, FORCED
from pricing_core.tally import Tally, Window, frequencies
from schemas.columns import NONE, Bool, Int64

ONE = 10_000
"""In basis points."""
_ORDERED = np.isin(np.arange(len(CODES)), (*FORCED, CODE["held_out"]))
"""Reasons of moves that a policy or a person orders, by number."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may change within five minutes."""

    changed_bp: int = 5_000
    """Share of the offers that may move by more than what is routine."""
    routine_move_bp: int = 600
    """Smaller moves are not counted in that share: each new price of a feed may make most offers move a little."""
    mean_move_bp: int = 500
    """Mean move over all offers, those that stay included."""
    max_move_bp: int = 5_000
    """Largest single move, but for a tenth of ``least``: some are a policy's or a competitor's oddity."""
    one_price_bp: int = 5_000
    """Share of the changes that may go to one price, unless as many came from one."""
    rejected_bp: int = 5_000
    """Share of the catalog's answers that may be rejections."""
    anomalous_bp: int = 2_000
    """Share of the model's answers that may be no numbers, or prices that the mask forbids."""
    least: int = 100
    """Of fewer changes, answers of the catalog or of the model nothing is concluded."""

    def lowered(self, share_bp: int) -> Self:
        """Limits of all shards together: a share of these. Of so few shards' changes nothing is concluded either."""
        names = ("changed_bp", "mean_move_bp", "one_price_bp", "rejected_bp", "anomalous_bp")
        lower: dict[str, int] = {name: getattr(self, name) * share_bp // ONE for name in names}
        return replace(self, least=2 * self.least, **lower)


class Excess(NamedTuple):
    """What exceeds a limit. Shares and moves in basis points, else counts."""

    code: str
    limit: int
    value: int


class _Moves(NamedTuple):
    """Price changes of a step, [n] each."""

    moved: Bool
    repeated: Bool
    size_bp: Int64
    price: Int64
    before: Int64

    def first(self, n: int) -> _Moves:
        """Look at the first ``n`` decisions."""
        return _Moves(self.moved[:n], self.repeated[:n], self.size_bp[:n], self.price[:n], self.before[:n])


def excess(tally: Tally, limits: Limits, offers: int) -> Excess | None:
    """Find the first limit that a tally exceeds.

    Args:
        tally: Of all that happened in a window.
        limits: How much may.
        offers: Of the shard, or of all shards.
    """
    least, offers = limits.least, max(offers, 1)
    shares = (
        ("catalog_rejects", limits.rejected_bp, tally.rejected, tally.answered),
        ("model_anomalies", limits.anomalous_bp, tally.anomalous, tally.asked),
    )
    for code, limit, part, whole in shares:
        if whole >= least and part * ONE > limit * whole:
            return Excess(code, limit, part * ONE // whole)
    if 10 * tally.extreme > least:
        return Excess("large_moves", least // 10, tally.extreme)
    if tally.notable > least and tally.notable * ONE > limits.changed_bp * offers:
        return Excess("many_changes", limits.changed_bp, tally.notable * ONE // offers)
    if tally.repeated > least and tally.distance_bp > limits.mean_move_bp * offers:
        return Excess("mean_move", limits.mean_move_bp, tally.distance_bp // offers)
    reached, left = (max(counts.values(), default=0) for counts in (tally.reached, tally.left))
    if reached > max(least, limits.one_price_bp * tally.moved // ONE) and 2 * left < reached:
        return Excess("one_price", limits.one_price_bp, reached * ONE // tally.moved)
    return None


def spend(window: Window, limits: Limits, offers: int, decisions: Decisions, now: int) -> tuple[int, Excess] | None:
    """Take the decisions of a step out of a shard's budget.

    Args:
        window: The shard's; it is moved on by what may be published.
        limits: How much may change.
        offers: How many the shard knows.
        decisions: [n] of one step, in their order.
        now: Event time, ms.

    Returns:
        None where all is within the budget; else the first decision that is not, and why.
    """
    window.add(_answers(decisions), now)
    found = excess(window.whole, limits, offers)
    if found is not None:
        return 0, found
    moved = is_counted(decisions)
    if not moved.any():
        return None
    moves, stop = _moves(decisions, moved), len(decisions)
    tally = _tally(moves, limits, stop)
    found = excess(window.whole + tally, limits, offers)
    if found is not None:
        stop = _first_beyond(window.whole, moves, limits, offers)
        tally = _tally(moves, limits, stop)
    window.add(tally, now)
    return None if found is None else (stop, found)


def withhold(decisions: Decisions, rows: Int64, limit: Int64 | int, value: Int64 | int) -> None:
    """Turn price changes into holds, as if nothing had been decided: no version is used.

    Args:
        decisions: They are changed.
        rows: Of the decisions; those that change no price stay as they are.
        limit: Of the breaker, for each row or all of them.
        value: What it found.
    """
    changing = decisions.outcome[rows] == CHANGED
    rows = rows[changing]
    decisions.limit[rows], decisions.value[rows] = (
        each[changing] if isinstance(each, np.ndarray) else each for each in (limit, value)
    )
    decisions.outcome[rows], decisions.code[rows] = HELD, BREAKER
    decisions.price[rows] = decisions.previous_price[rows]
    decisions.version[rows] = decisions.prior_price[rows] = NONE


def is_counted(decisions: Decisions) -> Bool:
    """Which decisions change a price, but for those that a policy orders, [n]."""
    counted: Bool = (decisions.outcome == CHANGED) & ~_ORDERED[decisions.code]
    return counted


def _moves(decisions: Decisions, moved: Bool) -> _Moves:
    before = np.maximum(decisions.previous_price, 1)
    size = -(-abs(decisions.price - before) * ONE // before)
    repeated = moved & (decisions.rows["decided_sequence"] > 0)
    return _Moves(moved, repeated, size, decisions.price, before)


def _tally(moves: _Moves, limits: Limits, stop: int) -> Tally:
    """Count the first ``stop`` decisions."""
    moved, repeated, size, price, before = moves.first(stop)
    return Tally(
        moved=int(moved.sum()),
        repeated=int(repeated.sum()),
        notable=int((repeated & (size > limits.routine_move_bp)).sum()),
        distance_bp=int(size[repeated].sum()),
        extreme=int((moved & (size > limits.max_move_bp)).sum()),
        reached=frequencies(price[moved]),
        left=frequencies(before[moved]),
    )


def _first_beyond(before: Tally, moves: _Moves, limits: Limits, offers: int) -> int:
    """Find how many decisions of a step are within the budget: one more is not."""
    within, beyond = 0, len(moves.moved)
    while beyond - within > 1:
        middle = (within + beyond) // 2
        if excess(before + _tally(moves, limits, middle), limits, offers) is None:
            within = middle
        else:
            beyond = middle
    return within


def _answers(decisions: Decisions) -> Tally:
    """Count what the model has said, and what of it is no answer."""
    rows = np.flatnonzero(decisions.considered)
    chosen = decisions.chosen[rows]
    forbidden = decisions.masked[rows, np.maximum(chosen, 0)] != 0
    strange = (decisions.code[rows] == CODE["non_finite"]) | (forbidden & (chosen != NONE))
    return Tally(asked=len(rows), anomalous=int(strange.sum()))
