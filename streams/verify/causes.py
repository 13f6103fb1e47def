"""What one decision must say about itself (I4), and what it must not have done by its own words (I3)."""

from __future__ import annotations

import re

import msgspec

from schemas.topics import HOT_SOURCES

SOURCES = frozenset(topic.name for topic in HOT_SOURCES)
RULES_WITH_COMMANDS = 2
NOT_YET = {"commands"}
"""Sources that decisions by earlier rules do not know."""
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
"""As the worker writes times; of this form, later ones sort behind earlier ones."""


class _Candidates(msgspec.Struct, gc=False):
    prices: list[int]
    masked: list[str | None]


class Decision(msgspec.Struct, gc=False):
    """The fields of an audit record that are checked, optional where a lack of them is to be reported."""

    decision_id: str
    outcome: str
    reason: str | None = None
    decided_at: str | None = None
    price: int | None = None
    previous_price: int | None = None
    version: int | None = None
    policy_version: int | None = None
    run_mode: str | None = None
    model: str | None = None
    candidates: _Candidates | None = None
    features: list[float | None] | None = None
    chosen: int | None = None
    propensity: float | None = None
    lower_bound: int | None = None
    upper_bound: int | None = None
    applied: dict[str, int] = {}
    rules: int | None = None
    command: int | None = None


def unnamed_cause(d: Decision) -> str | None:
    """What a decision does not say about its causes; None if it says all."""
    missing = SOURCES - d.applied.keys() - (NOT_YET if (d.rules or 0) < RULES_WITH_COMMANDS else set())
    if missing:
        return f"names no offset of {', '.join(sorted(missing))}"
    if not (d.model and d.run_mode and d.reason):
        return "names no model, run mode or reason"
    if d.decided_at is None or _TIME.fullmatch(d.decided_at) is None:
        return f"decided_at is {d.decided_at!r}"
    return _choice_fault(d) or _move_fault(d)


def _choice_fault(d: Decision) -> str | None:
    if (d.candidates is None) != (d.features is None):
        return "has candidates without features, or features without candidates"
    if d.chosen is None:
        return None if d.propensity is None else "has a propensity and chose nothing"
    if d.candidates is None or not 0 <= d.chosen < len(d.candidates.prices):
        return f"chose {d.chosen}, which is no candidate"
    if len(d.candidates.prices) != len(d.candidates.masked):
        return "has not as many masks as candidates"
    if d.propensity is None or not 0 < d.propensity <= 1:
        return f"chose with propensity {d.propensity}"
    return None


def _move_fault(d: Decision) -> str | None:
    """A price that moves needs more: a run mode that lets it, a policy, a choice, and its old price."""
    if d.outcome == "held":
        return None if d.version is None else "holds, and gives a version"
    if d.run_mode not in {"ACTIVE", "REDUCING"} and d.reason != "rollback":
        return f"moves a price in run mode {d.run_mode}"
    if None in {d.policy_version, d.price, d.previous_price, d.chosen}:
        return "moves a price without naming policy, prices or choice"
    if (d.version is None) == (d.outcome == "changed"):
        return f"{d.outcome} with version {d.version}"
    return None


def own_bounds_fault(d: Decision) -> str | None:
    """Where a moved price leaves the decision's own bounds, or is not the candidate that was chosen."""
    if d.outcome == "held":
        return None if d.price == d.previous_price else f"holds, and goes from {d.previous_price} to {d.price}"
    if d.price is None or d.lower_bound is None or d.upper_bound is None:
        return f"moves to {d.price} in [{d.lower_bound}, {d.upper_bound}]"
    if not d.lower_bound <= d.price <= d.upper_bound:
        return f"price {d.price} is not in [{d.lower_bound}, {d.upper_bound}]"
    if d.candidates is None or d.chosen is None or not 0 <= d.chosen < len(d.candidates.prices):
        return f"price {d.price} is no candidate"
    if d.candidates.prices[d.chosen] != d.price:
        return f"price {d.price}, and the candidate that was chosen is {d.candidates.prices[d.chosen]}"
    rule = d.candidates.masked[d.chosen] if d.chosen < len(d.candidates.masked) else "?"
    return None if rule is None else f"price {d.price} is forbidden by {rule}"
