"""Fitted Q evaluation (Le, Voloshin & Yue 2019, algorithm 3) of a policy whose prices have consequences.

Q(s, a) = φ(s, a)·θ, and each round fits θ to r_t + discount_t · Σ_a π(a|s_t) Q(s_t, a) by least squares. With linear
features the result is a weighted sum of the logged rewards (Duan, Jia & Wang 2020, section 4). These weights give the
effective sample size, and by Hao et al. (2021) the normal interval; the bootstrap of whole episodes is theirs, too.

Tabular Q-functions are linear: ``phi = np.eye(S * A).reshape(S, A, S * A)``, with the time in the state where the
horizon is fixed and the world changes with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pricing_core.evaluation.arrays import Float64, Int64, distribution, finite, labels
from pricing_core.evaluation.intervals import Bootstrap, Estimate, bootstrap_interval, normal_interval
from pricing_core.evaluation.support import (
    DEFAULT_LIMITS,
    Diverges,
    SupportLimits,
    effective_sample_size,
    require_support,
)

RANK_TOLERANCE = 1e-10
"""Directions with less than this share of the strongest one's weight count as not logged: scale features alike."""


@dataclass(frozen=True, slots=True)
class Transitions:
    """N steps of the logging policy; made and checked by `logged_transitions`. All float64 but ``episode``."""

    features: Float64
    """[N, F] φ(s_tm1, a_tm1)."""
    reward: Float64
    """[N] r_t."""
    discount: Float64
    """[N] discount_t in [0, 1]; 0 where the episode ends."""
    next_features: Float64
    """[N, F] Σ_a π(a|s_t) φ(s_t, a) of the candidate π; see `expected_features`."""
    episode: Int64
    """int64 [N], 0 … G - 1."""


def logged_transitions(
    features: ArrayLike, reward: ArrayLike, discount: ArrayLike, next_features: ArrayLike, episode: ArrayLike
) -> Transitions:
    """Check a log of transitions.

    Args:
        features: [N, F] of the state and the action taken.
        reward: [N].
        discount: [N] in [0, 1]; 0 where the episode ends, whatever ``next_features`` says there.
        next_features: [N, F], expected under the candidate.
        episode: Integers [N]; transitions of one episode belong together in the intervals.

    Raises:
        ValueError: Shapes differ, a value is not finite, a discount is outside [0, 1].
    """
    phi = finite("features", features)
    if phi.ndim != 2 or phi.size == 0:
        raise ValueError(f"features has shape {phi.shape}, expected [transitions, features]")
    n = len(phi)
    kept = finite("discount", discount, (n,))
    if kept.min() < 0 or kept.max() > 1:
        raise ValueError("discount holds values outside [0, 1]")
    return Transitions(
        features=phi,
        reward=finite("reward", reward, (n,)),
        discount=kept,
        next_features=finite("next_features", next_features, phi.shape),
        episode=np.unique(labels("episode", episode, (n,)), return_inverse=True)[1],
    )


def expected_features(features: ArrayLike, candidate: ArrayLike) -> Float64:
    """Average over the candidate's actions: [..., A, F], [..., A] → [..., F]."""
    phi = finite("features", features)
    target = distribution("candidate", candidate, phi.shape[:-1])
    average: Float64 = (target[..., None, :] @ phi)[..., 0, :]
    return average


def fitted_q_evaluation(
    log: Transitions,
    start: ArrayLike,
    *,
    horizon: int | None = None,
    confidence: float = 0.95,
    bootstrap: Bootstrap | None = None,
    limits: SupportLimits = DEFAULT_LIMITS,
) -> Estimate:
    """Value the candidate from given states on, per episode.

    Args:
        log: N transitions.
        start: [M, F], expected features of the states to start from; they are taken as they are, the interval does
            not speak for others.
        horizon: Number of rounds, that is of steps that count; None goes to the fixed point, to which the rounds
            converge where they do.
        confidence: Of the interval, two-sided, in (0, 1).
        bootstrap: How to resample episodes; None gives the normal interval.
        limits: What support to ask for. Unsupported is the share of the candidate's discounted steps, as the fitted
            model foresees them, that lies in directions of the features without a logged transition.

    Returns:
        The value with its interval; n counts transitions.

    Raises:
        NotSupported: The log says too little about the candidate.
        Diverges: There is no fixed point.
        ValueError: Shapes do not fit, the horizon is below 1, or there is one episode only.
    """
    if horizon is not None and horizon < 1:
        raise ValueError(f"horizon is {horizon}, expected 1 or more steps")
    first = finite("start", start)
    if first.ndim != 2 or first.shape[1:] != log.features.shape[1:] or first.size == 0:
        raise ValueError(f"start has shape {first.shape}, expected [states, {log.features.shape[1]}]")
    begin = first.mean(axis=0)
    fit = _fit(log, np.ones(len(log.reward)))
    visits = _visits(fit, begin, horizon)
    effective = effective_sample_size(log.features @ (fit.inverse @ visits))
    require_support(effective, len(log.reward), _beyond(fit, visits), limits)
    value = float(visits @ fit.reward)
    if bootstrap is None:
        lower, upper = normal_interval(value, _influence(log, fit, begin, horizon), confidence)
    else:

        def again(drawn: Int64) -> float:
            resampled = _fit(log, drawn[log.episode])
            return float(_visits(resampled, begin, horizon) @ resampled.reward)

        lower, upper = bootstrap_interval(again, log.episode, bootstrap, confidence)
    return Estimate(value, lower, upper, effective, len(log.reward))


@dataclass(frozen=True, slots=True)
class _Fit:
    """One round is θ ← reward + step @ θ."""

    inverse: Float64
    """[F, F], pseudo-inverse of Φᵀ Φ: least squares of the smallest norm, 0 in directions without a transition."""
    logged: Float64
    """[F, F], projection on the directions with transitions."""
    reward: Float64
    """[F]."""
    step: Float64
    """[F, F]."""


def _fit(log: Transitions, counts: Float64 | Int64) -> _Fit:
    weighted = (log.features * counts[:, None]).T
    gram = weighted @ log.features
    inverse = np.asarray(np.linalg.pinv(gram, rcond=RANK_TOLERANCE, hermitian=True), np.float64)
    return _Fit(
        inverse=inverse,
        logged=inverse @ gram,
        reward=inverse @ (weighted @ log.reward),
        step=inverse @ (weighted @ (log.discount[:, None] * log.next_features)),
    )


def _visits(fit: _Fit, begin: Float64, horizon: int | None) -> Float64:
    """Sum the features that the candidate meets, discounted: Σ_k (stepᵀ)^k begin, [F]. The value is their reward."""
    if horizon is not None:
        total: Float64 = np.sum(list(_met(fit, begin, horizon)), axis=0)
        return total
    radius = np.abs(np.linalg.eigvals(fit.step)).max()
    if radius >= 1.0:
        raise Diverges(
            f"each round multiplies errors by {radius:.4g}: use features that separate states better (tabular ones "
            "cannot diverge with a discount below 1), or give a horizon"
        )
    return np.asarray(np.linalg.solve(np.eye(len(begin)) - fit.step.T, begin), np.float64)


def _met(fit: _Fit, begin: Float64, horizon: int) -> Iterator[Float64]:
    met = begin
    for _ in range(horizon):
        yield met
        met = fit.step.T @ met


def _beyond(fit: _Fit, visits: Float64) -> float:
    return float(np.abs(visits - fit.logged.T @ visits).sum() / max(np.abs(visits).sum(), np.finfo(float).tiny))


def _influence(log: Transitions, fit: _Fit, begin: Float64, horizon: int | None) -> Float64:
    """By how much each episode moves the value, float64 [G]: implied weight times temporal-difference error."""
    if horizon is None:
        theta = np.linalg.solve(np.eye(len(begin)) - fit.step, fit.reward)
        rounds = [(_visits(fit, begin, None), theta, theta)]
    else:
        thetas = [np.zeros_like(begin)]
        for _ in range(horizon):
            thetas.append(fit.reward + fit.step @ thetas[-1])
        rounds = list(zip(_met(fit, begin, horizon), thetas[:0:-1], thetas[-2::-1], strict=True))
    influence = np.zeros(len(log.reward))
    for met, theta, theta_next in rounds:
        error = log.reward + log.discount * (log.next_features @ theta_next) - log.features @ theta
        influence += log.features @ (fit.inverse @ met) * error
    return np.bincount(log.episode, influence).astype(np.float64)
