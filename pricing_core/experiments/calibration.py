"""Experiments without an effect, by the thousand: how often does the estimate claim one?

Sales are drawn, not replayed: the profit of offers is as uneven as in shops (log-normal levels and margins), days are
over-dispersed, an offer's level drifts between the time before and the experiment, and the shop has weekdays, a trend
and good and bad days that hit all offers at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from pricing_core.experiments import effect
from pricing_core.experiments.assignment import Experiment

Float64 = NDArray[np.float64]

DAY_MS = 86_400_000
LEVEL_SPREAD = 1.0
"""Standard deviation of the log of an offer's mean daily sales, about one piece."""
MARGIN_SPREAD = 0.7
"""The same of its profit per piece."""
DRIFT = 0.3
"""The same of what an offer sells in the experiment beside what it sold before."""
DAILY_SHAPE = 0.5
"""Of the Gamma that spreads an offer's demand from day to day."""
SHOCK = 0.15
"""Standard deviation of the log of a day's demand in the whole shop; half of it is left the day after."""


class FalsePositives(NamedTuple):
    """How often an effect was claimed where there was none."""

    runs: int
    claims: int
    lower: float
    """Of the rate; 95 %, exact (Clopper & Pearson 1934)."""
    upper: float

    @property
    def rate(self) -> float:
        """Share of the runs; what was promised is 1 - confidence."""
        return self.claims / self.runs


class Shop(NamedTuple):
    """n offers that nobody treats."""

    daily: Float64
    """[n] pieces a day."""
    margin: Float64
    """[n] profit of a piece."""

    @classmethod
    def drawn(cls, rng: np.random.Generator, offers: int) -> Shop:
        """Draw a shop."""
        return cls(rng.lognormal(0.0, LEVEL_SPREAD, offers), rng.lognormal(1.0, MARGIN_SPREAD, offers))

    def profit(self, rng: np.random.Generator, days: int) -> Float64:
        """Draw what each offer earns in so many days: [n]. Days with Gamma demand add up to one Gamma."""
        demand = rng.gamma(DAILY_SHAPE * days, self.daily / DAILY_SHAPE)
        earned: Float64 = rng.poisson(demand) * self.margin
        return earned

    def drifted(self, rng: np.random.Generator) -> Shop:
        """The same offers later."""
        return self._replace(daily=self.daily * rng.lognormal(0.0, DRIFT, len(self.daily)))


def by_offers(
    runs: int,
    *,
    seed: int,
    offers: int = 400,
    days: int = 28,
    control_share: float = 0.5,
    confidence: float = 0.95,
    permutations: int = 199,
) -> FalsePositives:
    """Play offer-randomised experiments without an effect, each with a name of its own and so with arms of its own."""
    rng = np.random.default_rng(seed)
    keys = [b"web:%d" % offer for offer in range(offers)]
    begin = np.zeros(offers, np.int64)
    claims = 0
    for run in range(runs):
        experiment = Experiment(f"{seed}-{run}", "offers", 0, days * DAY_MS, control_share)
        shop = Shop.drawn(rng, offers)
        before, outcome = shop.profit(rng, days), shop.drifted(rng).profit(rng, days)
        treated = ~experiment.controls(keys, begin)
        claims += (
            effect.of_offers(
                outcome, before, treated, confidence=confidence, permutations=permutations, seed=run
            ).p_value
            <= 1.0 - confidence
        )
    return _counted(runs, claims)


def by_switchback(runs: int, *, seed: int, days: int = 28, confidence: float = 0.95) -> FalsePositives:
    """Play switchbacks by days without an effect."""
    rng = np.random.default_rng(seed)
    claims = 0
    for run in range(runs):
        experiment = Experiment(f"{seed}-{run}", "switchback", 0, days * DAY_MS)
        blocks = np.arange(2 * experiment.pairs)
        control = experiment.control_blocks(blocks)
        earned = shop_days(rng, len(blocks))
        claimed = effect.of_pairs(earned[~control], earned[control], confidence=confidence)
        claims += claimed.p_value < 1.0 - confidence
    return _counted(runs, claims)


def shop_days(rng: np.random.Generator, days: int) -> Float64:
    """Draw what a whole shop earns on days that follow one another, [days]."""
    shock = np.zeros(days)
    for day in range(1, days):
        shock[day] = 0.5 * shock[day - 1] + rng.normal(0.0, SHOCK)
    weekday = 1.0 + 0.3 * np.sin(2.0 * np.pi * (np.arange(days) + rng.integers(7)) / 7.0)
    trend = np.exp(rng.normal(0.0, 0.01) * np.arange(days))
    earned: Float64 = 1000.0 * weekday * trend * np.exp(shock)
    return earned


def _counted(runs: int, claims: int) -> FalsePositives:
    interval = stats.binomtest(int(claims), runs).proportion_ci(0.95)
    return FalsePositives(runs, int(claims), float(interval.low), float(interval.high))
