"""A candidate's shadow time: it decides silently what the workers decide, as `repricer shadow run` does."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Event

from pricing_core.evaluation.gate import GateLimits
from pricing_core.model_file import Model
from streams.lives import Life, live_until
from streams.replay.decision_log import Found
from streams.settings import Settings
from streams.shadow.decide import Shadow
from streams.shadow.follow import Follower

LEAST_DECISIONS = GateLimits().least_decisions
"""What the gate asks for."""


class Trial(Shadow):
    """A shadow that knows when it has seen enough: as many decisions as are asked for, over as much event time."""

    def __init__(self, settings: Settings, candidate: Model) -> None:
        super().__init__(settings, candidate)
        self._span_ms = settings.promoter_shadow_s * 1000
        self._first_ms: int | None = None
        self._last_ms = 0
        self.decisions = 0
        """Shadowed, in transactions that were committed."""

    @property
    def is_enough(self) -> bool:
        """Whether the shadow time is over."""
        spanned = self._first_ms is not None and self._last_ms - self._first_ms >= self._span_ms
        return spanned and self.decisions >= LEAST_DECISIONS

    def decide(self, founds: Iterable[Found]) -> list[tuple[Found, bytes]]:
        """As every shadow, and take note of the time."""
        decided = super().decide(founds)
        for found, _ in decided:
            self._first_ms = found.now if self._first_ms is None else min(self._first_ms, found.now)
            self._last_ms = max(self._last_ms, found.now)
        return decided


class _TrialLife:
    """Of the shadow's consumer and producer; says when all lives are over."""

    def __init__(self, follower: Life, trial: Trial, over: Event, stopping: Event) -> None:
        self._follower, self._trial, self._over, self._stopping = follower, trial, over, stopping

    def step(self) -> int:
        done = self._follower.step()
        self._trial.decisions += done
        if self._trial.is_enough or self._stopping.is_set():
            self._over.set()
        return done

    def close(self) -> None:
        self._follower.close()


def shadow(settings: Settings, candidate: Model, stopping: Event) -> int | None:
    """Let a candidate decide silently until it has seen enough.

    A trial that was interrupted begins anew: it goes on with the next decision, and what was shadowed before counts for
    the gate, but not for the time.

    Returns:
        How many decisions it made; None if it was stopped before the time was over.

    Raises:
        TopicMismatch: A topic is missing.
        BrokerUnreachable: Transactions go on failing.
        SourceUnreadable: The decisions cannot be read any more.
    """
    trial, over = Trial(settings, candidate), Event()
    live_until(over, lambda: _TrialLife(Follower(settings, trial, from_the_start=False), trial, over, stopping))
    return trial.decisions if trial.is_enough else None
