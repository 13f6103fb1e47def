"""Off-policy evaluation: what a candidate would have earned, from the log of the policy that did decide.

Notation: p the logged propensity, w = π(a|x) / p the importance weight, q̂(x, a) a model of the reward,
q̂(x, π) = Σ_a π(a|x) q̂(x, a). Everything is float64. An estimator returns `Contributions`; `intervals.estimate` and
`intervals.gain` sum them up, and refuse where the log says too little::

    log = logged_decisions(action, propensity, reward, cluster=offer)
    require_gain(gain(doubly_robust(log, candidate, model)), margin=0.01)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pricing_core.evaluation.arrays import Float64, Int64, distribution, finite, labels, propensities
from pricing_core.evaluation.intervals import Contributions
from pricing_core.evaluation.support import unsupported


@dataclass(frozen=True, slots=True)
class LoggedDecisions:
    """N decisions of the logging policy, after its guardrails; made and checked by `logged_decisions`."""

    action: Int64
    """int64 [N], the candidate price taken, 0 … A - 1."""
    propensity: Float64
    """float64 [N], the probability with which the logging policy took it, in (0, 1]."""
    reward: Float64
    """float64 [N], what it earned, in any unit."""
    cluster: Int64
    """int64 [N], 0 … G - 1."""
    logging: Float64 | None
    """float64 [N, A], all probabilities of the logging policy, if known."""

    def __len__(self) -> int:
        return len(self.action)


def logged_decisions(
    action: ArrayLike,
    propensity: ArrayLike,
    reward: ArrayLike,
    *,
    cluster: ArrayLike | None = None,
    logging: ArrayLike | None = None,
) -> LoggedDecisions:
    """Check a log.

    Args:
        action: Integers [N], the candidate price taken, 0 … A - 1.
        propensity: [N], the probability with which the logging policy took it.
        reward: [N], in any unit.
        cluster: Integers [N], say the number of the offer; None treats decisions as independent of one another.
        logging: [N, A], all probabilities of the logging policy, if known: actions without support are then counted.

    Raises:
        ValueError: Empty, lengths differ, a value is not finite, a propensity is outside (0, 1] or contradicts
            ``logging``, an action is negative.
    """
    shape = np.shape(action)
    if len(shape) != 1 or shape[0] == 0:
        raise ValueError(f"action has shape {shape}, expected one or more decisions in a row")
    taken = labels("action", action, shape)
    if taken.min() < 0:
        raise ValueError("action holds negative numbers: leave out decisions that chose nothing")
    p = propensities("propensity", propensity, shape)
    groups = np.arange(len(taken)) if cluster is None else labels("cluster", cluster, shape)
    every = None if logging is None else distribution("logging", logging, (len(taken), np.shape(logging)[-1]))
    if every is not None and not np.allclose(_of(taken, every), p, rtol=0.0, atol=1e-6):
        raise ValueError("propensity is not what logging says of the action taken")
    return LoggedDecisions(
        action=taken,
        propensity=p,
        reward=finite("reward", reward, shape),
        cluster=np.unique(groups, return_inverse=True)[1],
        logging=every,
    )


def ips(log: LoggedDecisions, candidate: ArrayLike) -> Contributions:
    """Inverse propensity scoring (Horvitz & Thompson 1952): unbiased under full support, and of high variance.

    Args:
        log: N decisions.
        candidate: [N, A], probabilities of the candidate.

    Raises:
        ValueError: The candidate does not fit the log.
    """
    target = _fitting(log, candidate)
    w = _weights(log, target)
    # V = 1/n Σ w r
    return _contributions(log, target, w, numerator=w * log.reward)


def snips(log: LoggedDecisions, candidate: ArrayLike) -> Contributions:
    """Self-normalised inverse propensity scoring (Swaminathan & Joachims 2015): stays in the range of the rewards.

    A bias of order 1/n buys an error that does not change when a constant is added to the rewards. Arguments and
    errors are those of `ips`.
    """
    target = _fitting(log, candidate)
    w = _weights(log, target)
    # V = Σ w r / Σ w
    return _contributions(log, target, w, numerator=w * log.reward, denominator=w)


def direct_method(log: LoggedDecisions, candidate: ArrayLike, model: ArrayLike) -> Contributions:
    """Believe the model: V = 1/n Σ q̂(x, π).

    The interval is that of the decisions at hand. It knows nothing of the model's error: do not promote by it.

    Args:
        log: N decisions. Their support is asked for all the same: they are what a model can learn from.
        candidate: [N, A], probabilities of the candidate.
        model: [N, A], the reward that a model expects of each action; any finite number where the candidate does
            not act. It must not have been fitted on the decision that it values: fit it on other clusters.

    Raises:
        ValueError: Candidate or model do not fit the log.
    """
    target = _fitting(log, candidate)
    expected, _ = _modelled(log, target, model)
    return _contributions(log, target, _weights(log, target), offset=expected)


def doubly_robust(log: LoggedDecisions, candidate: ArrayLike, model: ArrayLike) -> Contributions:
    """Correct the model by the weighted errors that it made on the log (Dudík, Langford & Li 2011).

    Consistent if the model or the propensities are right. Arguments and errors are those of `direct_method`.
    """
    target = _fitting(log, candidate)
    expected, error = _modelled(log, target, model)
    w = _weights(log, target)
    # V = 1/n Σ [q̂(x, π) + w (r - q̂(x, a))]
    return _contributions(log, target, w, offset=expected, numerator=w * error)


def self_normalised_doubly_robust(log: LoggedDecisions, candidate: ArrayLike, model: ArrayLike) -> Contributions:
    """As `doubly_robust`, with the correction divided by the sum of the weights.

    The one-step case of the weighted doubly robust estimator of Thomas & Brunskill (2016).
    """
    target = _fitting(log, candidate)
    expected, error = _modelled(log, target, model)
    w = _weights(log, target)
    # V = 1/n Σ q̂(x, π) + Σ w (r - q̂(x, a)) / Σ w
    return _contributions(log, target, w, offset=expected, numerator=w * error, denominator=w)


def per_decision_ips(
    propensity: ArrayLike, candidate: ArrayLike, reward: ArrayLike, *, discount: float = 1.0
) -> Contributions:
    """Value short sequences: each reward is weighted by the decisions up to it (Precup, Sutton & Singh 2000).

    The weights multiply, so that the variance grows exponentially with T: for long sequences see `fitted_q`.

    Args:
        propensity: [N, T], of the actions taken, under the logging policy. A sequence that ends before T goes on
            with 1, a candidate of 1 and a reward of 0.
        candidate: [N, T], probabilities of the same actions under the candidate.
        reward: [N, T].
        discount: Of one step, in [0, 1].

    Returns:
        One row per sequence, whose reward is its discounted return and whose weight is that of all its decisions.

    Raises:
        ValueError: Shapes differ, or a probability or the discount is out of range.
    """
    p = propensities("propensity", propensity)
    if p.ndim != 2 or p.size == 0:
        raise ValueError(f"propensity has shape {p.shape}, expected [sequences, steps]")
    taken = finite("candidate", candidate, p.shape)
    if taken.min() < 0 or taken.max() > 1:
        raise ValueError("candidate holds values outside [0, 1]")
    if not 0.0 <= discount <= 1.0:
        raise ValueError(f"discount is {discount}, expected a share in [0, 1]")
    w = np.cumprod(taken / p, axis=1, dtype=np.float64)
    discounted = finite("reward", reward, p.shape) * discount ** np.arange(p.shape[1])
    n = len(p)
    # V = 1/n Σ_i Σ_t discount^t w_i0 … w_it r_it
    return Contributions(
        offset=np.zeros(n),
        numerator=np.sum(w * discounted, axis=1),
        denominator=np.ones(n),
        weight=w[:, -1],
        reward=discounted.sum(axis=1),
        cluster=np.arange(n),
        unsupported=0.0,
    )


def _contributions(
    log: LoggedDecisions,
    target: Float64,
    weight: Float64,
    *,
    offset: Float64 | None = None,
    numerator: Float64 | None = None,
    denominator: Float64 | None = None,
) -> Contributions:
    return Contributions(
        offset=np.zeros(len(log)) if offset is None else offset,
        numerator=np.zeros(len(log)) if numerator is None else numerator,
        denominator=np.ones(len(log)) if denominator is None else denominator,
        weight=weight,
        reward=log.reward,
        cluster=log.cluster,
        unsupported=0.0 if log.logging is None else unsupported(log.logging, target).share,
    )


def _fitting(log: LoggedDecisions, candidate: ArrayLike) -> Float64:
    shape = np.shape(candidate)
    if len(shape) != 2:
        raise ValueError(f"candidate has shape {shape}, expected [decisions, actions]")
    target = distribution("candidate", candidate, (len(log), shape[1]))
    if log.action.max() >= shape[1]:
        raise ValueError(f"the log holds action {log.action.max()}, the candidate knows {shape[1]} actions")
    return target


def _modelled(log: LoggedDecisions, target: Float64, model: ArrayLike) -> tuple[Float64, Float64]:
    """q̂(x, π) and r - q̂(x, a), float64 [N] each."""
    q = finite("model", model, target.shape)
    return np.sum(target * q, axis=1), log.reward - _of(log.action, q)


def _weights(log: LoggedDecisions, target: Float64) -> Float64:
    return _of(log.action, target) / log.propensity


def _of(action: Int64, by_action: Float64) -> Float64:
    return np.take_along_axis(by_action, action[:, None], axis=1)[:, 0]
