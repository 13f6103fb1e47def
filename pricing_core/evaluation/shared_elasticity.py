"""How the offers of one kind answer their price, from a history of sales without propensities.

    units ~ Poisson(offer's level · day's level · price ratio ^ -elasticity)

Levels of offers and days are whatever fits best, so that neither a dear offer that sells little nor a sale on a good
Saturday is mistaken for an answer to the price: what counts is how an offer sells on a day beside what it usually sells
and beside what others sell on that day. Estimated by Newton's method on what is left of the price ratio after both
levels are taken out (Correia, Guimarães & Zylkin 2020, Stata Journal 20); the interval is over offers, and holds for
counts that scatter more than Poisson's. Prices that followed a demand that no level knows mislead it all the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pricing_core.evaluation.arrays import Float64, Int64
from pricing_core.evaluation.intervals import normal_interval

_ROUNDS, _SWEEPS = 60, 8
_LONGEST_STEP = 0.5
_SETTLED = 1e-5


class History(NamedTuple):
    """N days of offers, each at one price."""

    offer: Int64
    """[N] 0 … G - 1."""
    day: Int64
    """[N] 0 … D - 1."""
    log_price: Float64
    """[N] ln(price / usual price of the offer)."""
    units: Float64
    """[N]."""

    def at(self, rows: Int64) -> History:
        """Look at some of them; offers and days are numbered anew."""
        offer, day = (np.unique(column[rows], return_inverse=True)[1] for column in (self.offer, self.day))
        return History(offer, day, self.log_price[rows], self.units[rows])


class Shared(NamedTuple):
    """What was found."""

    elasticity: float
    lower: float
    upper: float
    """Of a 95 % interval."""
    expected: Float64
    """[N] units."""


class NotEnough(ValueError):
    """The prices of too few offers moved, or nothing was sold."""


def fit(seen: History) -> Shared:
    """Fit one elasticity.

    Raises:
        NotEnough: Nothing was sold, or the prices of fewer than two offers moved against those of others.
    """
    sold = np.bincount(seen.offer, seen.units)[seen.offer] * np.bincount(seen.day, seen.units)[seen.day]
    kept = np.flatnonzero(sold > 0)
    if not len(kept):
        raise NotEnough("nothing was sold")
    part = seen.at(kept)
    elasticity, level = 0.0, np.ones(int(part.offer.max()) + 1)
    of_day = np.ones(int(part.day.max()) + 1)
    expected = rest = np.zeros(len(kept))
    for _ in range(_ROUNDS):
        answer = np.exp(-elasticity * part.log_price)
        for _ in range(_SWEEPS):
            level = _matched(part.offer, part.units, of_day[part.day] * answer)
            of_day = _matched(part.day, part.units, level[part.offer] * answer)
        expected = level[part.offer] * of_day[part.day] * answer
        rest = _without_levels(part, expected)
        information = float((expected * rest**2).sum())
        if information < 1e-6:
            raise NotEnough("no price moved beside those of other offers")
        step = float(((expected - part.units) * rest).sum()) / information
        elasticity += float(np.clip(step, -_LONGEST_STEP, _LONGEST_STEP))
        if abs(step) < _SETTLED:
            break
    influence = np.bincount(part.offer, (expected - part.units) * rest) / information
    moved = np.bincount(part.offer, expected * rest**2) > 1e-9
    if moved.sum() < 2:
        raise NotEnough("the price of one offer only moved")
    lower, upper = normal_interval(elasticity, influence[moved], 0.95)
    every = np.zeros(len(seen.units))
    every[kept] = expected
    return Shared(elasticity, lower, upper, every)


def followed_demand(seen: History, expected: Float64, *, before: int = 7) -> float:
    """How surely prices rose after good days and fell after bad ones: a t statistic over offers, 0 if none moved.

    Args:
        seen: Rows of one offer in the order of their days.
        expected: [N] units, of a fit.
        before: So many days are looked back.
    """
    surprise = (seen.units - expected) / np.sqrt(np.maximum(expected, 0.25))
    order = np.lexsort((seen.day, seen.offer))
    offer, surprise, price = seen.offer[order], surprise[order], seen.log_price[order]
    total = np.concatenate([[0.0], np.cumsum(surprise)])
    rows = np.arange(before, len(offer))
    rows = rows[(offer[rows] == offer[rows - before]) & (np.abs(price[rows] - price[rows - 1]) > 5e-3)]
    if not len(rows):
        return 0.0
    mean = (total[rows] - total[rows - before]) / before
    products = np.bincount(offer[rows], mean * (price[rows] - price[rows - 1]))
    moved = products[products != 0.0]
    error = float(np.sqrt((moved**2).sum()))
    return float(moved.sum() / error) if error > 0.0 else 0.0


def _matched(place: Int64, units: Float64, weight: Float64) -> Float64:
    """Level of each offer, or day, at which as much is expected as was sold."""
    return np.bincount(place, units) / np.maximum(np.bincount(place, weight), 1e-300)


def _without_levels(part: History, weight: Float64) -> Float64:
    """What is left of the log price after the mean of its offer and of its day, by weight."""
    rest = part.log_price
    by_offer, by_day = np.bincount(part.offer, weight), np.bincount(part.day, weight)
    for _ in range(_SWEEPS):
        rest = rest - (np.bincount(part.offer, weight * rest) / by_offer)[part.offer]
        rest = rest - (np.bincount(part.day, weight * rest) / by_day)[part.day]
    return rest
