"""How the demand of each offer answers its price, from a log: a Poisson count of constant elasticity.

units ~ Poisson(exposure · level · (price / reference)^-elasticity). What an offer sells at all says nothing about its
elasticity, so that this is fitted on how its sales divide among the prices that it had: given their sum, they are
multinomial. All offers together first, then each, drawn towards all. Sales that spread more than Poisson counts do say
as much less as their variance is larger (quasi-likelihood; McCullagh & Nelder 1989, chapter 9).

Where prices followed a demand that the log does not show, the elasticity is found too low: prices that were tried at
random are what tells.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pricing_core.evaluation.arrays import Float64, Int64

PRIOR_ELASTICITY = 2.65
"""Mean over 1,851 published estimates (Bijmolt, van Heerde & Pieters 2005)."""
PRIOR_SPREAD = 1.5
OFFER_SPREAD = 0.75
"""Standard deviation of the elasticity between offers of one shop."""
LEAST, MOST = 0.1, 10.0
_ROUNDS = 30


class Sales(NamedTuple):
    """N stretches of time, each of one offer at one price."""

    offer: Int64
    """[N] 0 … G - 1."""
    log_price: Float64
    """[N] ln(price / reference price of the offer)."""
    exposure: Float64
    """[N] >= 0: impressions where they are counted, else days; one of the two for all of an offer."""
    units: Float64
    """[N]."""


class FittedDemand(NamedTuple):
    """Of G offers, float64 [G]."""

    level: Float64
    """Units sold for one of its exposure at the reference price."""
    elasticity: Float64

    def at(self, offers: Int64) -> FittedDemand:
        """Those of some offers."""
        return FittedDemand(self.level[offers], self.elasticity[offers])


def fit(sales: Sales, offers: int) -> FittedDemand:
    """Fit ``offers`` offers; one without sales is as all are."""
    together, spread = np.full(offers, PRIOR_ELASTICITY), np.ones(offers)
    for number in range(_ROUNDS):
        spread = _spread(sales, together) if number == _ROUNDS // 2 else spread
        slope, curvature = (part / spread for part in _derivatives(sales, together))
        prior = (PRIOR_ELASTICITY - together[0]) / PRIOR_SPREAD**2
        move = (slope.sum() + prior) / (curvature.sum() + PRIOR_SPREAD**-2)
        together = np.clip(together + move, LEAST, MOST)
    each = together.copy()
    for _ in range(_ROUNDS):
        slope, curvature = (part / spread for part in _derivatives(sales, each))
        move = (slope + (together - each) / OFFER_SPREAD**2) / (curvature + OFFER_SPREAD**-2)
        each = np.clip(each + move, LEAST, MOST)
    exposure, sold = _by_offer(sales, _weight(sales, each), offers), _by_offer(sales, sales.units, offers)
    usual = max(sales.units.sum(), 1.0) / max(exposure.sum(), 1e-9)
    return FittedDemand((sold + 1.0) / (exposure + 1.0 / usual), each)


def _by_offer(sales: Sales, values: Float64, offers: int) -> Float64:
    return np.bincount(sales.offer, values, offers).astype(np.float64)


def _weight(sales: Sales, elasticity: Float64) -> Float64:
    return sales.exposure * np.exp(-elasticity[sales.offer] * sales.log_price)


def _derivatives(sales: Sales, elasticity: Float64) -> tuple[Float64, Float64]:
    """First derivative of the log likelihood of each offer's elasticity, and minus the second, [G]."""
    offers, x, weight = len(elasticity), sales.log_price, _weight(sales, elasticity)
    total, sold = _by_offer(sales, weight, offers), _by_offer(sales, sales.units, offers)
    total = np.where(total > 0, total, 1.0)
    mean = _by_offer(sales, weight * x, offers) / total
    square = _by_offer(sales, weight * x**2, offers) / total
    slope = sold * mean - _by_offer(sales, sales.units * x, offers)
    return slope, sold * np.maximum(square - mean**2, 0.0)


def _spread(sales: Sales, elasticity: Float64) -> Float64:
    """Variance of the sales of each offer over that of Poisson counts, at least 1, [G]: Pearson's statistic."""
    offers, weight = len(elasticity), _weight(sales, elasticity)
    total = np.maximum(_by_offer(sales, weight, offers), 1e-300)
    mean = weight * (_by_offer(sales, sales.units, offers) / total)[sales.offer]
    squares = np.where(mean > 0, (sales.units - mean) ** 2 / np.where(mean > 0, mean, 1.0), 0.0)
    freedom = np.maximum(np.bincount(sales.offer, minlength=offers) - 1, 1)
    return np.maximum(_by_offer(sales, squares, offers) / freedom, 1.0)
