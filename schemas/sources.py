"""For every source topic: how its fields become columns, and which of its rows are refused.

One entry per topic, in `SOURCES`. Everything here sees fields that are typed and range-checked already.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np

from schemas.binary import NULL, BinaryArray
from schemas.columns import (
    ADD_TO_CART,
    ANNOUNCED,
    ANNOUNCED_OR_HELD,
    APPLIED,
    AUTO,
    BANDIT,
    CANCELLED,
    CLICK,
    FREE,
    IMPRESSION,
    MANUAL,
    MATCH,
    NONE,
    ON_APPROVAL,
    PAUSED,
    PLACED,
    PROFIT,
    Q_FUNCTION,
    RECOMMEND,
    REJECTED,
    RETURNED,
    REVENUE,
    RULES,
    SILENT,
    UNDERCUT,
    WITHIN,
    AppliedColumns,
    Bool,
    ClickColumns,
    Columns,
    CompetitorColumns,
    Int8,
    Int64,
    InventoryColumns,
    OrderColumns,
    PolicyColumns,
    TickColumns,
)
from schemas.commands import COMMAND_CHECKS, COMMAND_KINDS, command_columns
from schemas.dead_letter import Reason
from schemas.events import (
    ClickRecorded,
    CommandGiven,
    CompetitorPriceObserved,
    InventoryCounted,
    OrderRecorded,
    PriceApplied,
    Ticked,
)
from schemas.fields import Fields
from schemas.policies import MAX_NAMED, OfferPolicy
from schemas.source import Check, Source
from schemas.topics import (
    CLICKS,
    COMMANDS,
    COMPETITOR_PRICES,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_APPLIED,
    TICKS,
)

ORDER_KINDS = {"placed": PLACED, "cancelled": CANCELLED, "returned": RETURNED}
CLICK_KINDS = {"impression": IMPRESSION, "click": CLICK, "add_to_cart": ADD_TO_CART}
STATUSES = {"applied": APPLIED, "rejected": REJECTED, "manual": MANUAL}
POLICY_CHOICES = {
    "mode": {"auto": AUTO, "recommend": RECOMMEND, "paused": PAUSED, "approve": ON_APPROVAL},
    "goal": {"profit": PROFIT, "revenue": REVENUE},
    "reductions": {"silent": SILENT, "announced": ANNOUNCED, "announced_or_held": ANNOUNCED_OR_HELD},
    "competitor_rule": {"free": FREE, "match": MATCH, "undercut": UNDERCUT, "within": WITHIN},
    "max_rung": {"rules": RULES, "bandit": BANDIT, "q_function": Q_FUNCTION},
}


def _code(values: Int64) -> Int8:
    return values.astype(np.int8)


def _scaled(values: Int64, factor: int) -> Int64:
    return np.where(values == NONE, NONE, values * factor)


@lru_cache(maxsize=65_536)
def name_digest(name: bytes) -> int:
    """First 8 bytes of BLAKE2b of a name, as a signed integer: rows of states and policies hold no text."""
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little", signed=True)


def _digests(names: BinaryArray) -> Int64:
    return np.fromiter((name_digest(name or b"") for name in names), np.int64, len(names))


def _digests_or_none(names: BinaryArray) -> Int64:
    """0 where there is no name."""
    digests = np.zeros(len(names), np.int64)
    rows = np.flatnonzero(names.length > 0)
    digests[rows] = _digests(names.take(rows))
    return digests


def family_digest(channel: bytes, family: bytes, currency: int) -> int:
    """Names the members whose prices are compared: `name_digest` of channel, family and numeric currency."""
    return name_digest(b"%s\0%s\0%d" % (channel, family, currency))


def _families(fields: Fields) -> Int64:
    """Digest of the family of each policy that has a rule about one; else 0."""
    digests, names = np.zeros(len(fields), np.int64), fields.text("family")
    channels, currencies = fields.text("channel"), fields.integer("currency")
    for row in np.flatnonzero((names.length > 0) & (fields.integer("max_family_spread_bp") != NONE)).tolist():
        digests[row] = family_digest(channels[row] or b"", names[row] or b"", int(currencies[row]))
    return digests


def _named(lists: BinaryArray) -> Int64:
    """Digests of the names in each list, [n, `MAX_NAMED`]; 0 where there is none."""
    digests = np.zeros((len(lists), MAX_NAMED), np.int64)
    for row in np.flatnonzero(lists.length > 0).tolist():
        names = (lists[row] or b"").split(b"\0")[:MAX_NAMED]
        digests[row, : len(names)] = [name_digest(name) for name in names]
    return digests


def _orders(base: Columns, fields: Fields) -> OrderColumns:
    return OrderColumns(
        base.keys,
        base.index,
        base.time,
        kind=_code(fields.integer("type")),
        quantity=fields.integer("quantity"),
        amount=fields.integer("line_total"),
        currency=fields.integer("currency"),
    )


def _clicks(base: Columns, fields: Fields) -> ClickColumns:
    return ClickColumns(
        base.keys,
        base.index,
        base.time,
        kind=_code(fields.integer("kind")),
        count=fields.integer("count"),
        price=fields.integer("price_shown"),
    )


def _competitor_prices(base: Columns, fields: Fields) -> CompetitorColumns:
    return CompetitorColumns(
        base.keys,
        base.index,
        base.time,
        competitor=_digests(fields.text("competitor")),
        price=fields.integer("price") + fields.integer("shipping"),
        currency=fields.integer("currency"),
        in_stock=fields.integer("in_stock") == 1,
    )


def _inventory(base: Columns, fields: Fields) -> InventoryColumns:
    return InventoryColumns(base.keys, base.index, base.time, on_hand=fields.integer("on_hand"))


def _applied(base: Columns, fields: Fields) -> AppliedColumns:
    return AppliedColumns(
        base.keys,
        base.index,
        base.time,
        version=fields.integer("version"),
        status=_code(fields.integer("status")),
        price=fields.integer("price"),
        currency=fields.integer("currency"),
    )


def _policies(base: Columns, fields: Fields) -> PolicyColumns:
    copied = (
        "version", "currency", "unit_cost", "list_price", "floor", "ceiling", "tax_rate_bp", "commission_bp",
        "fixed_fee", "min_margin_bp", "map_price", "max_step_bp", "max_daily_change_bp", "min_change_bp",
        "emergency_price", "max_emergency_rise_bp", "promotion_price", "promotion_from", "promotion_to",
        "competitor_bp", "max_family_spread_bp", "season_ends_at", "salvage_value", "expected_elasticity_bp",
        "expected_monthly_units",
    )  # fmt: skip
    has_ending = fields.length("price_ending") != NULL
    return PolicyColumns(
        base.keys,
        base.index,
        base.time,
        removed=fields.integer("version") == 0,
        mode=_code(fields.integer("mode")),
        goal=_code(fields.integer("goal")),
        reductions=_code(fields.integer("reductions")),
        competitor_rule=_code(fields.integer("competitor_rule")),
        max_rung=_code(fields.integer("max_rung")),
        prices_include_tax=fields.integer("prices_include_tax") == 1,
        cooldown_ms=fields.integer("cooldown_s") * 1000,
        ending=np.where(has_ending, fields.integer("price_ending"), NONE),
        ending_modulus=np.where(has_ending, 10 ** np.maximum(fields.length("price_ending"), 0), 1),
        heeds_all=fields.length("competitors") == NULL,
        competitors=_named(fields.text("competitors")),
        category=_digests_or_none(fields.text("category")),
        family=_families(fields),
        max_stock_age_ms=_scaled(fields.integer("max_stock_age_s"), 1000),
        max_competitor_age_ms=_scaled(fields.integer("max_competitor_age_s"), 1000),
        **{name: fields.integer(name) for name in copied},
    )


def _ticks(base: Columns, _: Fields) -> TickColumns:
    return TickColumns(BinaryArray.of([b""] * len(base)), base.index, base.time)


def _is_whole_or_none(columns: PolicyColumns) -> Bool:
    given = np.stack((columns.promotion_price, columns.promotion_from, columns.promotion_to)) != NONE
    whole = given.all(axis=0) & (columns.promotion_from < columns.promotion_to)
    fits: Bool = whole | ~given.any(axis=0)
    return fits


_BOUNDS_IN_ORDER: Check[PolicyColumns] = Check(
    Reason.CONTRADICTORY_BOUNDS,
    lambda columns: columns.floor > columns.ceiling,
    lambda columns, row: f"floor {columns.floor[row]} is above ceiling {columns.ceiling[row]}",
)

_PROMOTION_WHOLE: Check[PolicyColumns] = Check(
    Reason.SCHEMA_VIOLATION,
    lambda columns: ~columns.removed & ~_is_whole_or_none(columns),
    lambda *_: "a promotion needs a price, a beginning and a later end",
)

_FAMILY_NAMED: Check[PolicyColumns] = Check(
    Reason.SCHEMA_VIOLATION,
    lambda columns: ~columns.removed & (columns.max_family_spread_bp != NONE) & (columns.family == 0),
    lambda *_: "max_family_spread_bp needs a family",
)

SOURCES: dict[str, Source[Any]] = {
    ORDERS.name: Source(OrderRecorded, "occurred_at", {"type": ORDER_KINDS}, _orders),
    CLICKS.name: Source(ClickRecorded, "occurred_at", {"kind": CLICK_KINDS}, _clicks),
    COMPETITOR_PRICES.name: Source(CompetitorPriceObserved, "observed_at", {}, _competitor_prices),
    INVENTORY.name: Source(InventoryCounted, "occurred_at", {}, _inventory),
    PRICE_APPLIED.name: Source(PriceApplied, "applied_at", {"status": STATUSES}, _applied),
    OFFER_POLICIES.name: Source(
        OfferPolicy,
        "updated_at",
        POLICY_CHOICES,
        _policies,
        (_BOUNDS_IN_ORDER, _PROMOTION_WHOLE, _FAMILY_NAMED),
        may_be_null=True,
    ),
    COMMANDS.name: Source(CommandGiven, "at", {"command": COMMAND_KINDS}, command_columns, COMMAND_CHECKS),
    TICKS.name: Source(Ticked, "at", {}, _ticks),
}
"""By topic name."""
