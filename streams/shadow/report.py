"""`repricer shadow report`: how often two models agree, and what each thinks of the other's prices.

Neither model's opinion is a fact: the worker's model values its own choices highest, and so does the shadow. What one
of them would truly earn more is shown by an experiment (`repricer experiments`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from pricing_core.evaluation.intervals import normal_interval
from pricing_core.features import HOLD
from pricing_core.q_function import UNIT
from schemas.decisions import PriceDecided
from schemas.topics import SHADOW_DECISIONS
from streams.errors import InputRefused
from streams.replay.decision_log import DecisionLog, Found
from streams.settings import Settings

SHOWN = 20
"""Decisions that are listed where the models disagree; all are counted."""


class Disagreement(NamedTuple):
    """A decision that the shadow would have made otherwise."""

    decision_id: str
    offer: str
    outcome: str
    price: int | None
    shadow_outcome: str
    shadow_price: int | None
    shadow_reason: str
    gain: float
    """Of the shadow's decision over the one that was made, as the shadow sees it; see `q_function.UNIT`."""


class Gain(NamedTuple):
    """Mean of a decision, with its 95 % interval: offers are independent of one another, decisions of one are not."""

    mean: float
    lower: float
    upper: float


@dataclass(slots=True)
class Comparison:
    """Decisions and their shadows."""

    shadow: str
    """The model's label."""
    decisions: int = 0
    agreed: int = 0
    """The same outcome at the same price."""
    outcomes: Counter[str] = field(default_factory=Counter)
    """Of the others: ``changed, shadow held``."""
    higher: int = 0
    """The shadow's price is higher."""
    lower: int = 0
    guarded: int = 0
    """Decisions of the worker's model that a guard turned into a hold."""
    shadow_guarded: int = 0
    first: list[Disagreement] = field(default_factory=list)
    offers: list[str] = field(default_factory=list)
    gains: list[tuple[float, float]] = field(default_factory=list)
    """Of each decision: the shadow's choice over the worker's, as the shadow sees it and as the worker's model does."""

    @property
    def agreement(self) -> float:
        """Share of the decisions."""
        return self.agreed / self.decisions if self.decisions else float("nan")

    def gain(self, opinion: int) -> Gain | None:
        """Mean gain as the shadow sees it (0), or as the worker's model does (1); None for fewer than two offers."""
        names, cluster = np.unique(np.array(self.offers), return_inverse=True)
        if len(names) < 2:
            return None
        gains = np.array(self.gains)[:, opinion]
        mean = float(gains.mean())
        influence = np.bincount(cluster, gains - mean) / len(gains)
        return Gain(mean, *normal_interval(mean, influence, 0.95))

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        seen = [self.gain(opinion) for opinion in (0, 1)]
        by_shadow, by_live = (None if gain is None else gain._asdict() for gain in seen)
        return {
            "shadow": self.shadow,
            "decisions": self.decisions,
            "agreed": self.agreed,
            "agreement": self.agreement if self.decisions else None,
            "outcomes": dict(self.outcomes),
            "higher": self.higher,
            "lower": self.lower,
            "guarded": self.guarded,
            "shadow_guarded": self.shadow_guarded,
            "expected_difference": {"unit": UNIT, "as_the_shadow_sees_it": by_shadow, "as_the_worker_sees_it": by_live},
            "first": [one._asdict() for one in self.first],
        }


def compare(settings: Settings, *, since_ms: int, until_ms: int, model: str | None) -> Comparison:
    """Join decisions of a time with their shadows.

    Args:
        settings: The workers' own.
        since_ms: Event time of the first decision.
        until_ms: Event time of the last one.
        model: Label of the shadow; None if there is only one.

    Raises:
        TopicMismatch: A topic is missing.
        InputRefused: Several models have shadowed, or none.
    """
    shadows, live = DecisionLog(settings, SHADOW_DECISIONS), DecisionLog(settings)
    label = model or _only_model(shadows, since_ms, until_ms)
    comparison = Comparison(label)
    for partition in range(live.partitions):
        known = {found.sequence: found.record for found in _of(shadows, partition, label, since_ms, until_ms)}
        if known:
            for found in live.between_in(partition, since_ms, until_ms):
                if found.sequence in known:
                    _add(comparison, found, known[found.sequence])
    if not comparison.decisions:
        raise InputRefused(f"no decision of this time was shadowed by {label}; is `repricer shadow run` running?")
    return comparison


def _only_model(shadows: DecisionLog, since_ms: int, until_ms: int) -> str:
    labels = {
        found.record.model
        for partition in range(shadows.partitions)
        for found in shadows.all_in(partition)
        if since_ms <= found.now <= until_ms
    }
    if len(labels) != 1:
        which = ", ".join(sorted(labels)) or "none"
        raise InputRefused(f"say which shadow is meant with --model; in this time there were: {which}")
    return labels.pop()


def _of(shadows: DecisionLog, partition: int, label: str, since_ms: int, until_ms: int) -> Iterator[Found]:
    for found in shadows.all_in(partition):
        if found.record.model == label and since_ms <= found.now <= until_ms:
            yield found


def _add(comparison: Comparison, found: Found, shadow: PriceDecided) -> None:
    live, offer = found.record, found.key.decode()
    gain = _gain(shadow, shadow, live)
    comparison.decisions += 1
    comparison.offers.append(offer)
    comparison.gains.append((gain, _gain(live, shadow, live)))
    comparison.guarded += _was_guarded(live)
    comparison.shadow_guarded += _was_guarded(shadow)
    if (live.outcome, live.price) == (shadow.outcome, shadow.price):
        comparison.agreed += 1
        return
    comparison.outcomes[f"{live.outcome}, shadow {shadow.outcome}"] += 1
    comparison.higher += (shadow.price or 0) > (live.price or 0)
    comparison.lower += (shadow.price or 0) < (live.price or 0)
    if len(comparison.first) < SHOWN:
        comparison.first.append(
            Disagreement(
                live.decision_id,
                offer,
                live.outcome,
                live.price,
                shadow.outcome,
                shadow.price,
                shadow.reason,
                gain,
            )
        )


def _gain(judge: PriceDecided, one: PriceDecided, other: PriceDecided) -> float:
    """What ``one`` is worth over ``other`` by the Q-values of ``judge``; 0 where it has none."""
    if judge.candidates is None:
        return 0.0
    values = [judge.candidates.q[_action(decision)] for decision in (one, other)]
    if values[0] is None or values[1] is None:
        return 0.0
    return values[0] - values[1]


def _action(decision: PriceDecided) -> int:
    """Candidate that came of the decision: the one of holding where the price stays."""
    return HOLD if decision.outcome == "held" or decision.chosen is None else decision.chosen


def _was_guarded(decision: PriceDecided) -> bool:
    """Whether the model's choice was a move that a guard forbade."""
    return decision.outcome == "held" and decision.chosen not in {None, HOLD}


def print_comparison(comparison: Comparison, console: Console) -> None:
    """The same for a terminal."""
    console.print(
        f"[bold]{comparison.shadow}[/] agrees in {comparison.agreed:,} of {comparison.decisions:,} decisions "
        f"({comparison.agreement:.1%}); otherwise its price is higher in {comparison.higher:,}, lower in "
        f"{comparison.lower:,}"
    )
    for outcome, count in comparison.outcomes.most_common():
        console.print(f"  {count:,} {outcome}")
    console.print(f"moves that a guard forbade: {comparison.guarded:,}, of the shadow {comparison.shadow_guarded:,}")
    for opinion, who in enumerate(("the shadow", "the worker's model")):
        gain = comparison.gain(opinion)
        if gain is not None:
            console.print(
                f"expected difference of a decision, as {who} sees it: {gain.mean:+.5f} "
                f"({gain.lower:+.5f} to {gain.upper:+.5f})"
            )
    console.print(f"({UNIT}; what is truly earned is shown by an experiment)")
    if comparison.first:
        table = Table("decision", "offer", "was", "shadow", "why", "gain")
        for one in comparison.first:
            was, then = f"{one.outcome} {one.price}", f"{one.shadow_outcome} {one.shadow_price}"
            table.add_row(one.decision_id, Text(one.offer), was, then, one.shadow_reason, f"{one.gain:+.4f}")
        console.print(table)
