"""Named checks of offers and of prices, and the first one that is violated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pricing_core.offers import Offers
from pricing_core.rules import CODE, WAIVED
from schemas.columns import NONE, Bool, Int8, Int64

PASSED = 0


class Finding(NamedTuple):
    """What one check found for n offers: [n] each, or one value for all."""

    violated: Bool
    limit: Int64 | int
    value: Int64 | int


class Check(NamedTuple):
    """A named test of n offers and the price proposed for each."""

    code: str
    test: Callable[[Offers, Int64], Finding]


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The first violated check of each of n offers."""

    code: Int8
    """[n] index into `rules.CODES`; `PASSED` if nothing is violated."""
    limit: Int64
    value: Int64


def judge(chain: tuple[Check, ...], offers: Offers, price: Int64) -> Verdicts:
    """Find the first violated check of each offer.

    Args:
        chain: Checks, the first one counting most.
        offers: n offers.
        price: [n] proposed for each.
    """
    n = len(offers)
    verdicts = Verdicts(np.zeros(n, np.int8), np.full(n, NONE, np.int64), np.full(n, NONE, np.int64))
    forced = offers.must.any()
    for check in chain:
        violated, limit, value = check.test(offers, price)
        new = violated & (verdicts.code == PASSED)
        if check.code in WAIVED and forced:
            new &= ~np.isin(offers.must, WAIVED[check.code])
        if new.any():
            verdicts.code[new] = CODE[check.code]
            verdicts.limit[new] = np.broadcast_to(limit, n)[new]
            verdicts.value[new] = np.broadcast_to(value, n)[new]
    return verdicts
