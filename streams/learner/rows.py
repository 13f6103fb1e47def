"""Records of ``transitions`` as rows to learn from: what the network was shown, what was done, what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pricing_core.learning.logged import HEADS, Transitions
from pricing_core.learning.recall import AT_ONCE, Recall, Recalled
from pricing_core.recorded import Recorded, RecordedError
from pricing_core.rolling_sums import DAY_MS
from pricing_core.rules import VERSION
from schemas.timestamps import parse_ms
from schemas.transitions import TransitionClosed

Rows = NDArray[np.void]
"""Of dtype `layout`."""

LEAST_DAYS = 1.0 / 1440
"""Shorter intervals say nothing."""

# Probabilities of 0, 1, 2, ... copies, added up: those of a Poisson variable of mean 1.
_POISSON = np.cumsum([math.exp(-1.0) / math.factorial(k) for k in range(8)])


def id_of(decision_id: str) -> int:
    """First 8 bytes of BLAKE2b of a decision's id."""
    return int.from_bytes(blake2b(decision_id.encode(), digest_size=8).digest(), "little")


_OBSTACLES: dict[str, Callable[[TransitionClosed], bool]] = {
    "no choice": lambda one: one.prices is None,
    "not acknowledged": lambda one: one.starts_at is None,
    "another price": lambda one: one.acknowledgement not in {"not_needed", "applied"},
    "inputs missing": lambda one: None in {one.action, one.inputs, one.profit_slope, one.profit_offset},
    "events expired": lambda one: one.incomplete,
    "other rules": lambda one: one.rules != VERSION,
    "too short": lambda one: _days(one) < LEAST_DAYS,
}
"""In this order."""


def obstacle(one: TransitionClosed) -> str | None:
    """Why nothing can be learned from a transition; None if something can."""
    return next((why for why, holds in _OBSTACLES.items() if holds(one)), None)


class RowMaker:
    """Makes rows, and counts what none can be made of."""

    def __init__(self, recall: Recall) -> None:
        self._recall = recall

    def rows(self, transitions: Sequence[TransitionClosed]) -> tuple[Rows | None, int]:
        """Make rows of transitions without an `obstacle`, in their order.

        Returns:
            The rows, None if there are none; and how many transitions have inputs that cannot be read.
        """
        made = [part for page in _pages(transitions) if (part := self._page(page)) is not None]
        count = sum(map(len, made))
        return (np.concatenate(made) if made else None), len(transitions) - count

    def _page(self, page: Sequence[TransitionClosed]) -> Rows | None:
        recorded = [one.inputs or b"" for one in page]
        followed = [place for place, one in enumerate(page) if one.next is not None and one.next.inputs is not None]
        recorded += [page[place].next.inputs for place in followed]  # type: ignore[union-attr,misc]  # they have some
        now = [parse_ms(one.decided_at) for one in page] + [parse_ms(page[place].ends_at or "") for place in followed]
        modes = [one.run_mode for one in page] + [page[place].run_mode for place in followed]
        try:
            found = self._recall.recall(Recorded.unpacked(recorded), np.array(now, np.int64), modes)
        except RecordedError:
            return self._one_by_one(page)
        return _joined(page, followed, found) if (found.rows < len(page)).any() else None

    def _one_by_one(self, page: Sequence[TransitionClosed]) -> Rows | None:
        if len(page) == 1:
            return None
        made = [part for one in page if (part := self._page([one])) is not None]
        return np.concatenate(made) if made else None


def transitions_of(rows: Rows) -> Transitions:
    """Look at rows as columns."""
    names = rows.dtype.names or ()
    columns: dict[str, Any] = {
        what: tuple(rows[name] for name in names if name.startswith(f"{what}_") and name[-1].isdigit())
        for what in ("seen", "next_seen")
    }
    columns |= {name: rows[name] for name in Transitions._fields if name not in columns}
    return Transitions(**columns)


def layout(seen: Sequence[NDArray[np.float32]], candidates: int) -> np.dtype[Any]:
    """Of a row, for what the network is shown."""
    shown: list[Any] = [(f"seen_{i}", "<f4", leaf.shape[1:]) for i, leaf in enumerate(seen)]
    following: list[Any] = [(f"next_seen_{i}", "<f4", leaf.shape[1:]) for i, leaf in enumerate(seen)]
    numbers: list[Any] = [(name, "<f4") for name in ("days", "units", "profit", "slope", "offset", "weight")]
    return np.dtype(
        [
            ("id", "<u8"),
            *shown,
            ("log_ratio", "<f4", (candidates,)),
            ("legal", "?", (candidates,)),
            ("action", "<i4"),
            *numbers,
            ("copies", "<f4", (HEADS,)),
            ("has_next", "?"),
            *following,
            ("next_legal", "?", (candidates,)),
        ]
    )


def _pages(transitions: Sequence[TransitionClosed]) -> Iterator[Sequence[TransitionClosed]]:
    """Each with its following decisions fits into one call."""
    size = AT_ONCE // 2
    return (transitions[first : first + size] for first in range(0, len(transitions), size))


def _joined(page: Sequence[TransitionClosed], followed: Sequence[int], found: Recalled) -> Rows:
    n = len(page)
    own = np.flatnonzero(found.rows < n)
    rows = np.zeros(len(own), layout(found.seen, found.legal.shape[1]))
    for i, leaf in enumerate(found.seen):
        rows[f"seen_{i}"] = leaf[own]
    rows["log_ratio"], rows["legal"] = found.log_ratio[own], found.legal[own]
    place = {int(found.rows[at]): row for row, at in enumerate(own.tolist())}
    for at in np.flatnonzero(found.rows >= n).tolist():
        row = place.get(followed[int(found.rows[at]) - n])
        if row is not None:
            rows["has_next"][row], rows["next_legal"][row] = True, found.legal[at]
            for i, leaf in enumerate(found.seen):
                rows[f"next_seen_{i}"][row] = leaf[at]
    for row, at in enumerate(own.tolist()):
        _fill_in(rows, row, page[int(found.rows[at])])
    return rows


def _fill_in(rows: Rows, row: int, one: TransitionClosed) -> None:
    """Write what was done and what came of it; amounts in prices before."""
    happened, price = one.happened, float(one.previous_price or 1)
    slope, offset = one.profit_slope or 0.0, one.profit_offset or 0.0
    kept = happened.units - happened.units_cancelled - happened.units_returned
    amount = happened.revenue - happened.amount_cancelled - happened.amount_returned
    rows["id"][row] = number = id_of(one.decision_id)
    rows["action"][row], rows["days"][row], rows["units"][row] = one.action, _days(one), happened.units
    rows["profit"][row] = (slope * amount - offset * kept) / price
    rows["slope"][row], rows["offset"][row] = slope, offset / price
    rows["weight"][row] = 0.0 if one.censored else 1.0
    drawn = np.array([(number >> 16 * head) & 0xFFFF for head in range(HEADS)]) / 65_536
    rows["copies"][row] = np.searchsorted(_POISSON, drawn, side="right")


def _days(one: TransitionClosed) -> float:
    return (parse_ms(one.ends_at or "") - parse_ms(one.starts_at or "")) / DAY_MS
