"""Decisions with what followed, as the gate's arrays, and what a candidate would have earned in them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pricing_core.evaluation.arrays import Float64, Int64
from pricing_core.evaluation.fitted_demand import Sales
from pricing_core.evaluation.intervals import Contributions
from pricing_core.evaluation.off_policy import doubly_robust, logged_decisions
from pricing_core.evaluation.reward_model import cross_fitted
from pricing_core.features import HOLD
from schemas.columns import Bool

USUAL_WEIGHT = 3.0
"""In decisions: so many of what the mean offer earns are added to what an offer is known to earn."""
LEAST_SHARE = 0.1
"""An offer counts as earning at least this share of what the mean one earns, or others would count for nothing."""


@dataclass(frozen=True, slots=True)
class LoggedPrices:
    """N decisions in which there was a choice, and what each brought."""

    offer: Int64
    """[N] 0 … G - 1."""
    context: Float64
    """[N, D] features, as the model saw them."""
    prices: Float64
    """[N, A] candidates; that of holding is the price in effect."""
    action: Int64
    """[N] the candidate taken."""
    logging: Float64
    """[N, A] probabilities of the candidates, of such decisions, under the policy that wrote the log."""
    profit: Float64
    """[N] earned until the next decision, in any unit of its currency."""
    currency: Int64
    """[N] 0 … C - 1: amounts of different ones are never added or compared."""
    units: Float64
    """[N] sold until then."""
    exposure: Float64
    """[N] impressions from one to the other where they are counted, else days; one of the two for all of an offer."""

    censored: Bool
    """[N] demand may have been more than what was sold: stock ran out."""

    def __len__(self) -> int:
        return len(self.offer)

    @property
    def propensity(self) -> Float64:
        """[N] of the candidate taken."""
        taken: Float64 = np.take_along_axis(self.logging, self.action[:, None], axis=1)[:, 0]
        return taken

    def sales(self, reference: Float64) -> Sales:
        """What the demand of each offer is fitted to, without what stock has cut; ``reference`` prices are [G]."""
        taken = np.take_along_axis(self.prices, self.action[:, None], axis=1)[:, 0]
        x = np.log(taken / reference[self.offer])
        known = ~self.censored
        return Sales(self.offer[known], x[known], self.exposure[known], self.units[known])


def difference(log: LoggedPrices, candidate: Float64, *, seed: int) -> Contributions:
    """Doubly robust contributions of a candidate; its gain is that over what was logged.

    An offer that sells a thousand times as much is not a thousand times as important: what a decision brought is
    divided by what the offer's other decisions brought. Its own is left out, or luck would count against itself.

    Args:
        log: N decisions.
        candidate: [N, A] probabilities of the candidate.
        seed: Of the folds of the reward model.

    Raises:
        ValueError: The log or the candidate is no such thing, or nothing was earned.
    """
    reward = log.profit / usual(log)
    ratio = np.log(log.prices / log.prices[:, HOLD, None])
    expected = cross_fitted(log.context, ratio, log.action, reward, log.offer, seed=seed)
    decisions = logged_decisions(log.action, log.propensity, reward, cluster=log.offer, logging=log.logging)
    return doubly_robust(decisions, candidate, expected)


def usual(log: LoggedPrices) -> Float64:
    """What an offer's other decisions earn in the mean, [N].

    Raises:
        ValueError: The decisions of a currency have earned nothing.
    """
    means = np.bincount(log.currency, log.profit) / np.maximum(np.bincount(log.currency), 1)
    mean = means[log.currency]
    if not (mean > 0).all():
        raise ValueError(f"the logged decisions earned {mean.min():.4g} in the mean: there is nothing to compare with")
    others = np.bincount(log.offer, log.profit)[log.offer] - log.profit
    count = np.bincount(log.offer)[log.offer] - 1
    return np.maximum((others + USUAL_WEIGHT * mean) / (count + USUAL_WEIGHT), LEAST_SHARE * mean)
