"""From the contributions of single decisions to a value with an interval.

All importance-weighting estimators have one form: the mean of an offset plus a ratio of two means. It gives both
intervals at once: the normal one by the delta method, the bootstrap by resampling the sums of clusters. Decisions of
one offer resemble one another, so that the offer, not the decision, is the natural cluster.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from pricing_core.evaluation.arrays import Float64, Int64
from pricing_core.evaluation.support import (
    DEFAULT_LIMITS,
    GainNotShown,
    NotSupported,
    SupportLimits,
    effective_sample_size,
    require_support,
)


class Estimate(NamedTuple):
    """What a policy is worth, in the unit of the reward, per decision (or per sequence)."""

    value: float
    lower: float
    upper: float
    effective_sample_size: float
    n: int


class Bootstrap(NamedTuple):
    """Percentile bootstrap over clusters (Efron & Tibshirani 1993, chapter 13)."""

    seed: int
    resamples: int = 1000


@dataclass(frozen=True, slots=True)
class Contributions:
    """An estimate before it is summed: mean(offset) + mean(numerator) / mean(denominator). All columns float64 [N]."""

    offset: Float64
    numerator: Float64
    denominator: Float64
    weight: Float64
    """Importance weights, for the effective sample size."""
    reward: Float64
    """What the logging policy earned."""
    cluster: Int64
    """int64 [N], 0 … G - 1."""
    unsupported: float
    """Share of the candidate's actions that the logging policy cannot take, as far as it is known."""

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def effective_sample_size(self) -> float:
        """Of the importance weights."""
        return effective_sample_size(self.weight)

    @property
    def value(self) -> float:
        """The estimate itself, without asking for support.

        Raises:
            NotSupported: A self-normalised estimator has no weight to divide by.
        """
        weight = self.denominator.mean()
        if weight == 0.0:
            raise NotSupported("the candidate takes none of the logged actions: log more, or explore more")
        return float(self.offset.mean() + self.numerator.mean() / weight)


def estimate(
    contributions: Contributions,
    *,
    confidence: float = 0.95,
    bootstrap: Bootstrap | None = None,
    limits: SupportLimits = DEFAULT_LIMITS,
) -> Estimate:
    """Value a candidate.

    Args:
        contributions: From an estimator of `off_policy`.
        confidence: Of the interval, two-sided, in (0, 1).
        bootstrap: How to resample; None gives the normal interval.
        limits: What support to ask for.

    Raises:
        NotSupported: The log says too little about the candidate.
        ValueError: The log has one cluster only, or the confidence is out of range.
    """
    c = contributions
    require_support(c.effective_sample_size, len(c), c.unsupported, limits)
    value = c.value
    if bootstrap is None:
        lower, upper = normal_interval(value, _influence(c), confidence)
    else:
        lower, upper = bootstrap_interval(_resampled(c), c.cluster, bootstrap, confidence)
    return Estimate(value, lower, upper, c.effective_sample_size, len(c))


def gain(
    contributions: Contributions,
    *,
    confidence: float = 0.95,
    bootstrap: Bootstrap | None = None,
    limits: SupportLimits = DEFAULT_LIMITS,
) -> Estimate:
    """Value a candidate less what the logging policy earned, decision by decision: what both share cancels.

    Args and errors are those of `estimate`.
    """
    c = contributions
    paired = replace(c, offset=c.offset - c.reward)
    return estimate(paired, confidence=confidence, bootstrap=bootstrap, limits=limits)


def require_gain(gain: Estimate, *, margin: float = 0.0) -> None:
    """Refuse to promote a candidate unless its gain is shown.

    Args:
        gain: From `gain`.
        margin: What one may lose at worst, in the unit of the reward; negative demands a gain.

    Raises:
        GainNotShown: The lower bound of the gain is below -margin, or not a number.
    """
    if not gain.lower >= -margin:
        raise GainNotShown(
            f"the gain is {gain.value:.6g} and could be as low as {gain.lower:.6g}, below {-margin:.6g}: "
            "log more decisions, or keep the policy that is running"
        )


def normal_interval(value: float, influence: Float64, confidence: float) -> tuple[float, float]:
    """Give value ± z · standard error.

    Args:
        value: The estimate.
        influence: float64 [G], by how much each cluster moves the value; sums to about 0.
        confidence: Two-sided, in (0, 1).

    Raises:
        ValueError: Fewer than two clusters, or the confidence is out of range.
    """
    clusters = _several(len(influence))
    error = np.sqrt(clusters / (clusters - 1) * np.sum(influence**2))
    half = NormalDist().inv_cdf((1 + _checked(confidence)) / 2) * error
    return float(value - half), float(value + half)


def bootstrap_interval(
    statistic: Callable[[Int64], float], cluster: Int64, bootstrap: Bootstrap, confidence: float
) -> tuple[float, float]:
    """Give the middle of what the statistic becomes when whole clusters are drawn again.

    Args:
        statistic: How often each cluster was drawn (int64 [G]) → value.
        cluster: int64 [N], 0 … G - 1.
        bootstrap: Seed and number of resamples.
        confidence: Two-sided, in (0, 1).

    Raises:
        NotSupported: A resample holds nothing that the candidate would do.
        ValueError: Fewer than two clusters, no resamples, or the confidence is out of range.
    """
    clusters = _several(int(cluster.max(initial=-1)) + 1)
    if bootstrap.resamples < 1:
        raise ValueError(f"resamples is {bootstrap.resamples}, expected 1 or more")
    tail = (1 - _checked(confidence)) / 2
    rng = np.random.default_rng(bootstrap.seed)
    values = [
        statistic(np.bincount(rng.integers(clusters, size=clusters), minlength=clusters))
        for _ in range(bootstrap.resamples)
    ]
    lower, upper = np.quantile(values, [tail, 1 - tail])
    return float(lower), float(upper)


def _influence(c: Contributions) -> Float64:
    """Delta method: the first-order change of the value with the share of each decision, summed by cluster."""
    scale = c.denominator.mean()
    ratio = c.numerator.mean() / scale
    by_decision = c.offset - c.offset.mean() + (c.numerator - ratio * c.denominator) / scale
    return np.bincount(c.cluster, by_decision) / len(c)


def _resampled(c: Contributions) -> Callable[[Int64], float]:
    columns = (c.offset, np.ones(len(c)), c.numerator, c.denominator)
    sums = np.stack([np.bincount(c.cluster, column) for column in columns])

    def value(drawn: Int64) -> float:
        offset, count, numerator, denominator = sums @ drawn
        if denominator == 0.0:
            raise NotSupported("a resample holds no decision that the candidate would take: log more, or explore more")
        return float(offset / count + numerator / denominator)

    return value


def _several(clusters: int) -> int:
    if clusters < 2:
        raise ValueError(f"{clusters} cluster(s) say nothing about the spread: give two or more")
    return clusters


def _checked(confidence: float) -> float:
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence is {confidence}, expected a share in (0, 1)")
    return confidence
