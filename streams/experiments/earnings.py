"""What offers earned in stretches of time, from the audit records of their decisions.

Each record keeps the exact totals that an offer had sold by then, and the policy with its costs. Orders are kept for a
week only, records for a month; and what was cancelled or came back is in the totals already. Between two decisions of
an offer, hours at most, sales are spread evenly.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple, Self, cast

import numpy as np
from numpy.typing import NDArray

from pricing_core.recorded import Recorded, RecordedError
from pricing_core.state import NEVER, TOTALS
from schemas.columns import Int64
from schemas.currencies import ALPHA_CODES
from streams.errors import InputRefused
from streams.replay.decision_log import Found

Float64 = NDArray[np.float64]

AT_ONCE = 4096
_PLACE = {name: TOTALS.index(name) for name in TOTALS}


@dataclass(frozen=True, slots=True)
class Earnings:
    """Profit of n offers in p stretches of time."""

    keys: list[bytes]
    """Offers, in their order; those that were known before the last stretch ended."""
    profit: Float64
    """float64 [n, p] after tax, fees and cost, minor units; of offers whose goal is revenue, revenue after tax and
    commission."""
    currency: str
    left_out: int
    """Records without readable totals."""


class _Sold(NamedTuple):
    """What r records say, [r] each."""

    offer: Int64
    time: Int64
    amount: Float64
    """Of all pieces sold and not given back, by then."""
    units: Float64
    slope: Float64
    """Share of an amount that is left after tax and commission."""
    cost: Float64
    """Of a piece, with fees; 0 where the goal is revenue."""
    first_seen: Int64

    def at(self, rows: Int64) -> Self:
        """Some of the records, in this order."""
        return type(self)(*(cast(Any, column)[rows] for column in self))


def earnings(founds: Iterable[Found], boundaries: Int64) -> Earnings:
    """Count what offers earned between boundaries.

    Args:
        founds: Decisions, those of each offer in their order.
        boundaries: int64 [p + 1] event times, ms, ascending: stretch i lasts from the i-th to the next one.

    Raises:
        InputRefused: There is nothing to count, or there are several currencies.
    """
    numbers: dict[bytes, int] = {}
    currencies: set[int] = set()
    parts, left_out = [], 0
    pages = iter(founds)
    while page := list(islice(pages, AT_ONCE)):
        readable, recorded, faults = _readable(page)
        left_out += faults
        if readable:
            parts.append(_sold(readable, recorded, numbers))
            currencies.update(np.unique(recorded.rows["currency"][recorded.policies["present"]]).tolist())
    if not parts:
        raise InputRefused("no decisions of this time: nothing can be counted")
    names = sorted(ALPHA_CODES.get(number, str(number)) for number in currencies - {0})
    if len(names) != 1:
        raise InputRefused(f"offers have {len(names)} currencies ({', '.join(names)}): profits cannot be added up")
    sold = _Sold(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))
    return Earnings(list(numbers), _profit(sold, len(numbers), boundaries), names[0], left_out)


def _readable(page: list[Found]) -> tuple[list[Found], Recorded, int]:
    """The records whose inputs can be read, these, and how many cannot."""
    try:
        return page, Recorded.unpacked(found.record.inputs or b"" for found in page), 0
    except RecordedError:
        good = [found for found in page if _has_inputs(found)]
        return good, Recorded.unpacked(found.record.inputs or b"" for found in good), len(page) - len(good)


def _has_inputs(found: Found) -> bool:
    try:
        Recorded.unpacked([found.record.inputs or b""])
    except RecordedError:
        return False
    return True


def _sold(page: list[Found], recorded: Recorded, numbers: dict[bytes, int]) -> _Sold:
    totals, policy = recorded.rows["totals"].astype(np.float64), recorded.policies
    kept = {
        what: totals[:, _PLACE[f"{what}_placed"]]
        - totals[:, _PLACE[f"{what}_cancelled"]]
        - totals[:, _PLACE[f"{what}_returned"]]
        for what in ("amount", "units")
    }
    return _Sold(
        offer=np.array([numbers.setdefault(found.key, len(numbers)) for found in page], np.int64),
        time=np.array([found.now for found in page], np.int64),
        amount=kept["amount"],
        units=kept["units"],
        slope=policy["profit_slope"],
        cost=policy["profit_offset"],
        first_seen=recorded.rows["first_seen"],
    )


def _profit(sold: _Sold, offers: int, boundaries: Int64) -> Float64:
    """Profit by offer and stretch, [offers, p]: differences of what was earned by each boundary."""
    sold = sold.at(np.lexsort((sold.time, sold.offer)))
    starts = np.searchsorted(sold.offer, np.arange(offers + 1))
    profit = np.zeros((offers, len(boundaries) - 1))
    for offer in range(offers):
        own = np.arange(starts[offer], starts[offer + 1])
        profit[offer] = np.diff(_earned_by(sold.at(own), boundaries))
    return profit


def _earned_by(own: _Sold, times: Int64) -> Float64:
    """What one offer had earned by some times, beside what it had before its first record, [p + 1].

    An increase counts at the costs of the record that shows it. An offer that was first seen within the time had sold
    nothing before.
    """
    first_seen = int(own.first_seen[0])
    is_new = times[0] <= first_seen < min(int(own.time[0]), NEVER)
    time = np.concatenate(([first_seen], own.time)) if is_new else own.time
    gains = own.slope * _grown(own.amount, is_new) - own.cost * _grown(own.units, is_new)
    earned = np.cumsum(np.concatenate(([0.0], gains)) if is_new else gains)
    by_time: Float64 = np.interp(times, time, earned)
    return by_time


def _grown(total: Float64, is_new: bool) -> Float64:
    """How much a total has grown since the record before; of the first one, since nothing or not at all."""
    return np.diff(total, prepend=0.0 if is_new else total[0])
