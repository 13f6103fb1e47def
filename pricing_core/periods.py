"""Periods at one price: what the belief about demand learns from.

A period begins when an offer is decided, or when the catalog has applied another price, and ends at a later decision,
a quarter of a day or more after its beginning. What it brought are differences of the exact totals, so a row keeps
what they were at its beginning. What was sold between a decision and the catalog's answer to it is given to neither
price. Where shoppers are counted they are the exposure, else days are; an offer whose shoppers are counted from some
day on starts its tally anew, for its level is then another. A period in which the stock ran out tells the least of
the demand; it ends at the next decision, however short, and its days end with the stock.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pricing_core.offers import Offers
from pricing_core.rolling_sums import DAY_MS
from pricing_core.slots import Slots
from pricing_core.state import TOTALS, State
from schemas.columns import Bool, Int64

Float64 = NDArray[np.float64]

SHORTEST_MS = DAY_MS // 4
"""Shorter periods stay open: the noise of an hour is not the noise of a day."""

_PLACED, _CANCELLED, _IMPRESSIONS = (TOTALS.index(name) for name in ("units_placed", "units_cancelled", "impressions"))


class Closed(NamedTuple):
    """What the open periods of n offers brought, [n]; exposure 0 where a period stays open or is worth nothing."""

    ends: Bool
    """The period ends with this decision."""
    is_void: Bool
    """There is none, or the price changed unseen: begin anew, learn nothing."""
    ratio: Float64
    """Price / reference price."""
    exposure: Float64
    units: Float64
    censored: Bool
    days: Float64
    counts_shoppers: Bool
    """The unit of exposure is a shopper."""
    is_fresh: Bool
    """It was a day until now."""


def close(offers: Offers) -> Closed:
    """See what a decision about n offers with a known price could learn."""
    row, now = offers.state, offers.now
    is_void = (row["opened_at"] == 0) | (row["opened_price"] != offers.current) | (row["ref_price"] <= 0)
    sold_out = row["sold_out_at"] > 0
    elapsed = np.maximum(now - row["opened_at"], 0)
    ends = ~is_void & ((elapsed >= SHORTEST_MS) | sold_out)
    shown = row["totals"][:, _IMPRESSIONS] - row["opened_impressions"]
    counts_shoppers = (row["counts_shoppers"] == 1) | (ends & (shown > 0))
    on_sale = np.where(sold_out, np.maximum(row["sold_out_at"] - row["opened_at"], 0), elapsed)
    exposure = np.where(counts_shoppers, shown, on_sale / DAY_MS)
    return Closed(
        ends=ends,
        is_void=is_void,
        ratio=np.where(is_void, 1.0, row["opened_price"] / np.maximum(row["ref_price"], 1)),
        exposure=np.where(ends & (on_sale > 0), exposure, 0.0),
        units=np.maximum(_net_units(row["totals"]) - row["opened_units"], 0).astype(np.float64),
        censored=sold_out,
        days=elapsed / DAY_MS,
        counts_shoppers=counts_shoppers,
        is_fresh=counts_shoppers & (row["counts_shoppers"] == 0),
    )


def after_decisions(state: State, offers: Offers, learned: Bool) -> None:
    """Begin anew where a period has ended and was learned from (``learned`` [n]), or where there was none."""
    closed = close(offers)
    again = (learned & closed.ends) | (closed.is_void & (offers.current > 0))
    slots = offers.slots[again]
    state.counts_shoppers[slots] |= closed.counts_shoppers[again] & learned[again]
    begin(state, slots, offers.current[again], offers.now[again])


def begin(state: State, slots: Slots, price: Int64, now: Int64) -> None:
    """Begin the periods of distinct offers at the given prices and times, [m]."""
    totals = state.totals[slots]
    state.opened_at[slots], state.opened_price[slots] = now, price
    state.opened_units[slots], state.opened_impressions[slots] = _net_units(totals), totals[:, _IMPRESSIONS]
    state.sold_out_at[slots] = np.where(state.on_hand[slots] == 0, now, 0)


def note_stock(state: State, slots: Slots, on_hand: Int64, time: Int64) -> None:
    """Remember when the stock of distinct offers ran out first in their open period."""
    first = (on_hand == 0) & (state.sold_out_at[slots] == 0) & (state.opened_at[slots] > 0)
    state.sold_out_at[slots[first]] = np.maximum(time[first], state.opened_at[slots[first]])


def _net_units(totals: Int64) -> Int64:
    return totals[:, _PLACED] - totals[:, _CANCELLED]
