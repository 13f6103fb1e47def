"""What the state remembers of an offer's rung and of changes of its demand, and what a shard makes of them."""

from __future__ import annotations

from pricing_core.decisions import Decisions
from pricing_core.rolling_sums import DAY_MS
from pricing_core.slots import Slots
from pricing_core.state import State

LATELY_MS = 7 * DAY_MS
"""So long an offer counts as one whose demand has changed; and as one that is sold, after its last order."""


def after_decisions(state: State, slots: Slots, decisions: Decisions) -> None:
    """Write down the rungs of decisions about distinct rows, and which offers' demand was found to have changed."""
    considered = decisions.considered
    state.rung[slots[considered]] = decisions.rung[considered]
    found = decisions.drift > 0
    state.drifted_at[slots[found]] = decisions.now[found]
