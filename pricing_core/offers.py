"""What is known about the offers that are to be decided: their rows and policies side by side."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pricing_core import price_window
from pricing_core.policy_table import PolicyTable
from pricing_core.slots import Slots
from pricing_core.state import State
from schemas.columns import NONE, Bool, Int64

ACTIVE = "ACTIVE"
"""The run mode in which prices change. In any other they stay."""


@dataclass(frozen=True, slots=True)
class Offers:
    """n offers, each at a moment of its own. Prices in minor units, times in ms."""

    slots: Slots
    now: Int64
    """Event time of the decision."""
    active: Bool
    """Whether prices may change at all: the run mode of the offer's shard."""
    state: NDArray[np.void]
    """[n] of `state.ROW`."""
    policy: NDArray[np.void]
    """[n] of `policy_table.POLICY`."""
    current: Int64
    """Price in effect: the catalog's, before its first report the list price; 0 unknown."""
    out_of_bounds: Bool
    """The current price is outside of the policy's static bounds, and there is a price inside."""
    bucket: Int64
    """Window of prices in effect, moved on to ``now`` (`price_window`)."""
    lowest: Int64
    highest: Int64

    def __len__(self) -> int:
        return len(self.slots)

    def take(self, rows: Int64) -> Self:
        """Keep the given distinct rows."""
        if len(rows) == len(self):
            return self
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        kept: dict[str, Any] = {n: v[rows] for n, v in columns.items() if isinstance(v, np.ndarray)}
        return replace(self, **kept)


def view(state: State, policies: PolicyTable, slots: Slots, now: Int64, active: Bool) -> Offers:
    """Gather all that decisions about the given rows [n] at the given times [n] depend on."""
    rows, policy = state.take(slots), policies.rows[slots]
    current = current_price(rows["price"], policy["list_price"])
    bucket, lowest, highest = price_window.rolled(rows["bucket"], rows["lowest"], rows["highest"], current, now)
    return Offers(
        slots=slots,
        now=now,
        active=active,
        state=rows,
        policy=policy,
        current=current,
        out_of_bounds=is_out_of_bounds(current, policy["low"], policy["high"]),
        bucket=bucket,
        lowest=lowest,
        highest=highest,
    )


def current_price(reported: Int64, list_price: Int64) -> Int64:
    """Price in effect; 0 unknown."""
    return np.where(reported > 0, reported, list_price)


def is_out_of_bounds(current: Int64, low: Int64, high: Int64) -> Bool:
    """Whether a known price is outside of bounds that leave room for another. Without a policy both are 0."""
    outside: Bool = (high > 0) & (low <= high) & ((current < low) | (current > high))
    return outside


def age(now: Int64, since: Int64) -> Int64:
    """Time since, at least 0; `NONE` where ``since`` is 0, for never."""
    return np.where(since > 0, np.maximum(now - since, 0), NONE)
