"""float32 as the shortest decimal text that reads back as the same number, compiled; and integers as text.

The text is read as a double and then rounded to float32, which is what JSON readers do. Of the texts of least length
the one nearest to the number is taken. The search is the one that Raffaello Giulietti describes in *The Schubfach way
to render doubles*: in units of a power of ten that is no wider than the gap between two neighbours, one of four
multiples next to the number is the answer, and 64 bits of that power decide which.

Each function writes at a place of a buffer and returns where the text ends.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np

from schemas.compiled import kernel
from schemas.lexemes import LITERALS, MINUS, POINT, ZERO

FLOAT_WIDTH = 17
"""Bytes of the longest: a sign, ``0.00000`` and nine digits."""
INTEGER_WIDTH = 20
"""Bytes of the longest: a sign and nineteen digits."""
NULL_WIDTH = 4

WHOLE_PLACES, LEADING_ZEROS = 13, 6
"""Plain notation goes up to so many digits before the point, and down to fewer zeros behind it."""

READS_AS_NEIGHBOUR = 0x15AE43FD
"""A float32 (and its negative) whose shortest text, 7.038531e-26, becomes another by way of a double.

It lies so near to the middle of two neighbours that the double is the middle. Others are not known; the tests go
through a sample of every exponent, not through all float32.
"""

LETTER_E = ord("e")
PAIRS = np.frombuffer("".join(f"{pair:02}" for pair in range(100)).encode(), np.uint8)
TENS = np.array([10**places for places in range(20)], np.uint64)
_LEAST_POWER, _GREATEST_POWER = -31, 45
_1, _2, _4, _10, _32, _100 = (np.uint64(n) for n in (1, 2, 4, 10, 32, 100))
_LOW_HALF = np.uint64(0xFFFF_FFFF)


def _powers_of_ten() -> tuple[Any, Any]:
    """Leading 64 bits of each power, rounded up, and by how many bits it was shifted to the left to get them."""
    powers, shifts = [], []
    for exponent in range(_LEAST_POWER, _GREATEST_POWER + 1):
        power = Fraction(10) ** exponent
        shift = 64 - (power.numerator.bit_length() - power.denominator.bit_length() + 1)
        shift += power * 2**shift < 1 << 63
        powers.append(math.ceil(power * Fraction(2) ** shift))
        shifts.append(shift)
    return np.array(powers, np.uint64), np.array(shifts)


POWERS, SHIFTS = _powers_of_ten()


@kernel
def float_text(out: Any, at: int, bits: int) -> int:
    """Write the float32 of these bits; null if it is not finite."""
    exponent, fraction = (bits >> 23) & 0xFF, bits & 0x7F_FFFF
    if exponent == 0xFF:
        return null_text(out, at)
    if bits < 0:
        out[at] = MINUS
        at += 1
    if exponent == 0 and fraction == 0:
        return _plain_zero(out, at)
    digits, power = _shortest(exponent, fraction)
    return _decimal_text(out, at, digits, power)


@kernel
def _plain_zero(out: Any, at: int) -> int:
    out[at], out[at + 1], out[at + 2] = ZERO, POINT, ZERO
    return at + 3


@kernel
def _shortest(exponent: int, fraction: int) -> tuple[Any, int]:
    """Digits d, without zeros at the end, and power p such that d·10^p is the text of least length."""
    mantissa, binary = (fraction, -149) if exponent == 0 else (fraction | 1 << 23, exponent - 150)
    near_below = fraction == 0 and exponent > 1  # the neighbour below is only half as far as the one above
    power = (binary * 1_262_611 - (524_031 if near_below else 0)) >> 22  # the gap is at least 10^power
    ten = POWERS[-power - _LEAST_POWER]
    shift = np.uint64(SHIFTS[-power - _LEAST_POWER] - binary - 32)
    quarters = np.uint64(mantissa) * _4
    value = _scaled(quarters, ten, shift)
    # A bound counts as inside if the mantissa is even, for that is where a tie goes.
    odd = np.uint64(mantissa & 1)
    low = _scaled(quarters - (_1 if near_below else _2), ten, shift) + odd
    high = _scaled(quarters + _2, ten, shift) - odd
    below = value // _4
    tens = below // _10
    if tens > 0 and not (exponent == READS_AS_NEIGHBOUR >> 23 and fraction == READS_AS_NEIGHBOUR & 0x7F_FFFF):
        fits, next_fits = low <= tens * _10 * _4, (tens + _1) * _10 * _4 <= high
        if fits != next_fits:
            return _without_zeros(tens + _1 if next_fits else tens, power + 1)
    fits, next_fits = low <= below * _4, (below + _1) * _4 <= high
    middle = below * _4 + _2
    up = next_fits if fits != next_fits else value > middle or (value == middle and below & _1 == _1)
    return _without_zeros(below + _1 if up else below, power)


@kernel
def _scaled(quarters: Any, ten: Any, shift: Any) -> Any:
    """Product with a power of ten, in quarters of its unit; the last bit is set if anything was cut off."""
    product = quarters * (ten >> _32) + ((quarters * (ten & _LOW_HALF)) >> _32)
    whole = product >> shift
    return whole | _1 if whole << shift != product else whole


@kernel
def _without_zeros(digits: Any, power: int) -> tuple[Any, int]:
    while digits % _10 == 0:
        digits //= _10
        power += 1
    return digits, power


@kernel
def _decimal_text(out: Any, at: int, digits: Any, power: int) -> int:
    """Write digits · 10^power: with a point where it lies near the digits, else with an exponent."""
    count = _count(digits, 1) if digits < TENS[6] else _count(digits, 7)
    places = count + power
    if -LEADING_ZEROS < places <= 0:
        out[at], out[at + 1] = ZERO, POINT
        for j in range(at + 2, at + 2 - places):
            out[j] = ZERO
        return digits_text(out, at + 2 - places, digits, count)
    if 0 < places <= WHOLE_PLACES and power >= 0:
        end = digits_text(out, at, digits, count)
        for j in range(end, end + power):
            out[j] = ZERO
        out[end + power], out[end + power + 1] = POINT, ZERO
        return end + power + 2
    before = places if 0 < places <= WHOLE_PLACES else 1
    end = digits_text(out, at + 1, digits, count)
    for j in range(at, at + before):
        out[j] = out[j + 1]
    out[at + before] = POINT
    if before == places:
        return end
    end = at + 1 if count == 1 else end
    out[end] = LETTER_E
    return integer_text(out, end + 1, places - 1)


@kernel
def integer_text(out: Any, at: int, value: int) -> int:
    """Write an int64."""
    magnitude = np.uint64(value)
    if value < 0:
        out[at] = MINUS
        at += 1
        magnitude = ~magnitude + _1
    return digits_text(out, at, magnitude, _count(magnitude, 1))


@kernel
def _count(number: Any, least: int) -> int:
    """How many digits a number has, which are no fewer than ``least``."""
    while least < len(TENS) and number >= TENS[least]:
        least += 1
    return least


@kernel
def digits_text(out: Any, at: int, number: Any, count: int) -> int:
    """Write a number of so many digits."""
    end = at + count
    while number >= _100:
        pair = (number % _100) * _2
        number //= _100
        end -= 2
        out[end], out[end + 1] = PAIRS[pair], PAIRS[pair + _1]
    if number >= _10:
        out[end - 2], out[end - 1] = PAIRS[number * _2], PAIRS[number * _2 + _1]
    else:
        out[end - 1] = number + np.uint64(ZERO)
    return at + count


@kernel
def null_text(out: Any, at: int) -> int:
    """Write null."""
    for j in range(NULL_WIDTH):
        out[at + j] = LITERALS[9 + j]
    return at + NULL_WIDTH
