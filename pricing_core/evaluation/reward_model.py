"""A model of the reward for doubly robust estimates: ridge regression, never asked about what it was fitted on.

The reward of a candidate is linear in what was known, in the log ratio of its price to the one in effect and in the
square of it, and in the products of the first with the second. It may be wrong: then the estimate is only less exact.
"""

from __future__ import annotations

import numpy as np

from pricing_core.evaluation.arrays import Float64, Int64

FOLDS = 5
PENALTY = 10.0
"""In decisions: so many say that every coefficient is 0."""
_FAR = 5.0
"""Standard deviations at which what was known is cut off: an odd feature must not make an odd value."""


def cross_fitted(
    context: Float64, log_ratio: Float64, action: Int64, reward: Float64, cluster: Int64, *, seed: int
) -> Float64:
    """Expect the reward of every action in every decision from the decisions of other clusters.

    Args:
        context: [N, D] what was known.
        log_ratio: [N, A] ln(candidate price / price in effect).
        action: [N] the candidate taken.
        reward: [N].
        cluster: [N] 0 … G - 1.
        seed: Of the assignment of clusters to folds.

    Returns:
        float64 [N, A].
    """
    fold = np.random.default_rng(seed).permutation(int(cluster.max()) + 1)[cluster] % FOLDS
    spread = context.std(axis=0)
    known = np.clip((context - context.mean(axis=0)) / np.where(spread > 0, spread, 1.0), -_FAR, _FAR)
    taken = np.take_along_axis(log_ratio, action[:, None], axis=1)[:, 0]
    seen, expected = _regressors(known, taken), np.zeros(log_ratio.shape)
    for number in range(FOLDS):
        own = fold == number
        if own.any() and not own.all():
            weights = _fit(seen[~own], reward[~own])
            for a in range(log_ratio.shape[1]):
                expected[own, a] = _regressors(known[own], log_ratio[own, a]) @ weights
    return expected


def _regressors(known: Float64, ratio: Float64) -> Float64:
    ratio = 10.0 * ratio[:, None]  # a step of 10 % is as large as a standard deviation of what is known
    return np.concatenate([np.ones_like(ratio), known, ratio, ratio**2, known * ratio], axis=1)


def _fit(regressors: Float64, reward: Float64) -> Float64:
    gram = regressors.T @ regressors + PENALTY * np.eye(regressors.shape[1])
    gram[0, 0] -= PENALTY  # the mean is not drawn to 0
    return np.linalg.solve(gram, regressors.T @ reward).astype(np.float64)
