"""Events into state: one function for each kind of columns.

Values resolve by event time, so that an older observation never overwrites a newer one; totals and decayed sums
take every event, however late.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pricing_core import competitors, periods, price_window
from pricing_core.acknowledgements import told_now
from pricing_core.commands import fold_commands
from pricing_core.grouping import Groups
from pricing_core.policy_table import PolicyTable, newest
from pricing_core.rolling_sums import DAY_MS, RollingSums, reduce
from pricing_core.slots import Slots
from pricing_core.state import TOTALS, State
from schemas.columns import (
    CLICK,
    IMPRESSION,
    MANUAL,
    PLACED,
    AppliedColumns,
    ClickColumns,
    Columns,
    CommandColumns,
    CompetitorColumns,
    Int64,
    InventoryColumns,
    OrderColumns,
    PolicyColumns,
)

Float32 = NDArray[np.float32]

MAX_LOG_PRICE = 2.0
"""|ln(price / reference)| is cut here: one mistyped price must not outweigh a month of true ones."""

# Totals that orders change, and those that clicks change; columns of each by the kind of the event.
_SALES, _SHOPPERS = slice(0, TOTALS.index("impressions")), slice(TOTALS.index("impressions"), len(TOTALS))
_UNITS = np.array([TOTALS.index(f"units_{kind}") for kind in ("placed", "cancelled", "returned")])
_AMOUNT = np.array([TOTALS.index(f"amount_{kind}") for kind in ("placed", "cancelled", "returned")])
_ORDERS, _ORDER_ROWS = TOTALS.index("orders"), TOTALS.index("order_rows")

_NOBODY = np.empty(0, np.int64)


def fold(
    state: State, policies: PolicyTable, sums: RollingSums, groups: Groups, columns: Columns, *, now: Int64
) -> tuple[Slots, Slots]:
    """Fold a batch of any kind.

    Args:
        state: What is changed.
        policies: Changed by policies.
        sums: Changed by orders and clicks.
        groups: Offers of the rows.
        columns: [n] events.
        now: [n] event time of each row's shard, ms.

    Returns:
        Offers that have changed; offers whose pending change is answered.
    """
    match columns:
        case OrderColumns():
            fold_orders(state, sums, groups, columns)
        case ClickColumns():
            fold_clicks(state, sums, groups, columns)
        case CompetitorColumns():
            fold_competitors(state, groups, columns)
        case InventoryColumns():
            fold_inventory(state, groups, columns)
        case PolicyColumns():
            return fold_policies(state, policies, groups, columns), _NOBODY
        case CommandColumns():
            fold_commands(state, groups, columns)
        case AppliedColumns():
            return groups.touched, fold_applied(state, groups, columns, policies.list_price, now)
        case _:
            raise TypeError(f"{type(columns).__name__} are no events")
    return groups.touched, _NOBODY


def fold_orders(state: State, sums: RollingSums, groups: Groups, columns: OrderColumns) -> None:
    """Totals of all kinds; demand (the decayed units) counts what was placed, cancelled later or not."""
    placed = columns.kind == PLACED
    _add_totals(
        state.totals[:, _SALES],
        groups,
        (_UNITS[columns.kind], columns.quantity),
        (_AMOUNT[columns.kind], columns.amount),
        (_ORDERS, placed.astype(np.int64)),
        (_ORDER_ROWS, np.ones(len(columns), np.int64)),
    )
    state.last_order[groups.touched] = np.maximum(state.last_order[groups.touched], groups.largest(columns.time))
    units = np.where(placed, columns.quantity, 0).astype(np.float32)
    x = _log_price(state, groups.slots, columns.amount / np.maximum(columns.quantity, 1))
    _fold_sums(state, sums, groups, columns.time, {"units": units, "units_x": units * x})


def fold_clicks(state: State, sums: RollingSums, groups: Groups, columns: ClickColumns) -> None:
    """What shoppers did, at the price that they saw."""
    _add_totals(state.totals[:, _SHOPPERS], groups, (columns.kind, columns.count))
    _set_reference(state, groups.touched, columns.price[groups.first()])
    x = _log_price(state, groups.slots, columns.price)
    impressions = np.where(columns.kind == IMPRESSION, columns.count, 0).astype(np.float32)
    shown_x = impressions * x
    statistics = {"impressions": impressions, "impressions_x": shown_x, "impressions_xx": shown_x * x}
    clicks = columns.kind == CLICK
    if clicks.any():
        statistics["clicks"] = np.where(clicks, columns.count, 0).astype(np.float32)
    _fold_sums(state, sums, groups, columns.time, statistics)


def fold_inventory(state: State, groups: Groups, columns: InventoryColumns) -> None:
    """Keep the latest count."""
    rows = groups.latest(columns.time)
    newer = columns.time[rows] >= state.stock_at[groups.touched]
    touched, rows = groups.touched[newer], rows[newer]
    state.on_hand[touched], state.stock_at[touched] = columns.on_hand[rows], columns.time[rows]
    periods.note_stock(state, groups, columns)
    see(state, groups, columns.time)


def fold_competitors(state: State, groups: Groups, columns: CompetitorColumns) -> None:
    """Remember the latest prices of competitors, see `competitors`."""
    see(state, groups, columns.time)
    competitors.remember(state, groups, columns)


def fold_applied(state: State, groups: Groups, columns: AppliedColumns, list_price: Int64, now: Int64) -> Slots:
    """Take over the catalog's price; versions, then the catalog's clock, never go backwards.

    Args:
        state: What is changed.
        groups: Offers of the rows.
        columns: The catalog's answers.
        list_price: [capacity] in effect until the catalog has reported a price; 0 unknown.
        now: [n] event time, ms: the catalog's clock may be ahead of it, so a person's change is dated by this.

    Returns:
        Offers whose pending version is answered.
    """
    rows = groups.latest(columns.version, columns.time)
    touched, version, time = groups.touched, columns.version[rows], columns.time[rows]
    known_version, known_time = state.price_version[touched], state.price_at[touched]
    newer = (version > known_version) | ((version == known_version) & (time >= known_time))
    touched, rows, version = touched[newer], rows[newer], version[newer]
    after, manual = columns.price[rows], columns.status[rows] == MANUAL
    before = np.where(state.price[touched] > 0, state.price[touched], list_price[touched])
    before = np.where(before > 0, before, after)
    _note_drift(state, touched, columns.take(rows), before)
    state.price[touched], state.price_version[touched], state.price_at[touched] = after, version, columns.time[rows]
    _set_reference(state, touched, after)
    changed = manual & (before != after)
    _date_change(state, touched[changed], before[changed], after[changed], now[rows][changed])
    return _settle(state, touched, version)


def fold_policies(state: State, policies: PolicyTable, groups: Groups, columns: PolicyColumns) -> Slots:
    """Take over policies by version.

    A policy names the offer's currency, unless orders or the catalog have already said another: then the offer is
    held. Competitors' prices of another currency are forgotten.

    Returns:
        Offers whose policy was set or removed.
    """
    rows = newest(groups, columns, state.policy_version[groups.touched])
    columns, slots = columns.take(rows), groups.slots[rows]
    policies.put(slots, columns)
    state.policy_version[slots] = np.where(columns.removed, 0, columns.version)
    _set_currency(state, slots[~columns.removed], columns.currency[~columns.removed])
    price = np.where(state.price[slots] > 0, state.price[slots], columns.list_price)
    _set_reference(state, slots[~columns.removed], price[~columns.removed])
    return slots


def see(state: State, groups: Groups, time: Int64) -> None:
    """Note that an event of each offer was seen."""
    touched = groups.touched
    state.first_seen[touched] = np.minimum(state.first_seen[touched], groups.smallest(time))
    state.last_event[touched] = np.maximum(state.last_event[touched], groups.largest(time))


def _date_change(state: State, slots: Slots, before: Int64, after: Int64, now: Int64) -> None:
    """Let cooldown and daily limit count a price that a person set."""
    state.last_change_at[slots] = np.maximum(state.last_change_at[slots], now)
    price_window.note(state, slots, before, after, now)


def _note_drift(state: State, slots: Slots, answers: AppliedColumns, before: Int64) -> None:
    """Count answers that say applied and keep the price before. After the first, no change is in the way of another."""
    told = told_now(state, slots, answers)
    kept = told & (answers.price == before) & (answers.price != state.decided_price[slots])
    state.drifts[slots[told]] = np.where(kept, np.minimum(state.drifts[slots], 254) + 1, 0)[told]
    state.last_change_at[slots[kept & (state.drifts[slots] == 1)]] = 0


def _settle(state: State, slots: Slots, version: Int64) -> Slots:
    """Close what the catalog has answered. It may know later versions than we: then ours go on from there."""
    answered = version >= state.decided_version[slots]
    slots = slots[answered]
    state.decided_version[slots] = version[answered]
    done: Slots = slots[state.pending[slots] == 1]
    state.pending[done] = 0
    return done


def _add_totals(totals: Int64, groups: Groups, *terms: tuple[NDArray[np.integer] | int, Int64]) -> None:
    """Add int64 values [n] to columns of ``totals``: each term names one column for all rows, or one for each."""
    width = totals.shape[1]
    added = np.zeros(len(groups) * width, np.int64)
    base = groups.inverse * width
    for column, values in terms:
        np.add.at(added, base + column, values)
    totals[groups.touched] += added.reshape(-1, width)


def _fold_sums(state: State, sums: RollingSums, groups: Groups, time: Int64, statistics: dict[str, Float32]) -> None:
    see(state, groups, time)
    touched = groups.touched
    before = state.landmark[touched]
    landmark = np.maximum(before, groups.largest(time))
    age_days = ((landmark[groups.inverse] - time) / DAY_MS).astype(np.float32)
    elapsed_days = ((landmark - before) / DAY_MS).astype(np.float32)
    sums.fold(touched, elapsed_days, reduce(groups, age_days, statistics))
    state.landmark[touched] = landmark


def _log_price(state: State, slots: Slots, price: NDArray[np.number]) -> Float32:
    """Give x = ln(price / reference price), 0 where one of them is not known."""
    reference = state.ref_price[slots]
    known = (reference > 0) & (price > 0)
    ratio = np.where(known, price, 1) / np.where(known, reference, 1)
    return np.clip(np.log(ratio), -MAX_LOG_PRICE, MAX_LOG_PRICE).astype(np.float32)


def _set_currency(state: State, slots: Slots, currency: Int64) -> None:
    is_fact = (state.totals[slots, _ORDER_ROWS] > 0) | (state.price[slots] > 0)
    changing = (state.currency[slots] != currency) & ~is_fact
    competitors.forget(state, slots[changing])
    state.currency[slots[changing]] = currency[changing]


def _set_reference(state: State, slots: Slots, price: Int64) -> None:
    """Set the reference price where it is not known yet; it then stays."""
    unset = state.ref_price[slots] == 0
    state.ref_price[slots[unset]] = price[unset]
