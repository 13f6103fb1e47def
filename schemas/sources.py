"""For every source topic: how its structs become columns, and which of its rows are refused.

One entry per topic, in `SOURCES`. Everything here sees structs that `msgspec` has already typed and range-checked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Generic, TypeVar

import msgspec
import numpy as np

from schemas.columns import (
    ADD_TO_CART,
    APPLIED,
    AUTO,
    CANCELLED,
    CLICK,
    IMPRESSION,
    MANUAL,
    NONE,
    PAUSED,
    PLACED,
    RECOMMEND,
    REJECTED,
    RETURNED,
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
from schemas.currencies import NUMERIC_CODES
from schemas.dead_letter import Reason
from schemas.events import (
    ClickRecorded,
    CompetitorPriceObserved,
    InventoryCounted,
    OrderRecorded,
    PriceApplied,
    Ticked,
)
from schemas.policies import OfferPolicy
from schemas.topics import (
    CLICKS,
    COMPETITOR_PRICES,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_APPLIED,
    TICKS,
)

S = TypeVar("S", bound=msgspec.Struct)
C = TypeVar("C", bound=Columns)

ORDER_KINDS = {"placed": PLACED, "cancelled": CANCELLED, "returned": RETURNED}
CLICK_KINDS = {"impression": IMPRESSION, "click": CLICK, "add_to_cart": ADD_TO_CART}
STATUSES = {"applied": APPLIED, "rejected": REJECTED, "manual": MANUAL}
MODES = {"auto": AUTO, "recommend": RECOMMEND, "paused": PAUSED}

_OFFER_KEY = re.compile(rb"([ -9;-~]{1,64}):([ -~]{1,128})")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one record is refused."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Check(Generic[S, C]):
    """A rule on columns: which rows it refuses, and what to say about one of them."""

    reason: Reason
    refuses: Callable[[C], Bool]
    detail: Callable[[S], str]


@dataclass(frozen=True, slots=True)
class Source(Generic[S, C]):
    """What is particular to one source topic."""

    type: type[S]
    times: Callable[[list[S]], list[str]]
    """Event time of each row, as text. (A comprehension each: half the cost of an `attrgetter`.)"""
    to_columns: Callable[[Columns, list[S]], C]
    checks: tuple[Check[S, C], ...] = ()
    keyed: bool = True
    """Whether the record's key must be the offer key of its value."""
    tombstone: Callable[[bytes | None], S | Fault] | None = None
    """What a null value stands for, if the topic allows one."""

    @property
    def has_event_id(self) -> bool:
        """Whether its records can be recognised when they are sent again."""
        return "event_id" in self.type.__struct_fields__


def _ints(values: list[int]) -> Int64:
    return np.fromiter(values, np.int64, len(values))


def _codes(values: list[Any], codes: dict[Any, int]) -> Int8:
    return np.fromiter(map(codes.__getitem__, values), np.int8, len(values))


def _currencies(codes: list[str]) -> Int64:
    """Numeric codes; `NONE` for what is no currency."""
    if len(set(codes)) == 1:  # nearly always, and five times as fast
        return np.full(len(codes), NUMERIC_CODES.get(codes[0], NONE), np.int64)
    return _ints([NUMERIC_CODES.get(code, NONE) for code in codes])


def _optional(values: list[int | None], factor: int = 1) -> Int64:
    return _ints([NONE if value is None else value * factor for value in values])


@lru_cache(maxsize=65_536)
def competitor_digest(name: str) -> int:
    """First 8 bytes of BLAKE2b of a competitor's name, as a signed integer: state rows hold no text."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def _orders(base: Columns, rows: list[OrderRecorded]) -> OrderColumns:
    return OrderColumns(
        base.keys,
        base.index,
        base.time,
        kind=_codes([row.type for row in rows], ORDER_KINDS),
        quantity=_ints([row.quantity for row in rows]),
        amount=_ints([row.line_total for row in rows]),
        currency=_currencies([row.currency for row in rows]),
    )


def _clicks(base: Columns, rows: list[ClickRecorded]) -> ClickColumns:
    return ClickColumns(
        base.keys,
        base.index,
        base.time,
        kind=_codes([row.kind for row in rows], CLICK_KINDS),
        count=_ints([row.count for row in rows]),
        price=_ints([row.price_shown for row in rows]),
    )


def _competitor_prices(base: Columns, rows: list[CompetitorPriceObserved]) -> CompetitorColumns:
    return CompetitorColumns(
        base.keys,
        base.index,
        base.time,
        competitor=_ints([competitor_digest(row.competitor) for row in rows]),
        price=_ints([row.price + row.shipping for row in rows]),
        currency=_currencies([row.currency for row in rows]),
        in_stock=np.fromiter([row.in_stock for row in rows], np.bool_, len(rows)),
    )


def _inventory(base: Columns, rows: list[InventoryCounted]) -> InventoryColumns:
    return InventoryColumns(base.keys, base.index, base.time, on_hand=_ints([row.on_hand for row in rows]))


def _applied(base: Columns, rows: list[PriceApplied]) -> AppliedColumns:
    return AppliedColumns(
        base.keys,
        base.index,
        base.time,
        version=_ints([row.version for row in rows]),
        status=_codes([row.status for row in rows], STATUSES),
        price=_ints([row.price for row in rows]),
        currency=_currencies([row.currency for row in rows]),
    )


def _policies(base: Columns, rows: list[OfferPolicy]) -> PolicyColumns:
    version = _ints([row.version for row in rows])
    return PolicyColumns(
        base.keys,
        base.index,
        base.time,
        removed=version == 0,
        version=version,
        currency=_ints([NUMERIC_CODES.get(row.currency, NONE) if row.version else 0 for row in rows]),
        unit_cost=_ints([row.unit_cost for row in rows]),
        list_price=_ints([row.list_price for row in rows]),
        floor=_ints([row.floor for row in rows]),
        ceiling=_ints([row.ceiling for row in rows]),
        mode=_codes([row.mode for row in rows], MODES),
        tax_rate_bp=_ints([row.tax_rate_bp for row in rows]),
        prices_include_tax=np.fromiter([row.prices_include_tax for row in rows], np.bool_, len(rows)),
        commission_bp=_ints([row.commission_bp for row in rows]),
        fixed_fee=_ints([row.fixed_fee for row in rows]),
        min_margin_bp=_optional([row.min_margin_bp for row in rows]),
        map_price=_optional([row.map_price for row in rows]),
        max_step_bp=_ints([row.max_step_bp for row in rows]),
        max_daily_change_bp=_ints([row.max_daily_change_bp for row in rows]),
        cooldown_ms=_ints([row.cooldown_s * 1000 for row in rows]),
        min_change_bp=_ints([row.min_change_bp for row in rows]),
        ending=_ints([NONE if row.price_ending is None else int(row.price_ending) for row in rows]),
        ending_modulus=_ints([10 ** len(row.price_ending or "") for row in rows]),
        max_stock_age_ms=_optional([row.max_stock_age_s for row in rows], 1000),
        max_competitor_age_ms=_optional([row.max_competitor_age_s for row in rows], 1000),
    )


def _removal(key: bytes | None) -> OfferPolicy | Fault:
    """The row that a tombstone stands for: version 0, which no policy has, and zeroes."""
    if not key:
        return Fault(Reason.MISSING_KEY, "a tombstone without a key")
    found = _OFFER_KEY.fullmatch(key)
    if found is None:
        return Fault(Reason.KEY_MISMATCH, f"{key[:200]!r} is not channel:sku")
    channel, sku = (part.decode("ascii") for part in found.groups())
    return OfferPolicy(sku, channel, 0, "", 0, 0, 0, 0, "1970-01-01T00:00:00Z", min_margin_bp=0, map_price=0)


def _ticks(base: Columns, rows: list[Ticked]) -> TickColumns:
    return TickColumns([b""] * len(rows), base.index, base.time)


def _occurred_at(rows: list[Any]) -> list[str]:
    return [row.occurred_at for row in rows]


def _observed_at(rows: list[CompetitorPriceObserved]) -> list[str]:
    return [row.observed_at for row in rows]


def _applied_at(rows: list[PriceApplied]) -> list[str]:
    return [row.applied_at for row in rows]


def _updated_at(rows: list[OfferPolicy]) -> list[str]:
    return [row.updated_at for row in rows]


def _at(rows: list[Ticked]) -> list[str]:
    return [row.at for row in rows]


_KNOWN_CURRENCY: Check[Any, Any] = Check(
    Reason.UNKNOWN_CURRENCY,
    lambda columns: columns.currency == NONE,
    lambda row: f"{row.currency!r} is not an ISO 4217 currency",
)
_BOUNDS_IN_ORDER: Check[OfferPolicy, PolicyColumns] = Check(
    Reason.CONTRADICTORY_BOUNDS,
    lambda columns: columns.floor > columns.ceiling,
    lambda row: f"floor {row.floor} is above ceiling {row.ceiling}",
)

SOURCES: dict[str, Source[Any, Any]] = {
    ORDERS.name: Source(OrderRecorded, _occurred_at, _orders, (_KNOWN_CURRENCY,)),
    CLICKS.name: Source(ClickRecorded, _occurred_at, _clicks),
    COMPETITOR_PRICES.name: Source(CompetitorPriceObserved, _observed_at, _competitor_prices, (_KNOWN_CURRENCY,)),
    INVENTORY.name: Source(InventoryCounted, _occurred_at, _inventory),
    PRICE_APPLIED.name: Source(PriceApplied, _applied_at, _applied, (_KNOWN_CURRENCY,)),
    OFFER_POLICIES.name: Source(
        OfferPolicy, _updated_at, _policies, (_KNOWN_CURRENCY, _BOUNDS_IN_ORDER), tombstone=_removal
    ),
    TICKS.name: Source(Ticked, _at, _ticks, keyed=False),
}
"""By topic name."""
