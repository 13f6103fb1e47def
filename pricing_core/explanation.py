"""The smallest change of one input that would have flipped a decision, found and checked by deciding again.

Nothing is derived from the model: every answer is what the real decision code says with that input changed and all
others as they were, chance included. An input is first tried at values ever farther away on both sides; between the
last value that changes nothing and the first that does, the change is then closed in on. So a flip that lies between
two tried values and is undone before the second may be missed; what is reported has been decided.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from pricing_core.decision_inputs import INPUTS, Input
from pricing_core.decisions import OUTCOMES, Decisions
from pricing_core.replaying import Question, ReplayingEngine
from pricing_core.valuation import BUCKETS
from schemas.columns import Bool, Int64

TRIED_ON_A_SIDE = 24
TRIED_BETWEEN = 15
"""Values that are tried at once between two, each time."""


class Answer(NamedTuple):
    """What was decided."""

    outcome: str
    reason: str
    price: int


class Known(NamedTuple):
    """An input as it was, and the nearest value found that would have flipped the decision."""

    name: str
    unit: str
    value: int
    low: int
    """Range within which it was tried."""
    high: int
    flips_at: int | None
    """None: no value that was tried within the range flips it."""
    answer: Answer | None
    distance: float | None
    """|ln of new over old|, softened: by this the changes of different inputs are compared."""


class _Bracket(NamedTuple):
    """Between a value that changes nothing and one that flips."""

    input: Input
    same: int
    flipped: int

    @property
    def is_closed(self) -> bool:
        """Whether nothing lies between."""
        return abs(self.flipped - self.same) <= 1

    def between(self) -> Int64:
        """Values to try, from the one that changes nothing on."""
        steps = np.linspace(self.same, self.flipped, TRIED_BETWEEN + 2).round().astype(np.int64)
        return np.array(list(dict.fromkeys(steps.tolist()))[1:-1], np.int64)


def look_for_flips(engine: ReplayingEngine, question: Question) -> list[Known]:
    """Look for the nearest flip of each input.

    Args:
        engine: With the model that decided.
        question: One decision.

    Returns:
        All inputs that the offer has, in the order of `INPUTS`.
    """
    present = [(one, value) for one in INPUTS if (value := one.read(question)) is not None]
    brackets = _brackets(engine, question, present)
    while any(not bracket.is_closed for bracket in brackets):
        brackets = _closer(engine, question, brackets)
    return [_known(engine, question, one, value, [b for b in brackets if b.input is one]) for one, value in present]


def smallest(known: Sequence[Known]) -> Known | None:
    """The input whose change is the smallest; None if there is no flip."""
    flips = [one for one in known if one.distance is not None]
    return min(flips, key=lambda one: one.distance or 0.0) if flips else None


def answers(decisions: Decisions) -> list[Answer]:
    """What was decided, one by one."""
    outcomes = [OUTCOMES[number] for number in decisions.outcome.tolist()]
    return [Answer(*found) for found in zip(outcomes, decisions.reasons, decisions.price.tolist(), strict=True)]


def asked(question: Question, changes: Sequence[tuple[Input, Int64]]) -> Question:
    """The question once for each value, with one input changed in each."""
    whole, start = question.repeated(sum(len(values) for _, values in changes)), 0
    for one, values in changes:
        part = whole.part(slice(start, start + len(values)))
        one.write(part, values)  # a part is a view
        start += len(values)
    return whole


def _brackets(engine: ReplayingEngine, question: Question, present: Sequence[tuple[Input, int]]) -> list[_Bracket]:
    """The first flip on each side of each input, as far as the tried values show it."""
    sides = [
        (one, value, tried)
        for one, value in present
        for bound in (one.low(question, value), one.high(question, value))
        if len(tried := _outwards(value, bound))
    ]
    found = _flipped(engine, question, [(one, tried) for one, _, tried in sides])
    brackets = []
    for (one, value, tried), flips in zip(sides, found, strict=True):
        if flips.any():
            first = int(flips.argmax())
            brackets.append(_Bracket(one, int(tried[first - 1]) if first else value, int(tried[first])))
    return brackets


def _closer(engine: ReplayingEngine, question: Question, brackets: Sequence[_Bracket]) -> list[_Bracket]:
    found = _flipped(engine, question, [(bracket.input, bracket.between()) for bracket in brackets])
    closer = []
    for bracket, flips in zip(brackets, found, strict=True):
        steps = [bracket.same, *bracket.between().tolist(), bracket.flipped]
        first = int(flips.argmax()) + 1 if flips.any() else len(steps) - 1
        closer.append(_Bracket(bracket.input, steps[first - 1], steps[first]))
    return closer


def _outwards(value: int, bound: int) -> Int64:
    """Values from the one next to ``value`` to ``bound``, ever farther apart."""
    span = abs(bound - value)
    if span == 0:
        return np.empty(0, np.int64)
    steps = np.unique(np.geomspace(1, span, TRIED_ON_A_SIDE).round().astype(np.int64))
    return value + (steps if bound > value else -steps)


def _flipped(engine: ReplayingEngine, question: Question, changes: Sequence[tuple[Input, Int64]]) -> list[Bool]:
    """Whether each value flips the decision."""
    if not any(len(values) for _, values in changes):
        return [np.zeros(0, np.bool_) for _ in changes]
    before = _direction(engine.decide_again(question))[0]
    tried = replace(asked(question, changes), batch=BUCKETS[-1])  # one compiled call for all; what it finds is checked
    flips = _direction(engine.decide_again(tried)) != before
    return np.split(flips, np.cumsum([len(values) for _, values in changes])[:-1])


def _direction(decisions: Decisions) -> Int64:
    """Outcome and direction of the price as one number, [n]: a flip is another one."""
    direction: Int64 = np.sign(decisions.price - decisions.previous_price)
    return 3 * decisions.outcome.astype(np.int64) + direction


def _known(engine: ReplayingEngine, question: Question, one: Input, value: int, brackets: Sequence[_Bracket]) -> Known:
    low, high = one.low(question, value), one.high(question, value)
    nothing = Known(one.name, one.unit, value, low, high, None, None, None)
    nearest = min((b.flipped for b in brackets), key=lambda flip: _distance(one, value, flip), default=None)
    if nearest is None:
        return nothing
    # Alone, in a call of as many rows as then: what is reported is what this one question is answered with.
    before, after = (engine.decide_again(which) for which in (question, asked(question, [(one, np.array([nearest]))])))
    if _direction(before) == _direction(after):
        return nothing
    return Known(one.name, one.unit, value, low, high, nearest, answers(after)[0], _distance(one, value, nearest))


def _distance(one: Input, value: int, other: int) -> float:
    soft = max(one.softening, 1 if min(value, other) == 0 else 0)
    return abs(math.log((other + soft) / (value + soft)))
