"""Decisions made again from their records alone, written as records again, and compared byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, islice

import numpy as np

from pricing_core.decisions import DecidedTogether, Decisions
from pricing_core.model_file import Model
from pricing_core.recorded import Recorded, RecordedError
from pricing_core.replaying import Question, ReplayingEngine, Withheld
from pricing_core.rules import BREAKER, CODES, VERSION
from pricing_core.run_modes import MODES, SCOPES
from schemas.binary import BinaryArray
from schemas.columns import NONE
from streams.emit import Emitter
from streams.metrics import Metrics
from streams.replay.decision_log import Found
from streams.replay.difference import Difference, first_difference
from streams.replay.report import Report
from streams.settings import Settings
from streams.shard import Shard

AT_ONCE = 1024
"""Decisions of one call of the engine: what a worker decides at once."""
STRETCH = 8 * AT_ONCE
"""Decisions that are held at once."""


Published = Callable[[str], Model | None]
"""Finds a model that was published, by its label; None if there is none, or none that can be used."""


class Replayer:
    """Makes decisions again with the models that they name."""

    def __init__(self, settings: Settings, models: Sequence[Model], published: Published = lambda _: None) -> None:
        self._models: dict[str, Model | None] = {model.label: model for model in models}
        self._published = published
        self.engine = ReplayingEngine(models[0], capacity=max(settings.max_offers, AT_ONCE), seed=settings.seed)
        self._emitter = Emitter(settings, self.engine, Metrics())

    def replay(self, decisions: Iterable[Found]) -> Report:
        """Make each of the decisions again and compare it with its record."""
        report = Report()
        for page in pages_of(decisions):
            report.decisions += len(page)
            why_not = self.obstacle(page[0])
            if why_not is None:
                report.add(self._compare(page))
            else:
                report.not_recomputed[why_not] += len(page)
        return report

    def decide(self, page: Sequence[Found]) -> Decisions:
        """Make decisions again that name one model and one epsilon."""
        self.use_model_of(page[0])
        return self.engine.decide_again(question_of(page), BinaryArray.of(found.key for found in page))

    def records(self, page: Sequence[Found], decisions: Decisions) -> Iterator[bytes]:
        """Write decisions as the worker would have: those of one step share what it says of all of them."""
        start = 0
        for _, step in groupby(page, step_of):
            founds = list(step)
            stop = start + len(founds)
            yield from self.written(founds[0], decisions.part(slice(start, stop)))
            start = stop

    def written(self, found: Found, decisions: Decisions) -> list[bytes]:
        """Records of decisions of the step of ``found``."""
        shard = Shard(found.partition, found.record.applied, {}, {})
        whole = DecidedTogether(decisions, {found.partition: slice(0, len(decisions))})
        audit, *_ = self._emitter.decisions(whole, {found.partition: shard}, found.now)[found.partition]
        return audit.values.present()

    def obstacle(self, found: Found) -> str | None:
        """Why a decision cannot be made again; None if it can."""
        if self._model(found.record.model) is None:
            return f"model {found.record.model} is not at hand"
        return why_not_again(found)

    def use_model_of(self, found: Found) -> None:
        """Let the engine decide with the model and epsilon that a decision names."""
        record, model = found.record, self._model(found.record.model)
        assert model is not None  # else there is an obstacle
        self.engine.model = replace(model, epsilon=record.epsilon or 0.0)

    def _model(self, label: str) -> Model | None:
        if label not in self._models:
            self._models[label] = self._published(label)
        return self._models[label]

    def _compare(self, page: Sequence[Found]) -> Iterator[Difference | None]:
        try:
            decisions = self.decide(page)
        except RecordedError:
            if len(page) > 1:
                for found in page:
                    yield from self._compare([found])
            else:
                yield Difference(page[0].record.decision_id, "inputs", "unreadable", None)
            return
        for found, again in zip(page, self.records(page, decisions), strict=True):
            yield first_difference(found.record.decision_id, found.raw, again)


def why_not_again(found: Found) -> str | None:
    """Why no model whatever can make a decision again; None if one can."""
    record = found.record
    if record.inputs is None or record.rules is None:
        return "recorded by an earlier version, without its inputs"
    return None if record.rules == VERSION else f"rules of version {record.rules}, this program has {VERSION}"


def question_of(page: Sequence[Found]) -> Question:
    """What the decisions were asked.

    Raises:
        RecordedError: Recorded inputs cannot be read.
    """
    return Question(
        recorded=Recorded.unpacked(found.record.inputs or b"" for found in page),
        now=np.array([found.now for found in page], np.int64),
        mode=np.array([MODES.index(found.record.run_mode) for found in page], np.int8),
        scope=np.array([SCOPES.index(found.record.run_mode_scope) for found in page], np.int8),
        uniform=np.array([found.record.uniform or 0.0 for found in page], np.float32),
        sequence=np.array([found.sequence for found in page], np.int64),
        batch=max(found.record.batch or 0 for found in page),
        withheld=_withheld(page),
    )


def _withheld(page: Sequence[Found]) -> Withheld | None:
    stopped = np.array([found.record.reason == CODES[BREAKER] for found in page], np.bool_)
    if not stopped.any():
        return None
    limits, values = ([getattr(found.record.verdict, name) for found in page] for name in ("limit", "value"))
    return Withheld(
        stopped, *(np.array([NONE if n is None else n for n in each], np.int64) for each in (limits, values))
    )


def step_of(found: Found) -> tuple[object, ...]:
    """What decisions have in common that a worker made in one step."""
    record = found.record
    return found.partition, record.decided_at, tuple(record.applied.items()), _terms(found)


def _terms(found: Found) -> tuple[object, ...]:
    """What decisions have in common that can be made again by one call."""
    record = found.record
    return record.model, record.epsilon, record.rules, record.inputs is None


def pages_of(decisions: Iterable[Found]) -> Iterator[list[Found]]:
    """Gather decisions that one call of the engine can make again: of a stretch, those of equally many rows."""
    for _, run in groupby(decisions, _terms):
        while stretch := list(islice(run, STRETCH)):
            alike: dict[int, list[Found]] = {}
            for found in stretch:
                alike.setdefault(found.record.batch or 0, []).append(found)
            for batch, founds in alike.items():
                size = batch or AT_ONCE  # more than the call had rows would be asked in a larger one
                yield from (founds[start : start + size] for start in range(0, len(founds), size))
