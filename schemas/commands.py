"""How persons' commands become columns, and which are refused."""

from __future__ import annotations

import re

import numpy as np

from schemas.binary import BinaryArray
from schemas.columns import APPROVE, NONE, PAUSE, REJECT, RESUME, ROLL_BACK, Columns, CommandColumns, Int64
from schemas.dead_letter import Reason
from schemas.fields import Fields
from schemas.source import Check

COMMAND_KINDS = {"pause": PAUSE, "resume": RESUME, "approve": APPROVE, "reject": REJECT, "rollback": ROLL_BACK}

_DECISION_ID = re.compile(rb"[0-9]{1,9}-([0-9]{1,18})")


def command_columns(base: Columns, fields: Fields) -> CommandColumns:
    """Columns of a batch: every command with the number that belongs to it."""
    kind = fields.integer("command").astype(np.int8)
    decided = _sequences(fields.text("decision_id"))
    answers = (kind == APPROVE) | (kind == REJECT)
    return CommandColumns(
        base.keys,
        base.index,
        base.time,
        kind=kind,
        value=np.where(kind == ROLL_BACK, fields.integer("price"), np.where(answers, decided, NONE)),
        currency=np.where(kind == ROLL_BACK, fields.integer("currency"), NONE),
        expires_at=fields.integer("expires_at"),
        offset=np.full(len(kind), NONE),
    )


def _sequences(decision_ids: BinaryArray) -> Int64:
    """Number in each id like ``3-1042``, [n]; `NONE` where there is none."""
    found = np.full(len(decision_ids), NONE)
    for row in np.flatnonzero(decision_ids.length > 0).tolist():
        written = _DECISION_ID.fullmatch(decision_ids[row] or b"")
        found[row] = int(written[1]) if written else NONE
    return found


_SAYS_WHICH: Check[CommandColumns] = Check(
    Reason.SCHEMA_VIOLATION,
    lambda columns: (
        (columns.kind >= APPROVE)
        & ((columns.value == NONE) | ((columns.kind == ROLL_BACK) & (columns.currency == NONE)))
    ),
    lambda *_: "approve and reject need a decision_id like 3-1042, a rollback needs a price and its currency",
)

_EXPIRES_NOT: Check[CommandColumns] = Check(
    Reason.SCHEMA_VIOLATION,
    lambda columns: (columns.kind < APPROVE) & (columns.expires_at != NONE),
    lambda *_: "a pause lasts until somebody resumes the offer; neither expires",
)

COMMAND_CHECKS = (_SAYS_WHICH, _EXPIRES_NOT)
