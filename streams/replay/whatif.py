"""What would have been decided under other policies, or by another model.

Each decision is made again by itself, from the state that it was really made in: what another price would have
changed afterwards is not played on. The expected effect is the model's own: the value of the chosen price over that of
holding, and nothing where the price was held. Chance says the same as it did.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pricing_core.decisions import HELD, OUTCOMES, Decisions
from pricing_core.features import HOLD
from pricing_core.model_file import Model
from pricing_core.policy_table import SIBLINGS
from pricing_core.q_function import UNIT
from pricing_core.replaying import Question
from schemas.columns import NONE, Int64
from streams.replay.again import Replayer, pages_of, question_of
from streams.replay.decision_log import Found
from streams.replay.report import SHOWN, print_reasons

Float64 = NDArray[np.float64]
Otherwise = Callable[[list[Found], Question, Replayer], Question]
"""Changes the question, or the engine's model."""


class Changed(NamedTuple):
    """A decision that would have been another."""

    decision_id: str
    offer: str
    outcome: str
    price: int | None
    outcome_then: str
    price_then: int | None
    reason_then: str
    gain: float
    """Of the other decision over the one that was made, see `q_function.UNIT`."""


@dataclass(slots=True)
class Effect:
    """What would have been otherwise."""

    decisions: int = 0
    changed: int = 0
    raised: int = 0
    """Of the changed ones: a higher price than the one that was decided."""
    lowered: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of the changed ones: ``held to changed``."""
    value: float = 0.0
    """Of all decisions as they were made, see `q_function.UNIT`."""
    value_then: float = 0.0
    first: list[Changed] = field(default_factory=list)
    not_recomputed: Counter[str] = field(default_factory=Counter)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "decisions": self.decisions,
            "changed": self.changed,
            "raised": self.raised,
            "lowered": self.lowered,
            "outcomes": dict(self.outcomes),
            "expected_effect": {
                "unit": UNIT,
                "as_decided": self.value,
                "then": self.value_then,
                "difference": self.value_then - self.value,
            },
            "first": [one._asdict() for one in self.first],
            "not_recomputed": dict(self.not_recomputed),
        }


def under_policies(policies: Mapping[bytes, NDArray[np.void]]) -> Otherwise:
    """Other policies for the offers of these keys; arrays of one of `policy_table.POLICY`."""

    def change(page: list[Found], question: Question, _: Replayer) -> Question:
        for place, found in enumerate(page):
            if found.key in policies:
                recorded = question.recorded.policies
                recorded[place] = _beside_siblings(policies[found.key], recorded[place])[0]
        return question

    return change


def _beside_siblings(policy: NDArray[np.void], recorded: np.void) -> NDArray[np.void]:
    """Another policy, with what is on record of the family; of a family that is not that one nothing is known."""
    then = policy.copy()
    if then["family"][0]:
        known = then["family"][0] == recorded["family"]
        for name in SIBLINGS:
            then[name] = recorded[name] if known else NONE
    return then


def by_model(model: Model) -> Otherwise:
    """Another model, with the recorded share of exploration."""

    def change(_: list[Found], question: Question, replayer: Replayer) -> Question:
        replayer.engine.model = replace(model, epsilon=replayer.engine.model.epsilon)
        return question

    return change


def what_if(replayer: Replayer, decisions: Iterable[Found], otherwise: Otherwise) -> Effect:
    """Make each decision again as it was and otherwise."""
    effect = Effect()
    for page in pages_of(decisions):
        obstacle = replayer.obstacle(page[0])
        if obstacle is not None:
            effect.not_recomputed[obstacle] += len(page)
            continue
        replayer.use_model_of(page[0])
        was = replayer.engine.decide_again(question_of(page))
        then = replayer.engine.decide_again(otherwise(page, question_of(page), replayer))
        _add(effect, page, was, then)
    return effect


def _add(effect: Effect, page: list[Found], was: Decisions, then: Decisions) -> None:
    still_held = (was.outcome == HELD) & (then.outcome == HELD)
    changed = np.flatnonzero(((was.price != then.price) | (was.outcome != then.outcome)) & ~still_held)
    values, values_then = _values(was), _values(then)
    effect.decisions += len(page)
    effect.changed += len(changed)
    effect.raised += int((then.price > was.price)[changed].sum())
    effect.lowered += int((then.price < was.price)[changed].sum())
    effect.value += float(values.sum())
    effect.value_then += float(values_then.sum())
    for row in changed.tolist():
        one = _changed(page[row], was, then, row, float(values_then[row] - values[row]))
        effect.outcomes[f"{one.outcome} to {one.outcome_then}"] += 1
        if len(effect.first) < SHOWN:
            effect.first.append(one)


def _values(decisions: Decisions) -> Float64:
    """Value of each decision over that of holding, [n]; 0 where the price was held or a value is not finite."""
    row, chosen = np.arange(len(decisions)), np.maximum(decisions.chosen, 0)
    gain = decisions.q[row, chosen].astype(np.float64) - decisions.q[:, HOLD]
    moved = (decisions.outcome != HELD) & (decisions.chosen != NONE) & np.isfinite(gain)
    return np.where(moved, gain, 0.0)


def _changed(found: Found, was: Decisions, then: Decisions, row: int, gain: float) -> Changed:
    return Changed(
        found.record.decision_id,
        found.key.decode(),
        OUTCOMES[was.outcome[row]],
        _price(was.price, row),
        OUTCOMES[then.outcome[row]],
        _price(then.price, row),
        then.reasons[row],
        gain,
    )


def _price(prices: Int64, row: int) -> int | None:
    return None if prices[row] == NONE else int(prices[row])


def print_effect(effect: Effect, console: Console) -> None:
    """The same for a terminal."""
    console.print(
        f"{effect.changed:,} of {effect.decisions:,} decisions would have been others: {effect.raised:,} with a higher "
        f"price, {effect.lowered:,} with a lower one"
    )
    for outcome, count in effect.outcomes.most_common():
        console.print(f"  {count:,} {outcome}")
    console.print(f"expected effect {effect.value_then - effect.value:+.3f} ({UNIT}), {effect.value:.3f} as decided")
    print_reasons("not made again", effect.not_recomputed, console)
    if not effect.first:
        return
    table = Table("decision", "offer", "was", "then", "why", "gain")
    for one in effect.first:
        cells = (f"{one.outcome} {one.price}", f"{one.outcome_then} {one.price_then}", one.reason_then)
        table.add_row(one.decision_id, Text(one.offer), *cells, f"{one.gain:+.4f}")
    console.print(table)
