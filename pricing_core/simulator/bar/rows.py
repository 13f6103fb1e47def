"""The rows of the bar, once to tune on and once to report; markets of the two never come from the same draws."""

from __future__ import annotations

from enum import IntEnum

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
