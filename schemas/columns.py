"""A batch of events as columns: what `schemas.codec` makes of bytes and `pricing_core` folds into state.

All arrays of one value have the same length n. Times are int64 milliseconds since the epoch, money is
int64 minor units, currencies are the numeric ISO 4217 code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from schemas.binary import BinaryArray

Int64 = NDArray[np.int64]
Int8 = NDArray[np.int8]
Bool = NDArray[np.bool_]

PLACED, CANCELLED, RETURNED = 0, 1, 2
IMPRESSION, CLICK, ADD_TO_CART = 0, 1, 2
APPLIED, REJECTED, MANUAL = 0, 1, 2
AUTO, RECOMMEND, PAUSED, ON_APPROVAL = 0, 1, 2, 3
PROFIT, REVENUE = 0, 1
SILENT, ANNOUNCED, ANNOUNCED_OR_HELD = 0, 1, 2
PAUSE, RESUME, APPROVE, REJECT, ROLL_BACK = 1, 2, 3, 4, 5
"""State rows hold them; 0 is no command."""
FREE, MATCH, UNDERCUT, WITHIN = 0, 1, 2, 3
RULES, BANDIT, Q_FUNCTION = 0, 1, 2
"""Rungs of the evidence ladder; state rows hold them."""

NONE = -1
"""An optional integer that is not set."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What all kinds share."""

    keys: BinaryArray
    """Offer key of each row."""
    index: Int64
    """Position of each row's record in the record batch that it came from."""
    time: Int64

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Put batches behind one another, at least one."""
        if len(parts) == 1:
            return parts[0]
        columns = {f.name: [getattr(part, f.name) for part in parts] for f in fields(cls)}
        keys = BinaryArray.joined(columns.pop("keys"))
        joined: dict[str, Any] = {name: np.concatenate(arrays) for name, arrays in columns.items()}
        return cls(keys=keys, **joined)

    def take(self, rows: Int64) -> Self:
        """Keep the given rows, in the given order."""
        kept: dict[str, Any] = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "keys"}
        return type(self)(keys=self.keys.take(rows), **kept)


@dataclass(frozen=True, slots=True)
class OrderColumns(Columns):
    """Rows of ``orders``. Amounts are totals of the line, not of a piece."""

    kind: Int8
    """`PLACED`, `CANCELLED` or `RETURNED`."""
    quantity: Int64
    amount: Int64
    currency: Int64


@dataclass(frozen=True, slots=True)
class ClickColumns(Columns):
    """Rows of ``clicks``."""

    kind: Int8
    """`IMPRESSION`, `CLICK` or `ADD_TO_CART`."""
    count: Int64
    price: Int64
    """What the shoppers saw."""


@dataclass(frozen=True, slots=True)
class CompetitorColumns(Columns):
    """Rows of ``competitor-prices``."""

    competitor: Int64
    """First 8 bytes of BLAKE2b of the competitor's name."""
    price: Int64
    """Landed: price and shipping."""
    currency: Int64
    in_stock: Bool


@dataclass(frozen=True, slots=True)
class InventoryColumns(Columns):
    """Rows of ``inventory``."""

    on_hand: Int64


@dataclass(frozen=True, slots=True)
class AppliedColumns(Columns):
    """Rows of ``price-applied``."""

    version: Int64
    status: Int8
    """`APPLIED`, `REJECTED` or `MANUAL`."""
    price: Int64
    currency: Int64


@dataclass(frozen=True, slots=True)
class PolicyColumns(Columns):
    """Optional integers are `NONE` where the policy has null. Where ``removed`` is true nothing else counts."""

    removed: Bool
    """The record is a tombstone."""
    version: Int64
    currency: Int64
    unit_cost: Int64
    list_price: Int64
    floor: Int64
    ceiling: Int64
    mode: Int8
    """`AUTO`, `RECOMMEND`, `PAUSED` or `ON_APPROVAL`."""
    tax_rate_bp: Int64
    prices_include_tax: Bool
    commission_bp: Int64
    fixed_fee: Int64
    min_margin_bp: Int64
    map_price: Int64
    max_step_bp: Int64
    max_daily_change_bp: Int64
    cooldown_ms: Int64
    min_change_bp: Int64
    ending: Int64
    """Value of the last digits; `NONE` if any ending will do."""
    ending_modulus: Int64
    """10 ** number of digits; 1 if any ending will do."""
    goal: Int8
    """`PROFIT` or `REVENUE`."""
    emergency_price: Int64
    max_emergency_rise_bp: Int64
    reductions: Int8
    """`SILENT`, `ANNOUNCED` or `ANNOUNCED_OR_HELD`."""
    promotion_price: Int64
    promotion_from: Int64
    promotion_to: Int64
    competitor_rule: Int8
    """`FREE`, `MATCH`, `UNDERCUT` or `WITHIN`."""
    competitor_bp: Int64
    heeds_all: Bool
    """No competitor is named."""
    competitors: Int64
    """[n, `policies.MAX_NAMED`] as `CompetitorColumns.competitor`; 0 where there is none."""
    max_rung: Int8
    """`RULES`, `BANDIT` or `Q_FUNCTION`."""
    expected_elasticity_bp: Int64
    expected_monthly_units: Int64
    season_ends_at: Int64
    """ms; `NONE` if the stock is not to be sold by a day."""
    salvage_value: Int64
    max_stock_age_ms: Int64
    max_competitor_age_ms: Int64
    category: Int64
    """`sources.name_digest` of its name; 0 without one."""
    family: Int64
    """`sources.family_digest` of the family that the offer is a member of; 0 without one."""
    max_family_spread_bp: Int64


@dataclass(frozen=True, slots=True)
class CommandColumns(Columns):
    """Rows of ``commands``."""

    kind: Int8
    """`PAUSE`, `RESUME`, `APPROVE`, `REJECT` or `ROLL_BACK`."""
    value: Int64
    """Number of the decision that is approved or rejected; price to go back to; else `NONE`."""
    currency: Int64
    """Of the price; `NONE` without one."""
    expires_at: Int64
    """`NONE` for never."""
    offset: Int64
    """Of each row's record in ``commands``: `NONE` until who has read it says."""


@dataclass(frozen=True, slots=True)
class TickColumns(Columns):
    """Keys are empty: a tick speaks to its whole partition."""
