"""Two rows of one offer, the recorded one and the one that the sources give: where they part first."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pricing_core.policy_table import SIBLINGS
from pricing_core.recorded import Recorded
from pricing_core.state import ROW
from streams.replay.difference import Difference
from streams.replay.report import SHOWN, StateReport

NOT_FROM_SOURCES = frozenset({"due_at", "sent_at", "resends"})
"""When an offer is due, and when a change was sent again, is scheduling."""
LARGEST_ROUNDING = 1e-4
"""Relative to the largest of a row's sums. More than that is no rounding."""
TINY = 1e-30
"""In place of a largest sum of 0."""


def judge(report: StateReport, decision_id: str, recorded: Recorded, rebuilt: Recorded) -> None:
    """Compare one row and count what comes of it."""
    if _of_this_shard(recorded.policies) != _of_this_shard(rebuilt.policies):
        report.without_policy += 1
        return
    report.compared += 1
    field, rounding = _first_difference(recorded.rows[0], rebuilt.rows[0])
    if field is None:
        report.identical += rounding == 0.0
        report.rounded += rounding > 0.0
        report.largest_rounding = max(report.largest_rounding, rounding)
    elif len(report.differences) < SHOWN:
        values = (_plain(recorded.rows[field][0]), _plain(rebuilt.rows[field][0]))
        report.differences.append(Difference(decision_id, f"row.{field}", *values))


def _of_this_shard(policies: NDArray[np.void]) -> bytes:
    """Policies as their topic has them."""
    own = policies.copy()
    own[list(SIBLINGS)] = 0
    return own.tobytes()


def _first_difference(recorded: Any, rebuilt: Any) -> tuple[str | None, float]:
    """First column that differs by more than rounding, and by how much the others differ, relative to the row."""
    largest = 0.0
    for name in ROW.names or ():
        if name in NOT_FROM_SOURCES or recorded[name].tobytes() == rebuilt[name].tobytes():
            continue
        rounding = _rounding(recorded[name], rebuilt[name])
        if rounding > LARGEST_ROUNDING:
            return name, largest
        largest = max(largest, rounding)
    return None, largest


def _rounding(recorded: Any, rebuilt: Any) -> float:
    """Largest difference of floats relative to the largest of them; integers have no rounding."""
    if np.asarray(recorded).dtype.kind != "f":
        return np.inf
    scale = max(float(np.abs(recorded).max()), float(np.abs(rebuilt).max()), TINY)
    return float(np.abs(recorded - rebuilt).max()) / scale


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value
