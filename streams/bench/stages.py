"""Where a step's time goes: the seams between its stages, timed from outside.

Nothing in the serving path knows of this. A seam that is gone is an error and not a gap in the table.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from streams.errors import RepricerError


@dataclass(frozen=True, slots=True)
class Seam:
    """One function or method: what is called through it is time of this stage, but for the stages inside it."""

    stage: str
    module: str
    name: str
    """Within the module: ``function`` or ``Class.method``, looked up where its callers look it up."""


SEAMS = (
    Seam("decode", "schemas.codec", "BatchDecoder.__call__"),
    Seam("duplicate window", "streams.duplicate_window", "DuplicateWindow.admit"),
    Seam("key look-up", "pricing_core.slots", "SlotTable.known"),
    Seam("key look-up", "pricing_core.slots", "SlotTable.find"),
    Seam("fold", "pricing_core.engine", "PricingEngine.apply_together"),
    Seam("decayed sums", "pricing_core.rolling_sums", "RollingSums.fold"),
    Seam("due", "pricing_core.schedule", "Schedule.after_events"),
    Seam("due", "pricing_core.schedule", "Schedule.take"),
    Seam("due", "pricing_core.schedule", "Schedule.after_decisions"),
    Seam("ladder", "pricing_core.ladder", "build"),
    Seam("features, Q-function, choice", "pricing_core.valuation", "value"),
    Seam("guards", "pricing_core.deciding", "judge"),
    Seam("decide, the rest", "pricing_core.engine", "PricingEngine.decide_together"),
    Seam("audit records", "streams.emit", "Emitter.decisions"),
    Seam("snapshot rows", "pricing_core.engine", "PricingEngine.snapshot"),
    Seam("produce, commit", "streams.transaction", "TransactionWriter.commit"),
    Seam("apply, the rest", "streams.pipeline", "Pipeline.apply"),
    Seam("decide, the rest", "streams.pipeline", "Pipeline.decide"),
)


@dataclass(slots=True)
class Stopwatch:
    """Time of each stage without the stages inside it; seconds."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys((seam.stage for seam in SEAMS), 0.0))
    calls: dict[str, int] = field(default_factory=lambda: dict.fromkeys((seam.stage for seam in SEAMS), 0))
    _inner: list[float] = field(default_factory=lambda: [0.0])

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``function`` with its time counted for ``stage``."""
        clock, inner, seconds, calls = time.perf_counter, self._inner, self.seconds, self.calls

        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            inner.append(0.0)
            began = clock()
            try:
                return function(*args, **kwargs)
            finally:
                took = clock() - began
                seconds[stage] += took - inner.pop()
                calls[stage] += 1
                inner[-1] += took

        return wrapper

    def reset(self) -> None:
        """Begin anew."""
        for stage in self.seconds:
            self.seconds[stage], self.calls[stage] = 0.0, 0


@contextmanager
def watched() -> Iterator[Stopwatch]:
    """Time all seams while the block runs. For one thread.

    Raises:
        RepricerError: If a seam is gone.
    """
    stopwatch = Stopwatch()
    with ExitStack() as undo:
        for seam in SEAMS:
            owner, name, function = _find(seam)
            setattr(owner, name, stopwatch.timed(seam.stage, function))
            undo.callback(setattr, owner, name, function)
        yield stopwatch


def _find(seam: Seam) -> tuple[Any, str, Callable[..., Any]]:
    owner: Any = importlib.import_module(seam.module)
    *path, name = seam.name.split(".")
    try:
        for part in path:
            owner = getattr(owner, part)
        return owner, name, vars(owner)[name]
    except (AttributeError, KeyError):
        raise RepricerError(
            f"the profile times {seam.module}.{seam.name}, which is gone: put what took its place into SEAMS"
        ) from None
