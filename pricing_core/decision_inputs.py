"""What a merchant might ask about: the inputs of a decision one by one, in whole units, to be read and to be changed.

Each input knows the range within which it is looked at. Who changes a bound of a policy changes what follows from it,
too (`policy_table.set_bounds`); a cost moves the price that the minimum margin asks for in proportion.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from pricing_core.decayed_demand import STATISTICS
from pricing_core.offers import current_price
from pricing_core.policy_table import set_bounds
from pricing_core.replaying import Question
from pricing_core.rivals import heeded
from pricing_core.rolling_sums import DAY_MS
from pricing_core.run_modes import ACTIVE, HALTED
from schemas.columns import AUTO, NONE, ON_APPROVAL, PAUSED, RECOMMEND, Bool, Int64

MINUTE_MS = 60_000
MOST_MINUTES = 30 * DAY_MS // MINUTE_MS
ONE = 10_000
"""In basis points."""
PER_CENT = 100
_SHOWN = ("impressions", "impressions_x", "impressions_xx")


Read = Callable[[Question], int | None]
Write = Callable[[Question, Int64], None]
Bound = Callable[[Question, int], int]
"""Of the range, from the question and the present value."""


class Input(NamedTuple):
    """One input of a decision."""

    name: str
    unit: str
    read: Read
    """Of a question of one; None where there is nothing to change."""
    write: Write
    """Into a question of n, a value each."""
    low: Bound
    """Least value that is looked at."""
    high: Bound
    softening: int
    """Added to values before they are compared as a ratio: what counts as little."""


def _into_row(name: str) -> Write:
    def write(question: Question, values: Int64) -> None:
        question.recorded.rows[name] = values

    return write


def _bound(name: str) -> tuple[Read, Write]:
    """A number of the policy; there is none without a policy, or where it asks for nothing."""

    def read(question: Question) -> int | None:
        policy = question.recorded.policies
        return int(policy[name][0]) if policy["present"][0] and policy[name][0] != NONE else None

    def write(question: Question, values: Int64) -> None:
        question.recorded.policies[name] = values
        set_bounds(question.recorded.policies)

    return read, write


def _age(name: str) -> tuple[Read, Write]:
    """Minutes since a time in the row; None for never."""

    def read(question: Question) -> int | None:
        at = int(question.recorded.rows[name][0])
        return max(int(question.now[0]) - at, 0) // MINUTE_MS if at > 0 else None

    def write(question: Question, values: Int64) -> None:
        question.recorded.rows[name] = question.now - values * MINUTE_MS

    return read, write


def _share(*statistics: str) -> tuple[Read, Write]:
    """Decayed sums, all of them by one factor in percent."""
    places = [STATISTICS.index(name) for name in statistics]

    def read(question: Question) -> int | None:
        return PER_CENT if question.recorded.rows["sums"][0, :, places[0]].any() else None

    def write(question: Question, values: Int64) -> None:
        factor = (values / PER_CENT).astype(np.float32)
        question.recorded.rows["sums"][:, :, places] *= factor[:, None, None]

    return read, write


def _stock(question: Question) -> int | None:
    on_hand = int(question.recorded.rows["on_hand"][0])
    return on_hand if on_hand >= 0 else None


def _read_price(question: Question) -> int | None:
    current = current_price(question.recorded.rows["price"], question.recorded.policies["list_price"])
    return int(current[0]) or None


def _read_rival(question: Question) -> int | None:
    known, cheapest = _rival(question)
    return int(question.recorded.rows["rival_price"][0, cheapest[0]]) if known[0] else None


def _write_rival(question: Question, values: Int64) -> None:
    _, cheapest = _rival(question)
    question.recorded.rows["rival_price"][np.arange(len(question)), cheapest] = values


def _read_rival_age(question: Question) -> int | None:
    known, cheapest = _rival(question)
    seen_at = int(question.recorded.rows["rival_seen_at"][0, cheapest[0]])
    return max(int(question.now[0]) - seen_at, 0) // MINUTE_MS if known[0] else None


def _write_rival_age(question: Question, values: Int64) -> None:
    _, cheapest = _rival(question)
    question.recorded.rows["rival_seen_at"][np.arange(len(question)), cheapest] = question.now - values * MINUTE_MS


def _rival(question: Question) -> tuple[Bool, Int64]:
    return heeded(question.recorded.rows, question.recorded.policies, question.now)


def _read_cost(question: Question) -> int | None:
    policy = question.recorded.policies
    return round(float(policy["profit_offset"][0])) if policy["present"][0] else None


def _write_cost(question: Question, values: Int64) -> None:
    policy = question.recorded.policies
    before = np.maximum(policy["profit_offset"], 1.0)
    policy["margin_floor"] = np.ceil(policy["margin_floor"] * (values / before)).astype(np.int64)
    policy["profit_offset"] = values
    set_bounds(policy)


def _read_answered(question: Question) -> int | None:
    return 1 - int(question.recorded.rows["pending"][0])


def _write_answered(question: Question, values: Int64) -> None:
    question.recorded.rows["pending"] = 1 - values


def _read_resumed(question: Question) -> int | None:
    return 1 - int(question.recorded.rows["operator_paused"][0])


def _write_resumed(question: Question, values: Int64) -> None:
    question.recorded.rows["operator_paused"] = 1 - values


def _read_active(question: Question) -> int:
    return int(question.mode[0] == ACTIVE)


def _write_active(question: Question, values: Int64) -> None:
    question.mode[:] = np.where(values != 0, ACTIVE, HALTED)


def _read_budget(question: Question) -> int | None:
    return None if question.withheld is None else 1 - int(question.withheld.stopped[0])


def _write_budget(question: Question, values: Int64) -> None:
    if question.withheld is not None:
        question.withheld.stopped[:] = values == 0


def _read_mode(question: Question) -> int | None:
    policy = question.recorded.policies
    return int(policy["mode"][0] in {AUTO, RECOMMEND, ON_APPROVAL}) if policy["present"][0] else None


def _write_mode(question: Question, values: Int64) -> None:
    """Let a paused offer run, and one that runs be paused."""
    mode = question.recorded.policies["mode"]
    question.recorded.policies["mode"] = np.where(values == 0, PAUSED, np.where(mode == PAUSED, AUTO, mode))


def _family(name: str) -> tuple[Read, Write]:
    """A price of the other members; None where none is known."""

    def read(question: Question) -> int | None:
        policy = question.recorded.policies
        return int(policy[name][0]) if policy["family"][0] and policy["family_count"][0] > 0 else None

    def write(question: Question, values: Int64) -> None:
        question.recorded.policies[name] = values

    return read, write


def _read_family_known(question: Question) -> int | None:
    policy = question.recorded.policies
    return int(policy["family_count"][0] != NONE) if policy["family"][0] else None


def _write_family_known(question: Question, values: Int64) -> None:
    """What is not known is looked at as if there were no others."""
    count = question.recorded.policies["family_count"]
    question.recorded.policies["family_count"] = np.where(values == 0, NONE, np.maximum(count, 0))


def _at(bound: int) -> Bound:
    return lambda _, __: bound


def _times(factor: float, least: int = 1) -> Bound:
    return lambda _, value: max(round(factor * value), least)


def _down_to_price(question: Question, value: int) -> int:
    """A bound beyond the price in effect decides by force, which is no news."""
    return min(value, _read_price(question) or value)


def _up_to_price(question: Question, value: int) -> int:
    return max(value, _read_price(question) or value)


def _down_to_floor(question: Question, value: int) -> int:
    policy = question.recorded.policies
    return min(value, int(policy["low"][0])) if policy["present"][0] else value


def _up_to_ceiling(question: Question, value: int) -> int:
    policy = question.recorded.policies
    return max(value, int(policy["high"][0])) if policy["present"][0] else value


_NOUGHT, _ONE, _MONTH, _WHOLE = _at(0), _at(1), _at(MOST_MINUTES), _at(ONE)
_QUARTER, _FOURFOLD, _TENFOLD = _times(0.25), _times(4.0), _at(10 * PER_CENT)

INPUTS: tuple[Input, ...] = (
    Input("stock on hand", "pieces", _stock, _into_row("on_hand"), _NOUGHT, _times(10.0, 1000), 1),
    Input("price of the cheapest rival", "minor units", _read_rival, _write_rival, _QUARTER, _FOURFOLD, 0),
    Input("age of the cheapest rival's price", "minutes", _read_rival_age, _write_rival_age, _NOUGHT, _MONTH, 60),
    Input("price in effect", "minor units", _read_price, _into_row("price"), _down_to_floor, _up_to_ceiling, 0),
    Input("cost and fees of a piece", "minor units", _read_cost, _write_cost, _NOUGHT, _times(4.0, 100), 1),
    Input("pieces sold lately", "percent of it", *_share("units", "units_x"), _NOUGHT, _TENFOLD, 1),
    Input("impressions lately", "percent of it", *_share(*_SHOWN), _NOUGHT, _TENFOLD, 1),
    Input("time since the last change of price", "minutes", *_age("last_change_at"), _NOUGHT, _MONTH, 60),
    Input("age of the count of stock", "minutes", *_age("stock_at"), _NOUGHT, _MONTH, 60),
    Input("floor", "minor units", *_bound("floor"), _QUARTER, _up_to_price, 0),
    Input("ceiling", "minor units", *_bound("ceiling"), _down_to_price, _FOURFOLD, 0),
    Input("minimum advertised price", "minor units", *_bound("map_price"), _QUARTER, _up_to_price, 0),
    Input("largest step", "basis points", *_bound("max_step_bp"), _NOUGHT, _WHOLE, 100),
    Input("largest change within a day", "basis points", *_bound("max_daily_change_bp"), _NOUGHT, _WHOLE, 100),
    Input("smallest change worth making", "basis points", *_bound("min_change_bp"), _NOUGHT, _WHOLE, 100),
    Input("largest distance in the family", "basis points", *_bound("max_family_spread_bp"), _NOUGHT, _WHOLE, 100),
    Input("lowest price in the family", "minor units", *_family("family_low"), _QUARTER, _FOURFOLD, 0),
    Input("highest price in the family", "minor units", *_family("family_high"), _QUARTER, _FOURFOLD, 0),
    Input("the family's prices are known", "0 or 1", _read_family_known, _write_family_known, _NOUGHT, _ONE, 1),
    Input("catalog has answered", "0 or 1", _read_answered, _write_answered, _NOUGHT, _ONE, 1),
    Input("offer is not paused", "0 or 1", _read_mode, _write_mode, _NOUGHT, _ONE, 1),
    Input("no command pauses the offer", "0 or 1", _read_resumed, _write_resumed, _NOUGHT, _ONE, 1),
    Input("breaker lets it pass", "0 or 1", _read_budget, _write_budget, _NOUGHT, _ONE, 1),
    Input("run mode is ACTIVE", "0 or 1", _read_active, _write_active, _NOUGHT, _ONE, 1),
)
"""In the order in which they are shown."""
