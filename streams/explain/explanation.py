"""Puts together all that is known about one decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from pricing_core.explanation import Known, look_for_flips, smallest
from pricing_core.features import FEATURES, MOVES_BP
from pricing_core.state import NEVER, Rows
from streams.explain.causes import Cause, find_causes
from streams.replay.again import Replayer, question_of
from streams.replay.decision_log import DecisionLog, Found
from streams.replay.published import PublishedOnDemand
from streams.serving_model import load_serving_model
from streams.settings import Settings

_TIMES = {
    "first event": "first_seen",
    "last event": "last_event",
    "last order": "last_order",
    "last count of stock": "stock_at",
    "last decision": "last_decided_at",
    "last change of price": "last_change_at",
}
"""Name → column of the row."""


class FeatureValue(NamedTuple):
    """A number that the network saw."""

    name: str
    unit: str
    value: float | None
    """In its unit; None if it was not finite."""
    scaled: float | None
    """As the network saw it."""


class CandidatePrice(NamedTuple):
    """A price that was considered."""

    move_bp: int
    price: int
    q: float | None
    masked: str | None
    """Code of the rule that forbids it."""
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """One decision."""

    found: Found
    previous: Found | None
    """The decision about the same offer before it."""
    causes: list[Cause]
    ages: dict[str, int]
    """Time since what the offer's row knows of, by name; ms. What never happened is left out."""
    features: list[FeatureValue]
    candidates: list[CandidatePrice]
    known: list[Known]
    """The inputs and their flips; empty if the decision cannot be made again."""
    obstacle: str | None
    """Why it cannot."""
    is_reproduced: bool
    """Whether it came out again, byte for byte."""

    @property
    def flip(self) -> Known | None:
        """The smallest change of one input that flips the decision."""
        return smallest(self.known)

    @property
    def was_explored(self) -> bool:
        """Whether chance chose among the nearly best prices: on the second rung always."""
        record = self.found.record
        explores = record.rung == "bandit" or (record.uniform or 0.0) < (record.epsilon or 0.0)
        return record.chosen is not None and record.rung != "rules" and explores


def explain(settings: Settings, *, decision_id: str | None, offer: str | None) -> Explanation:
    """Explain the decision of an id, or the last one about an offer.

    Raises:
        InputRefused: There is none.
    """
    log = DecisionLog(settings)
    found = log.by_id(decision_id) if decision_id is not None else log.last(offer or "")
    previous = log.previous(found)
    return explained(settings, found, previous, find_causes(settings, found, previous))


def explained(settings: Settings, found: Found, previous: Found | None, causes: list[Cause]) -> Explanation:
    """The same for a record that is at hand."""
    replayer = Replayer(settings, [load_serving_model(settings)], PublishedOnDemand(settings))
    obstacle, known, ages, is_reproduced = replayer.obstacle(found), list[Known](), dict[str, int](), False
    if obstacle is None:
        (again,) = replayer.records([found], replayer.decide([found]))
        is_reproduced, question = again == found.raw, question_of([found])
        known, ages = look_for_flips(replayer.engine, question), _ages(question.recorded.rows, found.now)
    return Explanation(
        found, previous, causes, ages, _features(found), _candidates(found), known, obstacle, is_reproduced
    )


def _features(found: Found) -> list[FeatureValue]:
    scaled = found.record.features or []
    return [
        FeatureValue(feature.name, feature.unit, None if value is None else value * feature.scale, value)
        for feature, value in zip(FEATURES, scaled, strict=False)  # recorded with another list: as far as it goes
    ]


def _candidates(found: Found) -> list[CandidatePrice]:
    record = found.record
    if record.candidates is None:
        return []
    columns = zip(MOVES_BP, record.candidates.prices, record.candidates.q, record.candidates.masked, strict=True)
    return [CandidatePrice(*column, is_chosen=place == record.chosen) for place, column in enumerate(columns)]


def _ages(rows: Rows, now: int) -> dict[str, int]:
    times = {name: int(rows[column][0]) for name, column in _TIMES.items()}
    ages = {name: now - at for name, at in times.items() if 0 < at < NEVER}
    seen_at = int(rows["rival_seen_at"].max())
    return ages | ({"last price of a rival": now - seen_at} if seen_at > 0 else {})
