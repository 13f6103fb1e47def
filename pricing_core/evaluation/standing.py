"""From what contestants made of a row's markets to where the system stands: shares, intervals, and a verdict."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.contestants import LOGGED_RULE, SYSTEM
from pricing_core.evaluation.intervals import Bootstrap, bootstrap_interval
from pricing_core.evaluation.suite import Played
from pricing_core.simulator.bar.rows import Mark

CONFIDENCE = 0.95


class Mean(NamedTuple):
    """A mean over markets and its interval, as shares of the optimum."""

    value: float
    lower: float
    upper: float


class Verdict(StrEnum):
    """How a row went. The bounds are those of the system's interval."""

    GOAL = "goal"
    """The lower bound reaches the goal, and what must be."""
    PASSED = "passed"
    """It reaches what it must."""
    NOT_SHOWN = "not shown"
    """It does not, but the upper one does: more markets would tell."""
    MISSED = "missed"
    """Neither does, or the rule that wrote the log may be better than the system."""

    @property
    def passed(self) -> bool:
        """Whether the row may stay as it is."""
        return self in {Verdict.GOAL, Verdict.PASSED}


class Standing(NamedTuple):
    """Of one row."""

    row: str
    n: int
    """Markets."""
    mark: Mark
    shares: dict[str, Mean]
    """By contestant."""
    best_baseline: str
    gain: Mean
    """System less best baseline, market by market. The baseline was found to be the best on the same markets, which
    errs against the system.
    """
    over_logged_rule: Mean | None
    """System less the rule that wrote the log, where one did."""
    verdict: Verdict


def stand(played: Played, mark: Mark, *, seed: int) -> Standing:
    """Compare the system with what it must earn and with its baselines.

    Args:
        played: At least the system, one baseline and two markets.
        mark: What the row asks.
        seed: Of the bootstrap.

    Raises:
        ValueError: Fewer than two markets.
    """
    shares = {name: mean(values, seed=seed) for name, values in played.shares.items()}
    best = max((name for name in shares if name != SYSTEM), key=lambda name: shares[name].value)

    def gain(over: str) -> Mean:
        return mean(played.shares[SYSTEM] - played.shares[over], seed=seed)

    over_rule = gain(LOGGED_RULE) if LOGGED_RULE in shares else None
    return Standing(
        row=played.row,
        n=played.n,
        mark=mark,
        shares=shares,
        best_baseline=best,
        gain=gain(best),
        over_logged_rule=over_rule,
        verdict=judge(shares[SYSTEM], mark, over_rule),
    )


def judge(share: Mean, mark: Mark, over_logged_rule: Mean | None) -> Verdict:
    """Say how a row went: by the bounds of its interval, never by its mean."""
    if over_logged_rule is not None and over_logged_rule.lower < 0.0:
        return Verdict.MISSED
    if share.lower >= max(mark.goal, mark.must):
        return Verdict.GOAL
    if share.lower >= mark.must:
        return Verdict.PASSED
    return Verdict.NOT_SHOWN if share.upper >= mark.must else Verdict.MISSED


def mean(values: Float64, *, seed: int) -> Mean:
    """Give mean and percentile bootstrap interval over markets [n]: shares are skewed, a few bad markets far below.

    Raises:
        ValueError: Fewer than two markets.
    """
    n = len(values)
    lower, upper = bootstrap_interval(
        lambda drawn: float(drawn @ values / n), np.arange(n), Bootstrap(seed), CONFIDENCE
    )
    return Mean(float(values.mean()), lower, upper)
