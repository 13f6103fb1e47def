"""Money in integer minor units, and the only rounding and price-ending rules of the project.

`Money` is for prices that a person or another system sees. Columns, state and guards hold bare int64 minor
units; the arithmetic below takes Python integers and int64 arrays alike and never goes through a float.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import total_ordering
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from schemas.currencies import ALPHA_CODES, CURRENCIES, Currency

__all__ = [
    "ALPHA_CODES",
    "CURRENCIES",
    "Currency",
    "CurrencyMismatch",
    "Money",
    "UnknownCurrency",
    "currency",
    "divide_down",
    "divide_half_even",
    "divide_up",
    "ending_at_or_above",
    "ending_at_or_below",
    "parse_major",
]

Whole = TypeVar("Whole", int, NDArray[np.int64])
"""A Python integer of any size, or an int64 array whose values the caller keeps in range."""

_MAJOR = re.compile(r"([+-]?)(\d{1,18})(?:\.(\d{0,18}))?", re.ASCII)


class UnknownCurrency(ValueError):
    """A code that is not an active ISO 4217 currency with minor units."""


class CurrencyMismatch(ValueError):
    """Two amounts of different currencies met."""


def currency(code: str) -> Currency:
    """Look up an alphabetic ISO 4217 code.

    Raises:
        UnknownCurrency: there is no such currency.
    """
    try:
        return CURRENCIES[code]
    except KeyError:
        raise UnknownCurrency(f"{code!r} is not an ISO 4217 currency") from None


@total_ordering
@dataclass(frozen=True, slots=True)
class Money:
    """An amount of one currency.

    Adding, subtracting and comparing need the same currency; multiplying needs a whole number.

    Raises:
        TypeError: an amount or factor that is not an `int`. Floats are refused, NaN with them.
        UnknownCurrency: there is no such currency.
    """

    amount: int
    """Minor units; may be negative."""
    code: str
    """Alphabetic ISO 4217 code."""

    def __post_init__(self) -> None:
        _require_int(self.amount)
        currency(self.code)

    @classmethod
    def parse(cls, text: str, code: str) -> Self:
        """Read a decimal text of major units exactly: ``parse("12.99", "EUR")``.

        Raises:
            ValueError: not a plain decimal number, or more digits than the currency has.
        """
        return cls(parse_major(text, currency(code).exponent), code)

    def __add__(self, other: Money) -> Money:
        return Money(self.amount + self._same(other), self.code)

    def __sub__(self, other: Money) -> Money:
        return Money(self.amount - self._same(other), self.code)

    def __mul__(self, factor: int) -> Money:
        _require_int(factor)
        return Money(self.amount * factor, self.code)

    __rmul__ = __mul__

    def __neg__(self) -> Money:
        return Money(-self.amount, self.code)

    def __lt__(self, other: Money) -> bool:
        return self.amount < self._same(other)

    def __str__(self) -> str:
        exponent = currency(self.code).exponent
        digits = f"{abs(self.amount):0{exponent + 1}d}"
        split = len(digits) - exponent
        sign = "-" if self.amount < 0 else ""
        fraction = f".{digits[split:]}" if exponent else ""
        return f"{sign}{digits[:split]}{fraction} {self.code}"

    def _same(self, other: Money) -> int:
        if not isinstance(other, Money):
            raise TypeError(f"Money meets Money only, not {type(other).__name__}")
        if other.code != self.code:
            raise CurrencyMismatch(f"{self} and {other}")
        return other.amount


def _require_int(number: object) -> None:
    if type(number) is not int:  # a bool is no amount either
        raise TypeError(f"money is counted in whole minor units, not in {type(number).__name__}")


# Rounding. The denominator is positive.


def divide_down(numerator: Whole, denominator: Whole) -> Whole:
    """Round to the largest whole number that is not greater (towards minus infinity)."""
    result: Whole = numerator // denominator
    return result


def divide_up(numerator: Whole, denominator: Whole) -> Whole:
    """Round to the smallest whole number that is not smaller (towards plus infinity)."""
    result: Whole = -(-numerator // denominator)
    return result


def divide_half_even(numerator: Whole, denominator: Whole) -> Whole:
    """Round to the nearest whole number, ties to the even one.

    For arrays, twice the denominator must fit into int64.
    """
    quotient = numerator // denominator
    twice = 2 * (numerator - quotient * denominator)
    # up past the half; exactly at the half only from an odd quotient
    up = (twice > denominator) | ((twice == denominator) & (quotient % 2 == 1))
    result: Whole = quotient + up
    return result


# Price endings. An ending is the value of the last digits, its modulus 10 ** number of digits: 99 and 100 for
# prices such as 12.99. With modulus 1 any ending will do.


def ending_at_or_above(price: Whole, ending: Whole, modulus: Whole) -> Whole:
    """Smallest price with the ending that is not below ``price``."""
    result: Whole = price + (ending - price) % modulus
    return result


def ending_at_or_below(price: Whole, ending: Whole, modulus: Whole) -> Whole:
    """Largest price with the ending that is not above ``price``; not positive where there is none below."""
    result: Whole = price - (price - ending) % modulus
    return result


# Decimal text of major units, as people and spreadsheets write it.


def parse_major(text: str, exponent: int) -> int:
    """Turn decimal text of major units into minor units, exactly.

    Raises:
        ValueError: not a plain decimal number, or non-zero digits beyond the exponent.
    """
    found = _MAJOR.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a decimal amount")
    sign, whole, fraction = found.group(1), found.group(2), (found.group(3) or "").rstrip("0")
    if len(fraction) > exponent:
        raise ValueError(f"{text!r} has more than {exponent} decimal places")
    minor: int = int(whole) * 10**exponent + int(fraction.ljust(exponent, "0") or "0")
    return -minor if sign == "-" else minor
