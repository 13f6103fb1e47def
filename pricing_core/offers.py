"""What is known about the offers that are to be decided: their rows and policies side by side."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pricing_core import price_window
from pricing_core.policy_table import PolicyTable
from pricing_core.price_window import Window
from pricing_core.rules import APPROVED, FORCED, PROMOTION, PROMOTION_OVER, REPAIR, ROLLBACK
from pricing_core.run_modes import OfferModes
from pricing_core.slots import Slots
from pricing_core.state import NEVER, State
from schemas.columns import APPROVE, NONE, ROLL_BACK, Bool, Int8, Int64


@dataclass(frozen=True, slots=True)
class Offers:
    """n offers, each at a moment of its own. Prices in minor units, times in ms."""

    slots: Slots
    now: Int64
    """Event time of the decision."""
    mode: Int8
    """Whether prices may move: numbers of `run_modes.MODES`."""
    scope: Int8
    """Who has set the mode: numbers of `run_modes.SCOPES`."""
    state: NDArray[np.void]
    """[n] of `state.ROW`."""
    policy: NDArray[np.void]
    """[n] of `policy_table.POLICY`."""
    current: Int64
    """Price in effect: the catalog's, before its first report the list price; 0 unknown."""
    must: Int64
    """Why the price must move, whatever the model says: one of `rules.FORCED`; 0 where nothing asks for it."""
    window: Window
    """Prices in effect, moved on to ``now``."""

    def __len__(self) -> int:
        return len(self.slots)

    def take(self, rows: Int64) -> Self:
        """Keep the given distinct rows."""
        if len(rows) == len(self):
            return self
        columns = {f.name: getattr(self, f.name) for f in fields(self)}
        kept: dict[str, Any] = {n: v[rows] for n, v in columns.items() if isinstance(v, np.ndarray)}
        return replace(self, window=self.window.take(rows), **kept)


def view(state: State, policies: PolicyTable, slots: Slots, now: Int64, modes: OfferModes) -> Offers:
    """Gather all that decisions about the given rows [n] at the given times [n] depend on."""
    rows, policy = state.take(slots), policies.take(slots)
    current = current_price(rows["price"], policy["list_price"])
    return Offers(
        slots=slots,
        now=now,
        mode=modes.mode,
        scope=modes.scope,
        state=rows,
        policy=policy,
        current=current,
        must=must_move(rows, policy, now),
        window=price_window.rolled(Window.of(rows), current, now),
    )


def current_price(reported: Int64, list_price: Int64) -> Int64:
    """Price in effect; 0 unknown."""
    return np.where(reported > 0, reported, list_price)


def must_move(state: NDArray[np.void], policy: NDArray[np.void], now: Int64) -> Int64:
    """Why the prices of n offers must move, whatever the model says: one of `rules.FORCED`, or 0.

    To the promotion's price in its window; back from it afterwards, unless somebody has changed the price since; into
    the static bounds, where they leave room; to where a person says. Without a policy nothing must.

    Args:
        state: [n] of `state.ROW`.
        policy: [n] of `policy_table.POLICY`.
        now: [n] event time, ms.
    """
    low, high = policy["low"], policy["high"]
    current = current_price(state["price"], policy["list_price"])
    outside = (high > 0) & (low <= high) & ((current < low) | (current > high))
    must: Int64 = np.where(outside, REPAIR, 0)
    promoted = (state["decided_code"] == PROMOTION) & (state["decided_price"] == current) & (high > 0) & (low <= high)
    must[promoted & (resumed_price(state, policy) != current)] = PROMOTION_OVER
    inside = in_promotion(policy, now)
    must[inside] = np.where(policy["promotion_price"] == current, 0, PROMOTION)[inside]
    if state["command"].any():
        known = policy["present"]
        asked = (state["command"] == APPROVE) & ~np.isin(state["proposed_code"], FORCED)  # else it must anyway
        must[asked & known & (must == 0)] = APPROVED
        must[(state["command"] == ROLL_BACK) & known] = ROLLBACK
    return must


def in_promotion(policy: NDArray[np.void], now: Int64) -> Bool:
    """Whether n offers are inside of the window of a promotion, [n]."""
    inside: Bool = (policy["promotion_from"] <= now) & (now < policy["promotion_to"])
    return inside


def resumed_price(state: NDArray[np.void], policy: NDArray[np.void]) -> Int64:
    """Price after a promotion, [n]: that before it, or the nearest one inside of the static bounds."""
    resumed: Int64 = np.minimum(np.maximum(state["regular_price"], policy["low"]), policy["high"])
    return resumed


def promotion_boundary(policy: NDArray[np.void], now: Int64) -> Int64:
    """When the promotions of n offers begin or end next, [n]; `NEVER` if they do not."""
    start, end = policy["promotion_from"], policy["promotion_to"]
    return np.where(now < start, start, np.where(now < end, end, NEVER))


def age(now: Int64, since: Int64) -> Int64:
    """Time since, at least 0; `NONE` where ``since`` is 0, for never."""
    return np.where(since > 0, np.maximum(now - since, 0), NONE)
