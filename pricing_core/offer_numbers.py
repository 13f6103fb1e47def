"""All numbers of an offer in which it travels to the device: one array for a batch, a column for each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pricing_core import periods, rivals
from pricing_core.decayed_demand import PRIOR_ELASTICITY
from pricing_core.demand.belief import Period
from pricing_core.offers import Offers
from pricing_core.outlook import NO_GUESS
from pricing_core.policy_table import ONE
from pricing_core.rolling_sums import DAY_MS
from schemas.columns import NONE

Float32 = NDArray[np.float32]

DAYS_OF_A_MONTH = 30

# Columns of the array in which all numbers of an offer travel to the device: what the features take as they are,
# what the period that ends has brought, and what is used before either.
OF_FEATURES = (
    "log_price",
    "profit_slope",
    "profit_offset",
    "rival_log_gap",
    "rival_known",
    "rival_age_days",
    "on_hand",
    "days_since_change",
    "days_known",
    "counts_shoppers",
    "salvage_offset",
    "days_left",
    "expected_elasticity",
    "expected_units",
)
NUMBERS = (
    *OF_FEATURES,
    *Period._fields,
    "is_fresh",
    "elapsed_days",
    "uniform",
    "rung",
    "highest_rung",
    "days_since_change_of_demand",
)


def numbers(offers: Offers, uniform: Float32) -> Float32:
    """[n, len(NUMBERS)]: `features.FeatureInputs`, the period that ends, and what `rungs` goes by."""
    state, policy, current = offers.state, offers.policy, offers.current
    rival_log_gap, rival_known, rival_age_days = _rivals(offers)
    first_seen = np.minimum(state["first_seen"], offers.now)
    since = np.where(state["last_change_at"] > 0, state["last_change_at"], first_seen)
    reference = np.where(state["ref_price"] > 0, state["ref_price"], current)
    since_demand = np.maximum(offers.now - state["demand_changed_at"], 0)
    closed = periods.close(offers)
    columns = {
        **{name: getattr(closed, name) for name in (*Period._fields, "counts_shoppers", "is_fresh")},
        "log_price": np.log(current / reference),
        "profit_slope": policy["profit_slope"],
        "profit_offset": policy["profit_offset"] / current,
        "rival_log_gap": rival_log_gap,
        "rival_known": rival_known,
        "rival_age_days": rival_age_days,
        "on_hand": state["on_hand"],
        "days_since_change": np.maximum(offers.now - since, 0) / DAY_MS,
        "days_known": (offers.now - first_seen) / DAY_MS,
        "salvage_offset": policy["salvage_offset"] / current,
        "days_left": _days_left(offers),
        **expectations(policy),
        "elapsed_days": np.maximum(offers.now - state["landmark"], 0) / DAY_MS,
        "uniform": uniform,
        "rung": state["rung"],
        "highest_rung": policy["max_rung"],
        "days_since_change_of_demand": np.where(state["demand_changed_at"] > 0, since_demand / DAY_MS, np.inf),
    }
    return np.stack([columns[name] for name in NUMBERS], axis=1).astype(np.float32)


def expectations(policy: NDArray[np.void]) -> dict[str, NDArray[np.float64]]:
    """What policies expect of their offers, [n] each; the usual where they say nothing, or there is none."""
    elasticity, monthly = policy["expected_elasticity_bp"], policy["expected_monthly_units"]
    return {
        "expected_elasticity": np.where(elasticity > 0, elasticity / ONE, PRIOR_ELASTICITY),
        "expected_units": np.where(monthly > 0, monthly / DAYS_OF_A_MONTH, NO_GUESS),
    }


def _days_left(offers: Offers) -> NDArray[np.float64]:
    """Until a season ends by which a known stock is to be sold, at least 0; inf if there is none, [n]."""
    ends_at = offers.policy["season_ends_at"]
    left = np.maximum(ends_at - offers.now, 0) / DAY_MS
    return np.where((ends_at != NONE) & (offers.state["on_hand"] >= 0), left, np.inf)


def _rivals(offers: Offers) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """ln(cheapest rival in stock / current), whether there is one, and the age of that observation in days, [n]."""
    price, known, age_ms, _ = rivals.cheapest(offers)
    gap = np.log(np.where(known, price, offers.current) / offers.current)
    return gap, known.astype(np.float64), np.where(known, age_ms / DAY_MS, 0.0)
