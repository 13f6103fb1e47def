"""Columns for tests, written row by row: every field has a plain value, and a test names what it is about."""

import numpy as np

from schemas import columns as c
from schemas.binary import BinaryArray

T0 = 1_750_000_000_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
EUR, USD = 978, 840
KEY = b"web:sku-1"

POLICY = {
    "removed": False,
    "version": 1,
    "currency": EUR,
    "unit_cost": 700,
    "list_price": 1299,
    "floor": 900,
    "ceiling": 2000,
    "mode": c.AUTO,
    "tax_rate_bp": 0,
    "prices_include_tax": True,
    "commission_bp": 0,
    "fixed_fee": 0,
    "min_margin_bp": c.NONE,
    "map_price": c.NONE,
    "max_step_bp": 1000,
    "max_daily_change_bp": 3000,
    "cooldown_ms": HOUR,
    "min_change_bp": 50,
    "ending": c.NONE,
    "ending_modulus": 1,
    "goal": c.PROFIT,
    "emergency_price": c.NONE,
    "max_emergency_rise_bp": 1000,
    "reductions": c.SILENT,
    "promotion_price": c.NONE,
    "promotion_from": c.NONE,
    "promotion_to": c.NONE,
    "competitor_rule": c.FREE,
    "competitor_bp": 0,
    "heeds_all": True,
    "competitors": [0] * 8,
    "max_rung": c.Q_FUNCTION,
    "expected_elasticity_bp": c.NONE,
    "expected_monthly_units": c.NONE,
    "season_ends_at": c.NONE,
    "salvage_value": c.NONE,
    "max_stock_age_ms": c.NONE,
    "max_competitor_age_ms": c.NONE,
    "category": 0,
    "family": 0,
    "max_family_spread_bp": c.NONE,
}
_DEFAULTS = {
    c.PolicyColumns: POLICY,
    c.OrderColumns: {"kind": c.PLACED, "quantity": 1, "amount": 1299, "currency": EUR},
    c.ClickColumns: {"kind": c.IMPRESSION, "count": 1, "price": 1299},
    c.CompetitorColumns: {"competitor": 1, "price": 1250, "currency": EUR, "in_stock": True},
    c.InventoryColumns: {"on_hand": 10},
    c.AppliedColumns: {"version": 1, "status": c.APPLIED, "price": 1299, "currency": EUR},
    c.CommandColumns: {
        "kind": c.PAUSE,
        "value": c.NONE,
        "currency": c.NONE,
        "expires_at": c.NONE,
        "offset": 0,
    },
    c.TickColumns: {},
}
_TYPES = {"removed": np.bool_, "prices_include_tax": np.bool_, "in_stock": np.bool_}
_TYPES |= {"heeds_all": np.bool_}
_TYPES |= dict.fromkeys(("kind", "status", "mode", "goal", "reductions", "competitor_rule", "max_rung"), np.int8)


def batch(kind, *rows):
    """Columns of one kind; each row is a dictionary of what differs from the defaults, with ``key`` and ``time``."""
    filled = [{"key": KEY, "time": T0, **_DEFAULTS[kind], **row} for row in rows]
    values = {
        name: np.array([row[name] for row in filled], _TYPES.get(name, np.int64)) for name in ("time", *_DEFAULTS[kind])
    }
    return kind(keys=BinaryArray.of(row["key"] for row in filled), index=np.arange(len(rows)), **values)


def policy(**changes):
    return batch(c.PolicyColumns, changes)


def order(**changes):
    return batch(c.OrderColumns, changes)


def click(**changes):
    return batch(c.ClickColumns, changes)


def competitor(**changes):
    return batch(c.CompetitorColumns, changes)


def stock(**changes):
    return batch(c.InventoryColumns, changes)


def applied(**changes):
    return batch(c.AppliedColumns, changes)


def manual(**changes):
    return batch(c.AppliedColumns, {"status": c.MANUAL, "version": 0, **changes})


def command(kind, value=c.NONE, **changes):
    currency = EUR if kind == c.ROLL_BACK else c.NONE
    return batch(c.CommandColumns, {"kind": kind, "value": value, "currency": currency, **changes})
