"""Periods at one price: what the belief about demand learns from.

A period begins with a decision and ends with a later one, a quarter of a day or more after it, or with a change of
price. What it brought are differences of the exact totals, so a row keeps what they were at its beginning. What is
sold until the catalog has answered a change is given to the new price: only at decisions is it on record which events
had come, so that a state can be made again from the topics. A price that no decision has made, of a person or of a
catalog that refused, ends a period without a lesson; the next one begins with the next decision. Where shoppers are
counted they are the exposure, else days are; an offer whose shoppers are counted from some day on starts its tally
anew, for its level is then another. A period in which the stock ran out tells the least of the demand; it ends at the
next decision, however short, and its days end with the stock. Nothing here depends on the order in which events
between two decisions are folded, or on how many at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pricing_core.grouping import Groups
from pricing_core.offers import Offers
from pricing_core.rolling_sums import DAY_MS
from pricing_core.state import NEVER, TOTALS, State
from schemas.columns import Bool, Int64, InventoryColumns

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
    sold_out_at = np.where((row["sold_out_at"] == 0) & (row["on_hand"] == 0), row["opened_at"], row["sold_out_at"])
    sold_out, elapsed = sold_out_at > 0, np.maximum(now - row["opened_at"], 0)
    ends = ~is_void & ((elapsed >= SHORTEST_MS) | sold_out)
    shown = row["totals"][:, _IMPRESSIONS] - row["opened_impressions"]
    counts_shoppers = (row["counts_shoppers"] == 1) | (ends & (shown > 0))
    on_sale = np.where(sold_out, np.maximum(sold_out_at - row["opened_at"], 0), elapsed)
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


def after_decisions(state: State, offers: Offers, learned: Bool, price: Int64) -> None:
    """Begin anew where a period has ended, or where there was none.

    Args:
        state: Of which the rows of the offers change.
        offers: n that were decided.
        learned: [n] whether the tally has learned from what `close` says.
        price: [n] to be in effect from now on; not greater than 0: unknown.
    """
    closed = close(offers)
    again = (learned & closed.ends) | ((closed.is_void | (price != offers.current)) & (price > 0))
    slots = offers.slots[again]
    state.counts_shoppers[slots] |= closed.counts_shoppers[again] & learned[again]
    totals = state.totals[slots]
    state.opened_at[slots], state.opened_price[slots] = offers.now[again], price[again]
    state.opened_units[slots], state.opened_impressions[slots] = _net_units(totals), totals[:, _IMPRESSIONS]
    state.sold_out_at[slots] = np.where(state.on_hand[slots] == 0, offers.now[again], 0)


def note_stock(state: State, groups: Groups, columns: InventoryColumns) -> None:
    """Remember the first time in the open period at which a count was 0."""
    opened_at = state.opened_at[groups.slots]
    is_first = (columns.on_hand == 0) & (opened_at > 0) & (columns.time >= opened_at)
    if is_first.any():
        first, known = groups.smallest(np.where(is_first, columns.time, NEVER)), state.sold_out_at[groups.touched]
        first = np.where(known > 0, np.minimum(first, known), first)
        state.sold_out_at[groups.touched] = np.where(first < NEVER, first, known)


def _net_units(totals: Int64) -> Int64:
    return totals[:, _PLACED] - totals[:, _CANCELLED]
