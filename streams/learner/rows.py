"""Records of ``transitions`` as rows to learn from: what the network was shown, what was done, what came of it."""

from __future__ import annotations

import math
from collections import Counter
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
from schemas.columns import Int64
from schemas.timestamps import parse_many
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
    "no choice": lambda one: one.prices is None or not any(one.legal or ()),
    "not acknowledged": lambda one: one.starts_at is None,
    "another price": lambda one: one.acknowledgement not in {"not_needed", "applied"},
    "inputs missing": lambda one: None in {one.action, one.inputs, one.profit_slope, one.profit_offset},
    "events expired": lambda one: one.incomplete,
    "other rules": lambda one: one.rules != VERSION,
}
"""In this order."""


def obstacle(one: TransitionClosed) -> str | None:
    """Why nothing can be learned from a transition; None if something can."""
    return next((why for why, holds in _OBSTACLES.items() if holds(one)), None)


def _goes_on(one: TransitionClosed) -> bool:
    """Whether it is known from which choice the future went on."""
    return one.next is not None and one.next.inputs is not None and any(one.next.legal or ())


class RowMaker:
    """Makes rows, and counts what none can be made of."""

    def __init__(self, recall: Recall) -> None:
        self._recall = recall

    def rows(self, transitions: Sequence[TransitionClosed]) -> tuple[Rows | None, Counter[str]]:
        """Make rows of transitions without an `obstacle`, in their order.

        Returns:
            The rows, None if there are none; and how many transitions have none, by reason.
        """
        days = (_times(transitions, "ends_at") - _times(transitions, "starts_at")) / DAY_MS
        long = [one for one, lasted in zip(transitions, days.tolist(), strict=True) if lasted >= LEAST_DAYS]
        made = [part for page in _pages(long) if (part := self._page(page)) is not None]
        left_out = Counter({"too short": len(transitions) - len(long), "inputs unreadable": len(long)})
        left_out["inputs unreadable"] -= sum(map(len, made))
        return (np.concatenate(made) if made else None), +left_out

    def _page(self, page: Sequence[TransitionClosed]) -> Rows | None:
        followed = [place for place, one in enumerate(page) if _goes_on(one)]
        after = [page[place] for place in followed]
        recorded = [one.inputs or b"" for one in page] + [(one.next and one.next.inputs) or b"" for one in after]
        now = np.concatenate([_times(page, "decided_at"), _times(after, "ends_at")])
        modes = [one.run_mode for one in (*page, *after)]
        try:
            found = self._recall.recall(Recorded.unpacked(recorded), now, modes)
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
    numbers: list[Any] = [(name, "<f4") for name in ("days", "units", "profit", "slope", "offset")]
    return np.dtype(
        [
            ("id", "<u8"),
            *shown,
            ("log_ratio", "<f4", (candidates,)),
            ("legal", "?", (candidates,)),
            ("action", "<i4"),
            *numbers,
            ("censored", "?"),
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
    _fill_in(rows, [page[at] for at in found.rows[own].tolist()])
    return rows


def _fill_in(rows: Rows, transitions: Sequence[TransitionClosed]) -> None:
    """Write what was done and what came of it; amounts in prices before."""
    ids = np.array([id_of(one.decision_id) for one in transitions], np.uint64)
    price = np.array([one.previous_price for one in transitions], np.float64)
    slope = np.array([one.profit_slope for one in transitions], np.float64)
    offset = np.array([one.profit_offset for one in transitions], np.float64)
    happened = [one.happened for one in transitions]
    kept = np.array([one.units - one.units_cancelled - one.units_returned for one in happened])
    amount = np.array([one.revenue - one.amount_cancelled - one.amount_returned for one in happened])
    rows["id"] = ids
    rows["action"] = [one.action for one in transitions]
    rows["days"] = (_times(transitions, "ends_at") - _times(transitions, "starts_at")) / DAY_MS
    rows["units"] = [one.units for one in happened]
    rows["profit"] = (slope * amount - offset * kept) / price
    rows["slope"], rows["offset"] = slope, offset / price
    rows["censored"] = [one.censored for one in transitions]
    drawn = (ids[:, None] >> np.arange(0, 16 * HEADS, 16, dtype=np.uint64)) & np.uint64(0xFFFF)
    rows["copies"] = np.searchsorted(_POISSON, drawn / 65_536, side="right")


def _times(transitions: Sequence[TransitionClosed], name: str) -> Int64:
    return parse_many(getattr(one, name) for one in transitions)
