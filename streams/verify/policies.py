"""I3: no published price is outside of the policy version that it names, nor of its own decision's bounds.

The rules are written from the policy's fields once more, in Python's integers and fractions. What depends on the
state of the moment (the largest change within a day, cooldown) is not tested: the log does not hold it.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from fractions import Fraction
from typing import Any

import msgspec
import polars as pl

from schemas.topics import OFFER_POLICIES
from streams.partitioner import partition_of
from streams.verify.facts import Facts
from streams.verify.report import Check
from streams.verify.sources import Place

ONE = 10_000
"""In basis points."""
MOST_TIMES = 10
"""No change multiplies or divides a price by more."""
FORCED = frozenset({"bounds_repair", "promotion", "promotion_over", "rollback"})
"""Reasons for which a price moves whatever step, ending and least change say."""
ABSENT = "its policy version was never published"


class Policy(msgspec.Struct, gc=False):
    """What a policy says about prices."""

    version: int
    currency: str = ""
    unit_cost: int = 0
    list_price: int = 0
    floor: int = 0
    ceiling: int = 0
    mode: str = "auto"
    tax_rate_bp: int = 0
    prices_include_tax: bool = True
    commission_bp: int = 0
    fixed_fee: int = 0
    min_margin_bp: int | None = None
    map_price: int | None = None
    max_step_bp: int = 1_000
    min_change_bp: int = 50
    price_ending: str | None = None
    emergency_price: int | None = None
    max_emergency_rise_bp: int = 1_000
    promotion_price: int | None = None
    promotion_from: str | None = None
    promotion_to: str | None = None


def checks(facts: Facts) -> Iterator[Check]:
    """By the decision's own words, and by the policy that it names."""
    decisions = facts.below_cut(facts.decisions)
    faults = decisions.filter(pl.col("bounds_fault").is_not_null())
    own = [
        f"price-decisions/{p}/{offset}: {fault}"
        for p, offset, fault in faults.select("partition", "offset", "bounds_fault").iter_rows()
    ]
    yield Check.of("own_bounds", "I3", len(decisions), own, facts.decisions.expired)
    yield _by_policy(facts, decisions)


def _by_policy(facts: Facts, decisions: pl.DataFrame) -> Check:
    """Published changes and recommendations. A version that is not there any more is not checkable, and said so."""
    moved = decisions.filter(pl.col("outcome") != "held")
    changes = facts.below_cut(facts.changes).join(
        moved.unique("id").select("id", "previous_price", "reason", "outcome", "decided_at", "run_mode", "command"),
        on="id",
        how="left",
        maintain_order="left",
    )
    policies = _policies(facts, set(moved["key"]) | set(changes["key"]))
    whole = not facts.sources[OFFER_POLICIES.name].holes and not facts.sources[OFFER_POLICIES.name].expired
    found, gone, checked = [], 0, 0
    for topic, rows in (("price-changes", changes), ("price-decisions", moved)):
        for row in rows.iter_rows(named=True):
            named = policies.get((row["key"], row["policy_version"]), [])
            checked += bool(named)
            gone += not named
            faults = [fault(policy, row) for policy in named] or ([ABSENT] if whole else [None])
            if None not in faults:
                at = f"{topic}/{row['partition']}/{row['offset']}"
                found.append(f"{at}: price {row['price']} of {row['key']!r}: {faults[-1]}")
    notes = [f"offer-policies was compacted: {gone} prices name a policy version that is gone"]
    return Check.of("policy_bounds", "I3", checked, found, notes if gone and not whole else [])


def _policies(facts: Facts, keys: set[bytes]) -> dict[tuple[bytes, int], list[Policy]]:
    """Policies of some offers by version. More than one of a version is possible; any may have been in force."""
    source = facts.sources[OFFER_POLICIES.name]
    found: dict[tuple[bytes, int], list[Policy]] = {}
    rows = source.rows.filter(pl.col("key").is_in(list(keys)) & (pl.col("version") > 0))
    for p, offset, key, version in rows.select("partition", "offset", "key", "version").iter_rows():
        place: Place = (OFFER_POLICIES.name, p, offset)
        if partition_of(key, facts.partitions) == p:
            found.setdefault((key, version), []).append(msgspec.json.decode(source.values[place], type=Policy))
    return found


def fault(policy: Policy, row: dict[str, Any]) -> str | None:
    """The first rule that a published price breaks; None if it breaks none."""
    price, before = row["price"], row["previous_price"]
    rules = {
        "mode": policy.mode not in _modes_for(row),
        "currency": row.get("currency", policy.currency) != policy.currency,
        "floor": price < policy.floor,
        "ceiling": price > policy.ceiling,
        "minimum_margin": policy.min_margin_bp is not None and not _earns(policy, price, policy.min_margin_bp),
        "map": policy.map_price is not None and price < policy.map_price,
        "emergency_cap": policy.emergency_price is not None
        and price * ONE > policy.emergency_price * (ONE + policy.max_emergency_rise_bp),
        "promotion": _is_promoted(policy, row["decided_at"]) and price != policy.promotion_price,
        "reducing": row["run_mode"] == "REDUCING"
        and row["reason"] not in {"bounds_repair", "rollback"}
        and not _is_nearer(price, before, policy.list_price),
        "held_out": row["run_mode"] == "HELD_OUT"
        and row["reason"] not in FORCED
        and not _is_nearer(price, before, policy.list_price),
        "maximum_jump": before is not None
        and row["reason"] != "rollback"
        and not before <= price * MOST_TIMES <= before * MOST_TIMES**2,
    }
    if before is not None and row["reason"] not in FORCED:
        moved = abs(price - before)
        rules |= {
            "maximum_step": moved * ONE > policy.max_step_bp * before,
            "minimum_change": moved == 0 or moved * ONE < policy.min_change_bp * before,
            "price_ending": not str(price).zfill(4).endswith(policy.price_ending or ""),
        }
    broken = next((name for name, is_broken in rules.items() if is_broken), None)
    return None if broken is None else f"breaks {broken} of policy version {policy.version}"


def _modes_for(row: dict[str, Any]) -> set[str]:
    """Modes of a policy that allow what was decided: a rollback all, an approved change the one that asks for it."""
    if row["outcome"] in {"recommended", "proposed"}:
        return {"recommend" if row["outcome"] == "recommended" else "approve"}
    if row["reason"] == "rollback":
        return {"auto", "recommend", "approve", "paused"}
    return {"auto"} if row["command"] is None else {"auto", "approve"}


def _is_nearer(price: int, before: int | None, wanted: int) -> bool:
    """Whether a move goes towards a price, and not beyond it."""
    return before is not None and (wanted <= price < before or before < price <= wanted)


def _is_promoted(policy: Policy, decided_at: str | None) -> bool:
    """Whether a decision of this time lies inside of the promotion's window."""
    if policy.promotion_from is None or policy.promotion_to is None or decided_at is None:
        return False
    try:
        start, at, end = map(datetime.fromisoformat, (policy.promotion_from, decided_at, policy.promotion_to))
    except ValueError:  # a decision without its time is another check's
        return False
    return start <= at < end


def _earns(policy: Policy, price: int, margin_bp: int) -> bool:
    """Whether (net - commission - fee - cost) / net is at least the margin, with net the price without tax."""
    tax = policy.tax_rate_bp if policy.prices_include_tax else 0
    net = Fraction(price * ONE, ONE + tax)
    profit = net - Fraction(price * policy.commission_bp, ONE) - policy.fixed_fee - policy.unit_cost
    return profit * ONE >= margin_bp * net
