"""The rows of the bar, once to tune on and once to report; markets of the two never come from the same draws."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import NamedTuple

import jax
from jax import Array

from pricing_core.simulator.bar import (
    categories,
    drifting,
    endogenous,
    ferreira,
    finite,
    logged,
    reference,
    rivals,
    short,
    substitutes,
)
from pricing_core.simulator.bar.interface import Market

_STOCKS = (5, 10, 20, 40)
_LOG = 120


class Split(IntEnum):
    """What markets are for."""

    TUNING = 0
    TEST = 1


class Mark(NamedTuple):
    """What a system has to earn in a row, as a share of the optimum."""

    must: float
    goal: float


MARKS: Mapping[str, Mark] = MappingProxyType(
    {
        "finite_logged_5": Mark(0.975, 0.993),
        "finite_logged_10": Mark(0.975, 0.993),
        "finite_logged_20": Mark(0.975, 0.993),
        "finite_logged_40": Mark(0.975, 0.993),
        "finite_cold_5": Mark(0.70, 0.75),
        "finite_cold_10": Mark(0.86, 0.88),
        "finite_cold_20": Mark(0.95, 0.97),
        "finite_cold_40": Mark(0.95, 0.98),
        "ferreira_500_0.25": Mark(0.973, 0.988),
        "ferreira_500_0.5": Mark(0.985, 0.992),
        "ferreira_5000_0.25": Mark(0.983, 0.998),
        "ferreira_5000_0.5": Mark(0.993, 0.998),
        "short": Mark(0.84, 0.88),
        "drifting_regime": Mark(0.975, 0.985),
        "drifting_walk": Mark(0.975, 0.985),
        "logged": Mark(0.985, 0.998),
        "reference": Mark(0.95, 0.98),
        "substitutes": Mark(0.97, 0.995),
        "rivals": Mark(0.95, 0.98),
        "endogenous": Mark(0.90, 0.96),
        "categories": Mark(0.93, 0.955),
    }
)
"""By row. They were set before the test split was ever played, and are the same for both splits."""

FLOORS: Mapping[str, float] = MappingProxyType(
    {
        "finite_logged_10": 0.958,
        "drifting_regime": 0.955,
        "reference": 0.960,
        "substitutes": 0.981,
        "rivals": 0.960,
        "endogenous": 0.977,
        "categories": 0.967,
    }
)
"""Of the quick suite, on the tuning split: a system that falls below has got worse.

The share of the system in 1,024 markets of another seed, less 2.2 times the half-width h of a 95 % interval over 128:
the lower bound of 128 fresh markets is expected h below the share and strays by h / 1.96, so that a system as good as
then fails a row in one of a hundred seeds (2.33 / 1.96 + 1 = 2.2). Raise them when the system gets better:
``repricer evaluate --suite full --split tuning --seed 1 --markets 1024 --row …``.
"""


def rows(split: Split) -> tuple[Market, ...]:
    """Give all kinds with the parameters of a split."""
    test = split is Split.TEST
    of_finite = finite.TEST if test else finite.TUNING
    of_ferreira = ferreira.TEST if test else ferreira.TUNING
    of_drifting = drifting.TEST if test else drifting.TUNING
    return (
        *(finite.Finite(stock=stock, log=_LOG, ranges=of_finite) for stock in _STOCKS),
        *(finite.Finite(stock=stock, ranges=of_finite) for stock in _STOCKS),
        *(ferreira.Ferreira(periods, supply, of_ferreira) for periods in (500, 5000) for supply in (0.25, 0.5)),
        short.Short(ranges=short.TEST if test else short.TUNING),
        *(drifting.Drifting(regime=regime, ranges=of_drifting) for regime in (True, False)),
        logged.Logged(ranges=logged.TEST if test else logged.TUNING),
        reference.Reference(ranges=reference.TEST if test else reference.TUNING),
        substitutes.Substitutes(ranges=substitutes.TEST if test else substitutes.TUNING),
        rivals.Rivals(ranges=rivals.TEST if test else rivals.TUNING),
        endogenous.Endogenous(ranges=endogenous.TEST if test else endogenous.TUNING),
        categories.Categories(ranges=categories.TEST if test else categories.TUNING),
    )


def key(split: Split, seed: int) -> Array:
    """Give the key that markets of a split and a seed are drawn with."""
    return jax.random.fold_in(jax.random.key(seed), int(split))
