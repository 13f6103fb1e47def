"""Which rows of a batch the state can take: there must be room, and one currency for each offer."""

from __future__ import annotations

import numpy as np

from pricing_core.slots import NO_SLOT, Slots
from pricing_core.state import State
from schemas.codec import Reject
from schemas.columns import NONE, AppliedColumns, Bool, Columns, CommandColumns, CompetitorColumns, OrderColumns
from schemas.dead_letter import Reason
from schemas.money import ALPHA_CODES

Priced = OrderColumns | CompetitorColumns | AppliedColumns | CommandColumns


def admit(state: State, columns: Columns, slots: Slots) -> tuple[Columns, Slots, list[Reject]]:
    """Leave out what the state cannot take.

    Args:
        state: Sets the currency of offers that have none yet.
        columns: n events.
        slots: [n] row of each.

    Returns:
        What is left of events and rows, and the rest with reasons.
    """
    rejects: list[Reject] = []
    if (full := slots == NO_SLOT).any():
        detail = "the worker has no room for another offer: raise its limit of offers"
        rejects += [Reject(index, Reason.SHARD_FULL, detail) for index in columns.index[full].tolist()]
        columns, slots = _keep(columns, slots, ~full)
    if isinstance(columns, Priced) and len(columns):
        foreign = _foreign(state, columns, slots)
        if foreign.any():
            rejects += _mismatches(state, columns, slots, foreign)
            columns, slots = _keep(columns, slots, ~foreign)
    return columns, slots, rejects


def _foreign(state: State, columns: Priced, slots: Slots) -> Bool:
    """Whether each event has another currency than its offer; the first event of an offer sets it."""
    if isinstance(columns, CommandColumns):  # a person's price is no fact about an offer of which nothing is known
        named: Bool = (columns.currency != NONE) & (state.currency[slots] != columns.currency)
        return named
    ours = state.currency[slots]
    unset = np.flatnonzero(ours == 0)
    if len(unset):
        state.currency[slots[unset][::-1]] = columns.currency[unset][
            ::-1
        ]  # NumPy assigns in order: the first row stays
        ours = state.currency[slots]
    foreign: Bool = ours != columns.currency
    return foreign


def _mismatches(state: State, columns: Priced, slots: Slots, foreign: Bool) -> list[Reject]:
    rows = np.flatnonzero(foreign)
    ours, theirs = state.currency[slots[rows]].tolist(), columns.currency[rows].tolist()
    return [
        Reject(
            index, Reason.CURRENCY_MISMATCH, f"the offer is in {ALPHA_CODES.get(mine)}, this in {ALPHA_CODES.get(its)}"
        )
        for index, mine, its in zip(columns.index[rows].tolist(), ours, theirs, strict=True)
    ]


def _keep(columns: Columns, slots: Slots, kept: Bool) -> tuple[Columns, Slots]:
    rows = np.flatnonzero(kept)
    return columns.take(rows), slots[rows]
