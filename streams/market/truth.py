"""What was really earned, beside what the same market would have given under other rules.

The four markets share their random numbers (paired), so their difference is due to the prices alone. Rivals react,
so each rule has rivals of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.money import divide_half_even
from schemas.policies import OfferPolicy

Int64 = NDArray[np.int64]
BASIS_POINTS = 10_000


class Sales(NamedTuple):
    """What a rule charged and sold in a period, int64 [N]."""

    prices: Int64
    """Minor units."""
    units: Int64


class Truth(msgspec.Struct, frozen=True):
    """The state of the account. Money is minor units, since the market opened."""

    currency: str
    offers: int
    simulated_days: float
    events: int
    """Published, without policies and ticks; duplicates count."""
    profit: int
    """Under the prices that the catalog applied."""
    profit_hold: int
    """If the starting prices had been kept."""
    profit_match_cheapest: int
    """If the cheapest rival had been matched, within floor and ceiling."""
    profit_optimum: int
    """Under the best price of each moment, for one who knows demand and rivals (but not what they will answer)."""
    final: bool
    by_offer: dict[str, dict[str, int]] = {}
    """Profit by offer key, by rule; in the final account only."""
    by_period: dict[str, list[int]] = {}
    """Profit of each period, by rule; in the final account only."""


class UnitProfits:
    """Profit of one piece at a price, exact to half a minor unit (ties to even)."""

    def __init__(self, policies: Sequence[OfferPolicy]) -> None:
        included = [BASIS_POINTS + (p.tax_rate_bp if p.prices_include_tax else 0) for p in policies]
        self._gross_bp = np.array(included, np.int64)
        self._commission_bp = np.array([p.commission_bp for p in policies], np.int64)
        self._spent = np.array([p.unit_cost + p.fixed_fee for p in policies], np.int64)

    def at(self, prices: Int64) -> Int64:
        """Minor units a piece, [N], at prices [N]."""
        # price / (1 + tax) - price * commission, over the common denominator
        kept = BASIS_POINTS * BASIS_POINTS - self._commission_bp * self._gross_bp
        denominator = BASIS_POINTS * self._gross_bp
        return np.asarray(divide_half_even(prices * kept, denominator) - self._spent)


class Accounts:
    """What each rule has earned, by offer and by period, minor units."""

    def __init__(self, unit_profits: UnitProfits, rules: Sequence[str], offers: int) -> None:
        self._unit_profits = unit_profits
        self.by_offer = {rule: np.zeros(offers, np.int64) for rule in rules}
        self.by_period: dict[str, list[int]] = {rule: [] for rule in rules}

    def close_period(self, sales: Mapping[str, Sales]) -> None:
        """Add a period."""
        for rule, (prices, units) in sales.items():
            earned = self._unit_profits.at(prices) * units
            self.by_offer[rule] += earned
            self.by_period[rule].append(int(earned.sum()))

    def truth(self, currency: str, keys: Sequence[str], *, days: float, events: int, final: bool) -> Truth:
        """The account as it stands, with its details if it is ``final``."""
        total = {rule: int(earned.sum()) for rule, earned in self.by_offer.items()}
        by_offer = {key: {rule: int(self.by_offer[rule][i]) for rule in total} for i, key in enumerate(keys)}
        return Truth(
            currency=currency,
            offers=len(keys),
            simulated_days=days,
            events=events,
            profit=total["applied"],
            profit_hold=total["hold"],
            profit_match_cheapest=total["match_cheapest"],
            profit_optimum=total["optimum"],
            final=final,
            by_offer=by_offer if final else {},
            by_period=self.by_period if final else {},
        )


def write_truth(file: Path, truth: Truth) -> None:
    """Replace the file as a whole: a reader sees the old account or the new one, never a part."""
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(msgspec.json.encode(truth))
    new.replace(file)


def read_truth(file: Path) -> Truth | None:
    """Last account that was written; None if there is none yet."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Truth)
    except FileNotFoundError:
        return None
