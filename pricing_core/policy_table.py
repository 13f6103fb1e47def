"""The policies of all offers as columns, with the static bounds that follow from each.

Policies are not in the changelog rows: the compacted topic that they come from is read again.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pricing_core.grouping import Groups
from pricing_core.slots import Slots
from schemas.columns import NONE, REVENUE, Int64, PolicyColumns
from schemas.compiled import kernel
from schemas.money import divide_up
from schemas.policies import MAX_NAMED

ONE = 10_000
"""In basis points."""

IMPOSSIBLE = 2**53 - 1
"""A lower bound that no price reaches (`schemas.events.MAX_AMOUNT`), and that JSON keeps exact."""

_COPIED = (
    "version",
    "currency",
    "list_price",
    "floor",
    "ceiling",
    "map_price",
    "max_step_bp",
    "max_daily_change_bp",
    "cooldown_ms",
    "min_change_bp",
    "ending",
    "ending_modulus",
    "emergency_price",
    "max_emergency_rise_bp",
    "promotion_price",
    "promotion_from",
    "promotion_to",
    "competitor_bp",
    "expected_elasticity_bp",
    "expected_monthly_units",
    "season_ends_at",
    "max_stock_age_ms",
    "max_competitor_age_ms",
    "category",
    "family",
    "max_family_spread_bp",
)

SIBLINGS = ("family_low", "family_high", "family_count")
"""What was known of the other members of the family at a decision, see `families`; in the table they are 0.

The lowest and the highest of their prices, `NONE` where none is known; their number, `NONE` where it is not known.
"""

POLICY = np.dtype(
    [
        ("present", "?"),
        ("mode", "i1"),
        ("reductions", "i1"),
        ("competitor_rule", "i1"),
        ("heeds_all", "?"),
        ("max_rung", "i1"),
        ("reserved", "V2"),
        *((name, "<i8") for name in _COPIED),
        ("margin_floor", "<i8"),  # smallest price with the minimum margin; 0 without one
        ("low", "<i8"),  # static bounds: floor, minimum margin and MAP; ceiling and emergency cap
        ("high", "<i8"),
        ("profit_slope", "<f8"),  # unit profit at p is slope · p - offset
        ("profit_offset", "<f8"),
        ("competitors", "<i8", (MAX_NAMED,)),
        ("salvage_offset", "<f8"),  # what a unit that is left when the season ends is worth, and fees
        *((name, "<i8") for name in SIBLINGS),
    ]
)

_RAW = np.dtype((np.void, POLICY.itemsize))
"""Rows as opaque bytes: NumPy copies them faster than field by field."""


class PolicyTable:
    """One policy per row of the arena; ``present`` is false where there is none."""

    def __init__(self, capacity: int) -> None:
        self.rows: NDArray[np.void] = np.zeros(capacity, POLICY)
        self._raw = self.rows.view(_RAW)
        self.present: NDArray[np.bool_] = self.rows["present"]
        self.list_price: Int64 = self.rows["list_price"]
        self.cooldown_ms: Int64 = self.rows["cooldown_ms"]
        self.promotion_from: Int64 = self.rows["promotion_from"]
        self.category: Int64 = self.rows["category"]
        self.family: Int64 = self.rows["family"]
        self.currency: Int64 = self.rows["currency"]

    @staticmethod
    def warm_up() -> None:
        """Compile everything."""
        _newest(*(np.zeros(1, kind) for kind in (np.int64, np.bool_, np.int64, np.int64, np.int64)))

    def clear(self, slots: Slots) -> None:
        """Remove the policies of rows."""
        self.rows[slots] = np.zeros((), POLICY)

    def take(self, slots: Slots) -> NDArray[np.void]:
        """Copy rows."""
        return self._raw[slots].view(POLICY)

    def put(self, slots: Slots, columns: PolicyColumns) -> None:
        """Set the policies of distinct rows; those marked as removed become absent."""
        rows = np.zeros(len(columns), POLICY)
        rows["present"] = True
        for name in (*_COPIED, "mode", "reductions", "competitor_rule", "heeds_all", "competitors", "max_rung"):
            rows[name] = getattr(columns, name)
        rows["margin_floor"] = _margin_floors(columns)
        set_bounds(rows)
        net = np.where(columns.prices_include_tax, ONE / (ONE + columns.tax_rate_bp), 1.0)
        rows["profit_slope"] = net - columns.commission_bp / ONE
        rows["profit_offset"] = np.where(columns.goal == REVENUE, 0, columns.unit_cost + columns.fixed_fee)
        left = np.where(columns.salvage_value == NONE, columns.unit_cost, columns.salvage_value)
        rows["salvage_offset"] = np.where(columns.goal == REVENUE, 0, left + columns.fixed_fee)
        rows[columns.removed] = np.zeros((), POLICY)
        self.rows[slots] = rows


def set_bounds(rows: NDArray[np.void]) -> None:
    """Make the static bounds follow from the policies' own numbers."""
    rows["low"] = np.maximum(np.maximum(rows["floor"], rows["margin_floor"]), rows["map_price"])  # NONE is below all
    rows["high"] = np.minimum(rows["ceiling"], emergency_cap(rows))


def emergency_cap(rows: NDArray[np.void]) -> Int64:
    """Highest price p with p · 10⁴ ≤ emergency price · (10⁴ + largest rise), [n]; `IMPOSSIBLE` without an emergency."""
    price = rows["emergency_price"]
    return np.where(price == NONE, IMPOSSIBLE, price * (ONE + rows["max_emergency_rise_bp"]) // ONE)


def newest(groups: Groups, columns: PolicyColumns, known: Int64) -> Int64:
    """Pick the row that counts for each offer: as if they were applied one after the other.

    A version below the known one is ignored; a removal forgets the version, so that an offer can begin anew.

    Args:
        groups: n rows of m offers.
        columns: n rows.
        known: [m] version known of each offer; 0 if it has no policy.

    Returns:
        Rows, at most one for each offer.
    """
    counting = np.full(len(groups), NONE)
    _newest(groups.inverse, columns.removed, columns.version, known.copy(), counting)
    rows: Int64 = counting[counting != NONE]
    return rows


@kernel
def _newest(offer: Any, removed: Any, version: Any, known: Any, counting: Any) -> None:
    for row in range(len(offer)):
        if removed[row] or version[row] >= known[offer[row]]:
            known[offer[row]] = 0 if removed[row] else version[row]
            counting[offer[row]] = row


def margin_floor(*, margin_bp: int, tax_bp: int, commission_bp: int, cost: int, fixed_fee: int) -> int:
    """Smallest whole price whose margin after tax, commission, cost and fee is at least the minimum.

    With net(p) = p / (1 + tax) and profit(p) = net(p) - commission · p - fee - cost, profit(p) / net(p) ≥ margin is
    p · ((1 - margin) / (1 + tax) - commission) ≥ cost + fee; below, both sides times 10⁴ · (10⁴ + tax_bp).

    Args:
        margin_bp: Minimum margin.
        tax_bp: Tax inside the price; 0 where prices are without tax.
        commission_bp: Share of the shown price.
        cost: Of one piece, minor units.
        fixed_fee: Of one piece, minor units.

    Returns:
        Minor units, at least 1; `IMPOSSIBLE` if no price will do.
    """
    kept = ONE * (ONE - margin_bp) - commission_bp * (ONE + tax_bp)
    needed = (cost + fixed_fee) * ONE * (ONE + tax_bp)
    if kept < 0 or (kept == 0 and needed > 0):
        return IMPOSSIBLE
    return min(max(1, divide_up(needed, kept)), IMPOSSIBLE) if needed else 1


def _margin_floors(columns: PolicyColumns) -> Int64:
    floors = np.zeros(len(columns), np.int64)
    rows = np.flatnonzero((columns.min_margin_bp != NONE) & ~columns.removed)
    tax_bp = np.where(columns.prices_include_tax, columns.tax_rate_bp, 0)
    terms = (columns.min_margin_bp, tax_bp, columns.commission_bp, columns.unit_cost, columns.fixed_fee)
    # Python's integers: the products do not fit into 64 bits.
    floors[rows] = [
        margin_floor(margin_bp=margin, tax_bp=tax, commission_bp=commission, cost=cost, fixed_fee=fee)
        for margin, tax, commission, cost, fee in zip(*(term[rows].tolist() for term in terms), strict=True)
    ]
    return floors
