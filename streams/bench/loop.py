"""`repricer bench loop`: a shop that learns beside one that does not, on the same days before the same shoppers.

Both arms run the worker, the catalog and the market on the broker; one of them also what joins outcomes, learns, and
promotes. On a day all shoppers become others. What each earns is told as a share of what somebody would have earned who
knows the demand at every moment, though not what rivals will answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.intervals import normal_interval
from streams.bench.loop_arm import Course, Plan, play
from streams.bench.loop_plot import save_plot
from streams.bench.machine import machine, versions
from streams.errors import NotReady
from streams.market.truth import Truth
from streams.settings import Settings

ARMS: Mapping[str, bool] = {"shipped": False, "learning": True}
"""By name: whether it learns."""
EARLY_DAYS = 10
"""After the opening, and after the change: nothing much can be known yet."""


def measure(settings: Settings, plan: Plan, out: Path | None) -> dict[str, Any]:
    """Run both arms; returns the object that ``--json`` prints, and draws it.

    Args:
        settings: The broker.
        plan: The shop.
        out: Folder for plot and logs; None keeps neither.

    Raises:
        ChildDied: A process ended by itself.
        NotReady: The market ended early, or the arms met other shoppers.
    """
    with TemporaryDirectory(prefix="repricer-loop-") as temporary:
        folder = out or Path(temporary)
        courses = {name: play(settings, plan, learns=learns, folder=folder / name) for name, learns in ARMS.items()}
        result = _result(plan, courses)
        if out is not None:
            save_plot(out / "loop.png", result)
    return result


def _result(plan: Plan, courses: Mapping[str, Course]) -> dict[str, Any]:
    optimum, *others = (_by_day(course.truth, "optimum", plan.days) for course in courses.values())
    if not all(np.array_equal(optimum, other) for other in others):
        raise NotReady("the arms did not meet the same shoppers: they cannot be compared")
    earned = {name: _by_day(course.truth, "applied", plan.days) for name, course in courses.items()}
    held = _by_day(courses["shipped"].truth, "hold", plan.days)
    shares = {
        when: {name: _percent(one[days], optimum[days]) for name, one in [*earned.items(), ("hold", held)]}
        for when, days in _stretches(plan).items()
    }
    acts = courses["learning"].acts
    return {
        "percent_of_clairvoyant": shares,
        "gain_of_learning_pp": _gain(courses["shipped"].truth, courses["learning"].truth),
        "candidates": {what: sum(act.what == what for act in acts) for what in sorted({act.what for act in acts})},
        "seconds": {name: round(course.seconds) for name, course in courses.items()},
        **asdict(plan),
        "by_day": {name: np.round(100 * one / optimum, 2).tolist() for name, one in earned.items()},
        "acts": [act._asdict() for act in acts],
        "machine": machine(),
        "versions": versions(),
    }


def _stretches(plan: Plan) -> dict[str, slice]:
    change = plan.change_day
    bounds = [0, min(EARLY_DAYS, change), change, min(change + EARLY_DAYS, plan.days), plan.days]
    names = ("first days", "until the change", "after the change", "until the end")
    found = {name: slice(a, b) for name, a, b in zip(names, bounds[:-1], bounds[1:], strict=True) if a < b}
    return {**found, "all days": slice(0, plan.days)}


def _by_day(truth: Truth, rule: str, days: int) -> Float64:
    """Profit of each whole day, minor units."""
    periods = np.array(truth.by_period[rule], np.float64)
    by_day: Float64 = periods[: len(periods) // days * days].reshape(days, -1).sum(axis=1)
    return by_day


def _percent(earned: Float64, optimum: Float64) -> float:
    return round(float(100 * earned.sum() / optimum.sum()), 2)


def _gain(shipped: Truth, learning: Truth) -> dict[str, float]:
    """Of all days, percentage points of the clairvoyant's profit, with a 95 % interval over offers."""
    offers = sorted(shipped.by_offer)

    def of(truth: Truth, rule: str) -> Float64:
        return np.array([truth.by_offer[offer][rule] for offer in offers], np.float64)

    optimum = of(shipped, "optimum")
    gained = (of(learning, "applied") - of(shipped, "applied")) / optimum.mean()
    value = float(gained.mean())
    influence = (gained - value * optimum / optimum.mean()) / len(offers)
    lower, upper = normal_interval(value, influence, 0.95)
    return {name: round(100 * bound, 2) for name, bound in (("value", value), ("lower", lower), ("upper", upper))}
