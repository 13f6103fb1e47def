"""Whether a log can answer for a candidate policy at all, and the refusals when it cannot.

::

    OffPolicyError
    ├── NotSupported   the log holds too little of what the candidate would do
    ├── Diverges       fitted Q evaluation has no fixed point with these features
    └── GainNotShown   the candidate may be worse than the logging policy by more than the margin
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from pricing_core.evaluation.arrays import distribution, finite


class OffPolicyError(Exception):
    """Root of the refusals. The message says why, and what to do."""


class NotSupported(OffPolicyError):
    """The log holds too little of what the candidate would do."""


class Diverges(OffPolicyError):
    """Fitted Q evaluation has no fixed point with these features."""


class GainNotShown(OffPolicyError):
    """The candidate may be worse than the logging policy by more than the margin."""


class SupportLimits(NamedTuple):
    """Below these an estimate is refused: it would rest on a handful of decisions, whatever its interval says."""

    min_share: float = 0.05
    """Least effective sample size, as a share of n."""
    min_size: float = 100.0
    """Least effective sample size."""
    max_unsupported: float = 0.05
    """Highest share of the candidate's actions that the logging policy cannot take."""


DEFAULT_LIMITS = SupportLimits()


class Unsupported(NamedTuple):
    """Where the candidate acts and the logging policy never does."""

    decisions: int
    """In how many decisions the candidate may take such an action."""
    share: float
    """Mean probability with which it takes one. Importance weights miss this much: their mean is 1 less it."""


def effective_sample_size(weights: ArrayLike) -> float:
    """Count the equally weighted decisions that would be as informative: (Σw)² / Σw² (Kish 1965).

    Args:
        weights: float64 [N], finite.

    Returns:
        In (0, N]; 0 only if all weights are 0.
    """
    w = finite("weights", weights).ravel()
    largest = np.abs(w).max(initial=0.0)
    if largest == 0.0:
        return 0.0
    w = w / largest  # squares of tiny weights would vanish, of huge ones overflow
    return float(min(w.sum() ** 2 / np.sum(w**2), len(w)))


def unsupported(logging: ArrayLike, candidate: ArrayLike) -> Unsupported:
    """Count the candidate's actions that have propensity 0.

    Args:
        logging: float64 [N, A], all probabilities of the logging policy.
        candidate: float64 [N, A], those of the candidate.

    Raises:
        ValueError: Shapes differ, or a row is no distribution.
    """
    target = finite("candidate", candidate)
    target = distribution("candidate", target, target.shape)
    beyond = np.where(distribution("logging", logging, target.shape) == 0.0, target, 0.0).sum(axis=1)
    return Unsupported(int(np.count_nonzero(beyond)), float(beyond.mean()))


def require_support(effective: float, n: int, beyond: float, limits: SupportLimits) -> None:
    """Refuse what the log cannot answer for.

    Args:
        effective: Effective sample size.
        n: Decisions in the log.
        beyond: Share of the candidate's actions without support.
        limits: What to ask for.

    Raises:
        NotSupported: One of the limits is broken.
    """
    if beyond > limits.max_unsupported:
        raise NotSupported(
            f"{beyond:.1%} of the candidate's actions are ones that the logging policy cannot take, at most "
            f"{limits.max_unsupported:.1%} may be: explore those prices, or keep the candidate to the logged ones"
        )
    least = max(limits.min_size, limits.min_share * n)
    if effective < least or effective <= 0.0:
        raise NotSupported(
            f"the effective sample size is {effective:.1f} of {n} decisions, at least {least:.1f} are needed: log more "
            "decisions, explore more, or bring the candidate nearer to the logging policy and go there in steps"
        )
