"""What persons order for single offers: pauses, answers to proposals, rollbacks.

A pause is a flag in the row until somebody resumes the offer. All other commands are put into the row, make the offer
due, and are carried out or refused by its next decision, which names the command by its offset in ``commands``. So a
command has one effect, is decided by the same code as everything else, and is replayed as everything else.

Of commands that wait for the same decision one is kept, as if they came one after the other: a rollback withdraws what
is proposed, so no answer to a proposal takes its place; and the first answer to a proposal counts.
"""

from __future__ import annotations

import numpy as np

from pricing_core.decisions import CHANGED, PROPOSED, Decisions
from pricing_core.grouping import Groups, one_of_each
from pricing_core.rules import CODE
from pricing_core.slots import Slots
from pricing_core.state import NEVER, State
from schemas.columns import APPROVE, NONE, PAUSE, REJECT, RESUME, ROLL_BACK, CommandColumns, Int64

PROPOSAL_LIFETIME_MS = 86_400_000
"""A proposed price waits so long for an answer, in event time; so long a rejected one is not proposed again."""


def fold_commands(state: State, groups: Groups, columns: CommandColumns) -> None:
    """Put commands into the rows of their offers, those of one offer in their order."""
    for rows in one_of_each(groups, np.arange(len(columns))):
        _obey(state, groups.slots[rows], columns, rows)


def _obey(state: State, slots: Slots, columns: CommandColumns, rows: Int64) -> None:
    """One command for each of distinct offers."""
    kind = columns.kind[rows]
    state.operator_paused[slots[(kind == PAUSE) | (kind == ROLL_BACK)]] = 1
    state.operator_paused[slots[kind == RESUME]] = 0
    waiting = state.command[slots]
    answers_proposal = (waiting != ROLL_BACK) & (state.command_value[slots] == state.proposed_sequence[slots])
    is_free = (waiting == 0) | ((waiting != ROLL_BACK) & ~answers_proposal)
    taken = (kind == ROLL_BACK) | (((kind == APPROVE) | (kind == REJECT)) & is_free)
    slots, rows = slots[taken], rows[taken]
    state.command[slots] = kind[taken]
    state.command_value[slots] = columns.value[rows]
    state.command_offset[slots] = columns.offset[rows]
    expires_at = columns.expires_at[rows]
    state.command_expires_at[slots] = np.where(expires_at == NONE, NEVER, expires_at)


def after_decisions(state: State, slots: Slots, decisions: Decisions) -> None:
    """Write down what was proposed, answered and rolled back. Each command has had its one decision."""
    command, changed = state.command[slots], decisions.outcome == CHANGED
    settled = slots[changed | (command == ROLL_BACK)]
    state.proposed_sequence[settled] = state.proposed_until[settled] = 0
    state.proposed_sequence[slots[(command == REJECT) & (decisions.code == CODE["rejected"])]] = 0
    proposed = decisions.outcome == PROPOSED
    rows = slots[proposed]
    state.proposed_sequence[rows] = decisions.sequence[proposed]
    state.proposed_price[rows] = decisions.price[proposed]
    state.proposed_code[rows] = decisions.code[proposed]
    state.proposed_until[rows] = decisions.now[proposed] + PROPOSAL_LIFETIME_MS
    state.command[slots] = 0
