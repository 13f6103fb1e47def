"""Whether a moved price keeps every rule: Python's integers, one offer after the other, from the policy's own fields.

Nothing here is shared with the ladder or the guards, nor with what they are given: bounds, windows and competitors
are found again from the policy as it was decoded and from the state as it lay there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from pricing_core.decisions import CHANGED, HELD, PROPOSED, RECOMMENDED, Decisions
from pricing_core.evaluation.sweep.moved import ONE, Moved, is_apart, parts
from pricing_core.evaluation.sweep.states import Drawn
from schemas.columns import NONE, Int64

SHORT_MS, LONG_MS, MONTH_MS = 6 * 3_600_000, 3 * 86_400_000, 30 * 86_400_000
MEMORY_MS = 14 * 86_400_000
MODES = {CHANGED: 0, RECOMMENDED: 1, PROPOSED: 3}
"""Mode that allows each outcome."""


def faults(drawn: Drawn, decisions: Decisions) -> Iterator[tuple[int, str]]:
    """Yield row and broken rule of every decision that moves a price and breaks one."""
    rows = np.flatnonzero(decisions.outcome != HELD)
    policies = _dictionaries(drawn.policies, [f.name for f in fields(drawn.policies) if f.name != "keys"], rows)
    names = [f.name for f in fields(decisions) if f.name not in {"keys", "features"}]
    states = drawn.state.take(rows)
    columns = {name: states[name].tolist() for name in states.dtype.names or ()}
    for i, (p, d) in enumerate(zip(policies, _dictionaries(decisions, names, rows), strict=True)):
        state = {name: column[i] for name, column in columns.items()}
        row = int(rows[i])
        lowest, highest, count = (int(known[row]) for known in drawn.siblings)
        found = fault(Moved(p, state, d, int(drawn.now[row]), int(drawn.mode[row]), (lowest, highest, count)))
        if found is not None:
            yield row, found


def fault(m: Moved) -> str | None:
    """The first rule that the move breaks; None if it keeps all."""
    price = m.d["price"]
    if m.is_rollback:
        return _rolled_back(m, price)
    promoted = _is_promoted(m)
    back = not promoted and _comes_back(m)
    found = _gate(m) or _static(m.p, price)
    if not found and not (m.current <= 10 * price and price <= 10 * m.current):
        found = "maximum_jump"
    if not found and m.run_mode == 2 and m.d["code"] != 9 and not _is_nearer(m, price):
        found = "reducing"  # the number is that of a repair
    if (
        not found
        and m.run_mode == 1
        and not m.is_approved
        and m.d["code"] not in {9, 26, 27}
        and not _is_nearer(m, price)
    ):
        found = "held_out"  # the numbers are those of repairs and promotions
    if not found and promoted and price != m.p["promotion_price"]:
        found = "promotion"
    if not found and m.is_approved and price != m.s["proposed_price"]:
        found = "approved"
    if not found and back and not _is_as_near(m.p, m.s["regular_price"], price):
        found = "promotion_over"
    if not found and promoted:
        found = _reduction(m, price)
    asked = not m.is_approved or m.s["proposed_code"] not in {9, 26, 27}  # a repair, a promotion, the end of one
    if not found and asked and not ((promoted or back or _static(m.p, m.current)) and not m.is_approved):
        found = _soft(m, price)
    return found or _announced(m, price)


def _rolled_back(m: Moved, price: int) -> str | None:
    """Only the law, the bounds and a promotion stand in the way of a person who orders a price back."""
    known = not m.p["removed"] and m.s["currency"] == m.p["currency"]
    found = _static(m.p, price)
    if not found and not known:
        found = "no_policy"
    if not found and m.s["command_expires_at"] <= m.now:
        found = "expired"
    if not found and m.d["outcome"] != CHANGED:
        found = "rollback"
    if not found and _is_promoted(m) and price != m.p["promotion_price"]:
        found = "promotion"
    return found if found or _is_as_near(m.p, m.s["command_value"], price) else "rollback"


def _is_promoted(m: Moved) -> bool:
    return bool(m.p["promotion_price"] != NONE and m.p["promotion_from"] <= m.now < m.p["promotion_to"])


def _waits(m: Moved) -> str | None:
    """Of offers whose prices are approved by persons: what stands in the way of another proposal, and of an answer."""
    answered, s = m.s["command"] in {3, 4}, m.s
    lasts = m.p["mode"] == MODES[PROPOSED] and m.now < s["proposed_until"]
    rules = {
        "superseded": answered and (m.p["mode"] != MODES[PROPOSED] or s["command_value"] != s["proposed_sequence"]),
        "expired": s["command"] and (s["command_expires_at"] <= m.now or (answered and not lasts)),
        "paused_by_operator": s["operator_paused"],
        "rejected": s["command"] == 4 or (lasts and not s["proposed_sequence"] and _is_asked_for(m)),
        "pending_approval": lasts
        and s["proposed_sequence"]
        and not answered
        and _is_asked_for(m)
        and not _static(m.p, s["proposed_price"]),
    }
    return next((rule for rule, broken in rules.items() if broken), None)


def _is_asked_for(m: Moved) -> bool:
    """Whether nothing forces the price, or the same that has forced the proposal."""
    forced = m.d["code"] if m.d["code"] in {9, 26, 27} else None
    return forced is None or forced == m.s["proposed_code"]


def _gate(m: Moved) -> str | None:
    if (waits := _waits(m)) is not None:
        return waits
    rules = {
        "no_policy": m.p["removed"],
        "halted": m.run_mode == 3,  # the number is the contract
        "paused": m.p["mode"] != (MODES[PROPOSED] if m.is_approved else MODES[m.d["outcome"]]),
        "currency_mismatch": m.s["currency"] != m.p["currency"],
        "pending_acknowledgement": m.s["pending"],
        "not_moved": m.d["price"] == m.current,
    }
    return next((rule for rule, broken in rules.items() if broken), None)


def _is_nearer(m: Moved, price: int) -> bool:
    """Whether the move goes towards the list price, and not beyond it."""
    wanted = m.p["list_price"]
    return bool(wanted <= price < m.current or m.current < price <= wanted)


def _static(p: dict[str, Any], price: int) -> str | None:
    """Law, floor, ceiling, margin, MAP."""
    rules = {
        "emergency_cap": p["emergency_price"] != NONE
        and price * ONE > p["emergency_price"] * (ONE + p["max_emergency_rise_bp"]),
        "floor": price < p["floor"],
        "ceiling": price > p["ceiling"],
        "minimum_margin": p["min_margin_bp"] != NONE and not _earns(p, price),
        "map": p["map_price"] != NONE and price < p["map_price"],
    }
    return next((rule for rule, broken in rules.items() if broken), None)


def _earns(p: dict[str, Any], price: int) -> bool:
    """Whether net - commission - fee - cost is at least the margin's share of net, all times 10⁴ · (10⁴ + tax)."""
    gross = ONE + (p["tax_rate_bp"] if p["prices_include_tax"] else 0)
    net = price * ONE * ONE
    spent = (price * p["commission_bp"] + (p["fixed_fee"] + p["unit_cost"]) * ONE) * gross
    return bool((net - spent) * ONE >= p["min_margin_bp"] * net)


def _comes_back(m: Moved) -> bool:
    """Whether the last change was a promotion's, stands, and was from another price that is still to be reached."""
    last = m.s["decided_code"] == 26 and m.s["decided_price"] == m.current  # the number is the contract
    return last and not _is_as_near(m.p, m.s["regular_price"], m.current)


def _is_as_near(p: dict[str, Any], wanted: int, price: int) -> bool:
    """Whether a price is the nearest legal one to another."""
    if _static(p, price) or price == wanted:
        return price == wanted
    return _static(p, price + (1 if wanted > price else -1)) is not None


def _soft(m: Moved, price: int) -> str | None:
    """What stops a move that nothing forces."""
    moved, current = abs(price - m.current), m.current
    seen_late = _is_stale(m.p["max_competitor_age_ms"], m.now, max((seen for _, seen, _ in _named(m)), default=0))
    cooling = m.s["last_change_at"] > 0 and m.now - m.s["last_change_at"] < m.p["cooldown_ms"]
    rules = {
        "stock_out": not m.is_approved and m.s["on_hand"] == 0,
        "stale_input": not m.is_approved and (_is_stale(m.p["max_stock_age_ms"], m.now, m.s["stock_at"]) or seen_late),
        "cooldown": not m.is_approved and cooling,
        "family_unknown": m.p["family"] and m.others[2] == NONE,
        "family_spread": m.p["family"] and m.others[2] > 0 and parts(m, price),
        "competitors": m.run_mode != 1 and _goes_astray(m, price),
        "maximum_step": moved * ONE > m.p["max_step_bp"] * current,
        "maximum_daily_change": any(
            abs(price - was) * ONE > m.p["max_daily_change_bp"] * was for was in (*_lately(m), current)
        ),
        "price_ending": m.p["ending"] != NONE and price % m.p["ending_modulus"] != m.p["ending"],
        "minimum_change": moved * ONE < m.p["min_change_bp"] * current,
        "non_finite": not m.is_approved and m.d["code"] == 22 and not _is_finite(m.d),  # demand: the model was asked
    }
    return _reduction(m, price) or next((rule for rule, broken in rules.items() if broken), None)


def _is_stale(limit: int, now: int, seen: int) -> bool:
    return limit != NONE and (seen == 0 or now - seen > limit)


def _is_finite(d: dict[str, Any]) -> bool:
    return all(np.isfinite(q) for q, rule in zip(d["q"], d["masked"], strict=True) if rule == 0)


def _named(m: Moved) -> list[tuple[int, int, int]]:
    """Price, time and stock of the competitors that the policy names."""
    told = zip(m.s["rival"], m.s["rival_price"], m.s["rival_seen_at"], m.s["rival_in_stock"], strict=True)
    names = set(m.p["competitors"]) - {0}
    return [(price, seen, stock) for name, price, seen, stock in told if m.p["heeds_all"] or name in names]


def _goes_astray(m: Moved, price: int) -> bool:
    """Whether the move leads away from where the price must lie beside the cheapest competitor's."""
    limit = m.p["max_competitor_age_ms"]
    heeded = [
        theirs
        for theirs, seen, in_stock in _named(m)
        if in_stock and seen > 0 and m.now - seen < MEMORY_MS and (limit == NONE or m.now - seen <= limit)
        if m.p["list_price"] <= 4 * theirs and theirs <= 4 * m.p["list_price"]
    ]
    rule, share = m.p["competitor_rule"], m.p["competitor_bp"]
    if not heeded or rule == 0:
        return False
    least, most = {1: (ONE, ONE), 2: (0, ONE - share), 3: (ONE - share, ONE + share)}[rule]
    cheapest = min(heeded)
    if price > m.current:  # dearer than wanted, and a cheaper one would be legal
        return bool(price * ONE > cheapest * most and not _static(m.p, price - 1) and not is_apart(m, price - 1))
    return bool(price * ONE < cheapest * least and not _static(m.p, price + 1) and not is_apart(m, price + 1))


def _kept(lowest: Sequence[int], last: int, since: int) -> list[int]:
    """Values of a ring of buckets whose last one is ``last``, from bucket ``since`` on."""
    size = len(lowest)
    return [lowest[number % size] for number in range(max(since, last - size + 1), last + 1)]


def _lately(m: Moved) -> list[int]:
    """Lowest and highest prices of the buckets that the last 24 hours touch."""
    since = (m.now - 24 * 3_600_000) // SHORT_MS
    return [was for side in ("lowest", "highest") for was in _kept(m.s[side], m.s["bucket"], since)]


def _lowest_of_month(m: Moved) -> int:
    last = m.s["bucket"] * SHORT_MS // LONG_MS
    since = (m.now - MONTH_MS) // LONG_MS
    return min([*_kept(m.s["month_lowest"], last, since), m.current])


def _reduction(m: Moved, price: int) -> str | None:
    """A reduction that is announced although it must not be."""
    short = m.now - m.s["priced_since"] < MONTH_MS
    strict = m.p["reductions"] == 2 and price < m.current
    return "prior_price" if strict and (short or price >= _lowest_of_month(m)) else None


def _announced(m: Moved, price: int) -> str | None:
    """Whether the prior price is named where it must be, and nowhere else."""
    lowest, long_known = _lowest_of_month(m), m.now - m.s["priced_since"] >= MONTH_MS
    named = m.p["reductions"] != 0 and long_known and price < min(lowest, m.current)
    return None if m.d["prior_price"] == (lowest if named else NONE) else "prior_price"


def _dictionaries(columns: Any, names: list[str], rows: Int64) -> Iterator[dict[str, Any]]:
    values = [getattr(columns, name)[rows].tolist() for name in names]
    return (dict(zip(names, row, strict=True)) for row in zip(*values, strict=True))
