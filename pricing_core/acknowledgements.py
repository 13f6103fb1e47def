"""Changes that wait for the catalog's answer: written down when decided, sent again when the answer is overdue."""

from __future__ import annotations

import numpy as np

from pricing_core.decisions import Decisions, Resends
from pricing_core.offers import current_price
from pricing_core.policy_table import PolicyTable
from pricing_core.rules import PROMOTION, ROLLBACK
from pricing_core.run_modes import REDUCING
from pricing_core.slots import NO_SLOT, Slots
from pricing_core.state import State
from schemas.binary import BinaryArray
from schemas.columns import APPLIED, AppliedColumns, Bool, Int8, Int64

MAX_RESENDS = 3
_ALARMED = MAX_RESENDS + 1
"""In ``resends``: given up on, and said so."""


def expect(state: State, slots: Slots, decisions: Decisions, rows: Int64) -> None:
    """Note the changes at ``rows`` of the decisions as given out, one for each of distinct offers."""
    now = decisions.now[rows]
    before = state.decided_code[slots].astype(np.int64), state.decided_price[slots], state.regular_price[slots]
    state.regular_price[slots] = regular_price(*before, decisions.previous_price[rows], decisions.code[rows])
    state.decided_prior_price[slots] = decisions.prior_price[rows]
    state.pending[slots], state.resends[slots] = 1, 0
    state.decided_version[slots] = decisions.version[rows]
    state.decided_price[slots] = decisions.price[rows]
    state.decided_sequence[slots] = decisions.sequence[rows]
    state.decided_policy[slots] = decisions.policy_version[rows]
    state.decided_code[slots] = decisions.code[rows]
    state.decided_at[slots] = state.sent_at[slots] = state.last_change_at[slots] = now


def regular_price(last_code: Int64, last_price: Int64, regular: Int64, current: Int64, code: Int64) -> Int64:
    """Price to which an offer returns after a promotion, [n] each; 0 for all other changes.

    Args:
        last_code: Of the last change.
        last_price: To which it went.
        regular: What is known already: one promotion may follow another.
        current: Price in effect.
        code: Of the new change.
    """
    goes_on = (last_code == PROMOTION) & (last_price == current)
    return np.where(code == PROMOTION, np.where(goes_on, regular, current), 0)


def told_now(state: State, slots: Slots, answers: AppliedColumns) -> Bool:
    """Which of n answers, each about one of distinct offers, say that the change that waits has been applied, [n]."""
    applied, waits = answers.status == APPLIED, state.pending[slots] == 1
    told: Bool = applied & waits & (answers.version == state.decided_version[slots])
    return told


def drifted(state: State, slots: Slots, answers: AppliedColumns) -> Int64:
    """Which of n answers say applied and show another price than was told; before they are folded.

    Args:
        state: As before the answers.
        slots: [n] offers, some perhaps unknown or twice.
        answers: Of the catalog.
    """
    known = np.flatnonzero(slots != NO_SLOT)
    told = told_now(state, slots[known], answers.take(known))
    found: Int64 = known[told & (answers.price[known] != state.decided_price[slots[known]])]
    return found


def pending(state: State, policies: PolicyTable, waiting: set[int]) -> Slots:
    """Changes that are not answered, in the order in which they were decided."""
    slots = np.fromiter(waiting, np.int64, len(waiting))
    slots = slots[policies.present[slots]]  # nobody wants the price of an offer that was removed
    return slots[np.argsort(state.decided_sequence[slots])]


def may_be_sent(state: State, slots: Slots, mode: Int8) -> Bool:
    """Whether changes may be sent again: not where prices stay by a person's word, unless he himself has set them."""
    may_move = (mode < REDUCING) & (state.operator_paused[slots] == 0)
    free: Bool = may_move | (state.decided_code[slots] == ROLLBACK)
    return free


def overdue(state: State, pending: Slots, now: int, interval: int) -> tuple[Slots, Slots]:
    """Find what is to be sent again now, and what is given up on now; count both."""
    late = pending[now - state.sent_at[pending] >= interval]
    tries = state.resends[late]
    again, given_up = late[tries < MAX_RESENDS], late[tries == MAX_RESENDS]
    state.resends[again] += 1
    state.sent_at[again] = now
    state.resends[given_up] = _ALARMED
    return again, given_up


def resends(state: State, policies: PolicyTable, slots: Slots, keys: BinaryArray, given_up: BinaryArray) -> Resends:
    """Repeat changes with the version, price and policy version that they had."""
    return Resends(
        keys=keys,
        sequence=state.decided_sequence[slots],
        code=state.decided_code[slots].astype(np.int64),
        version=state.decided_version[slots],
        price=state.decided_price[slots],
        previous_price=current_price(state.price[slots], policies.list_price[slots]),
        prior_price=state.decided_prior_price[slots],
        policy_version=state.decided_policy[slots],
        currency=state.currency[slots].astype(np.int64),
        given_up=given_up,
    )
