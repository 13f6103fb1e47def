"""What an offer remembers of competitors: the latest price of each of those that were seen last.

What is kept depends neither on the order of the events nor on how they were cut into batches: with the newest one of
each competitor, the newest `RIVALS` of them, of those seen at one time the greater names; each in the place that its
name has among the others. So a row that is rebuilt from the topics is the row that was decided with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pricing_core.grouping import Groups, one_of_each
from pricing_core.slots import Slots
from pricing_core.state import RIVALS, State
from schemas.columns import CompetitorColumns, Int64

_ROUNDS = 8
"""Prices of one offer that are folded in one by one; of more, the newest are picked first."""

_LAST = np.iinfo(np.int64).max
"""In place of the name of an empty place: it comes behind all names."""


def remember(state: State, groups: Groups, columns: CompetitorColumns) -> None:
    """Take over what a batch says."""
    busiest = np.bincount(groups.inverse).max()
    rows = np.arange(len(columns)) if busiest <= _ROUNDS else _newest_of_each(groups, columns)
    new = [_remember(state, groups.slots[turn], columns, turn) for turn in one_of_each(groups, rows)]
    _arrange(state, np.concatenate(new))


def forget(state: State, slots: Slots) -> None:
    """Forget all competitors of the given offers."""
    for column in _columns(state):
        column[slots] = 0


def _newest_of_each(groups: Groups, columns: CompetitorColumns) -> Int64:
    """Newest row of each competitor of each offer, at most `RIVALS` of an offer: more could not stay anyway."""
    rows = np.arange(len(columns))
    order = np.lexsort((rows, columns.time, columns.competitor, groups.inverse))
    offer, name = groups.inverse[order], columns.competitor[order]
    kept = order[np.concatenate(((offer[1:] != offer[:-1]) | (name[1:] != name[:-1]), [True]))]
    kept = kept[np.lexsort((~columns.competitor[kept], -columns.time[kept], groups.inverse[kept]))]
    offer = groups.inverse[kept]
    starts = np.flatnonzero(np.concatenate(([True], offer[1:] != offer[:-1])))
    rank = np.arange(len(kept)) - np.repeat(starts, np.diff(np.append(starts, len(kept))))
    newest: Int64 = kept[rank < RIVALS]
    return newest


def _remember(state: State, slots: Slots, columns: CompetitorColumns, rows: Int64) -> Slots:
    """Put one observation for each of distinct offers into its place, or in place of the oldest one if that is older.

    Returns:
        Offers that have got a competitor that they did not know.
    """
    name, time = columns.competitor[rows], columns.time[rows]
    names, seen_at = state.rival[slots], state.rival_seen_at[slots]
    same = (names == name[:, None]) & (seen_at > 0)
    known = same.any(axis=1)
    oldest = np.where(seen_at == seen_at.min(axis=1, keepdims=True), names, _LAST).argmin(axis=1)
    place = np.where(known, same.argmax(axis=1), oldest)
    at = np.arange(len(slots)), place
    newer = (time > seen_at[at]) | ((time == seen_at[at]) & (known | (name > names[at])))
    new: Slots = slots[newer & ~known]
    slots, place, rows = slots[newer], place[newer], rows[newer]
    state.rival[slots, place] = columns.competitor[rows]
    state.rival_price[slots, place] = columns.price[rows]
    state.rival_seen_at[slots, place] = columns.time[rows]
    state.rival_in_stock[slots, place] = columns.in_stock[rows]
    return new


def _arrange(state: State, slots: Slots) -> None:
    """Sort the competitors of offers by their names; empty places come last."""
    if not len(slots):
        return
    order = np.where(state.rival_seen_at[slots] > 0, state.rival[slots], _LAST).argsort(axis=1)
    for column in _columns(state):
        column[slots] = np.take_along_axis(column[slots], order, axis=1)


def _columns(state: State) -> tuple[NDArray[np.integer], ...]:
    return state.rival, state.rival_price, state.rival_seen_at, state.rival_in_stock
