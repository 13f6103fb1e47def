"""Transitions of some time, and what a model would have earned in them: all, by week, and by channel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pricing_core.evaluation.arrays import Int64
from pricing_core.evaluation.backtest import Asked, Backtest, backtest
from pricing_core.model_file import Model
from pricing_core.recorded import RecordedError
from schemas.columns import Bool
from streams.errors import InputRefused
from streams.models.choices import logging_of, sort_out
from streams.models.evidence import SEED, decide_logged, exploring, logged_prices
from streams.models.named import load_published_model
from streams.models.read import read_one
from streams.models.transitions import Followed, FollowedDecisions
from streams.serving_model import load_serving_model
from streams.settings import Settings


class Group(NamedTuple):
    """Decisions that are looked at together."""

    kind: str
    """all, week or channel."""
    name: str
    currency: str | None
    found: Backtest


@dataclass(frozen=True, slots=True)
class Report:
    """What the log says about a model."""

    model: str
    since: str
    until: str
    """Of the first and the last decision that was read; empty if there was none."""
    read: int
    left_out: dict[str, int]
    """Why decisions say nothing about a model → how many."""
    groups: list[Group]

    def of(self, kind: str) -> list[Group]:
        """Those of a kind."""
        return [group for group in self.groups if group.kind == kind]


def chosen_model(settings: Settings, which: str | None) -> Model:
    """Load a file or ``NAME/VERSION``; without either what is live, else what the settings serve.

    Raises:
        InputRefused: There is no such model.
        ModelRefused: It cannot be used.
    """
    if which is not None:
        path = Path(which)
        if path.suffix == ".safetensors" or path.is_file():
            return load_serving_model(settings.model_copy(update={"model_path": path}))
        return load_published_model(settings, which)
    live = read_one(settings, settings.model_name).live
    if live is None or live.version is None:
        return load_serving_model(settings)
    return load_published_model(settings, f"{live.name}/{live.version}")


def run(settings: Settings, model: Model, *, since_ms: int, until_ms: int) -> Report:
    """Look at the transitions whose decisions were made from ``since_ms`` on and before ``until_ms``.

    Raises:
        InputRefused: There are none, or none can be decided again.
        TopicMismatch: The topic is missing.
        BrokerUnreachable: No broker answered.
    """
    followed = FollowedDecisions(settings, since_ms=since_ms, until_ms=until_ms - 1)
    report = look_at(followed, model)
    return replace(report, left_out=report.left_out | _counted("the record is unreadable", followed.unreadable))


def look_at(followed: Iterable[Followed], model: Model) -> Report:
    """Look at some transitions; errors as of `run`."""
    times = _Times()
    found = sort_out(times.of(followed))
    left_out = found.left_out | Counter({"a guard decided": len(found.guarded)})
    try:
        decided = decide_logged(model, found.free)
        sound, logging = logging_of(found, decided)
    except RecordedError as error:
        raise InputRefused(f"the log cannot be decided again: {error}") from error
    except ValueError as error:
        raise InputRefused(f"the log cannot be used: {error}") from error
    free = [found.free[i] for i in sound.tolist()]
    left_out["the record contradicts itself"] = len(found.free) - len(free)
    if not free:
        raise InputRefused(
            f"{found.read:,} transitions, and none in which a model decided freely and it is known what followed: "
            "`repricer outcomes` writes them while workers decide; or look at another time"
        )
    again = exploring(decided, found.free)[sound]
    asked = Asked(logged_prices(free, logging), again, _legal(free), np.array([one.days for one in free]))
    groups = [
        Group(kind, name, currency, backtest(asked.at(rows), seed=SEED)) for kind, name, currency, rows in _groups(free)
    ]
    reasons = {why: count for why, count in left_out.items() if count}
    return Report(model.label, times.first, times.last, found.read, reasons, groups)


@dataclass(slots=True)
class _Times:
    """Of the first and the last decision that came by."""

    first: str = ""
    last: str = ""

    def of(self, followed: Iterable[Followed]) -> Iterator[Followed]:
        for one in followed:
            self.first, self.last = min(self.first or one.decided_at, one.decided_at), max(self.last, one.decided_at)
            yield one


def _counted(why: str, count: int) -> dict[str, int]:
    return {why: count} if count else {}


def _groups(free: Sequence[Followed]) -> list[tuple[str, str, str | None, Int64]]:
    """Kind, name, currency and rows: amounts of different currencies are never added."""
    kinds: dict[str, Callable[[Followed], str]] = {
        "all": lambda _: "all",
        "week": _week,
        "channel": lambda o: o.channel,
    }
    found = []
    for kind, name_of in kinds.items():
        keys = [(name_of(one), one.currency or "") for one in free]
        for name, currency in sorted(set(keys)):
            rows = np.flatnonzero([key == (name, currency) for key in keys])
            found.append((kind, name, currency or None, rows))
    return found


def _week(one: Followed) -> str:
    year, week, _ = datetime.fromisoformat(one.decided_at).isocalendar()
    return f"{year}-W{week:02}"


def _legal(free: Sequence[Followed]) -> Bool:
    return np.array([one.legal for one in free], np.bool_)
