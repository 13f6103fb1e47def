"""The smallest parts of JSON text, compiled: blanks, strings, integers, literals; and times as we write them.

Each function starts at a place in a buffer and says where the part ends, or that it is not there. None reads at or
behind ``stop``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.compiled import kernel

MAX_DIGITS = 18
"""More might not fit into int64."""

QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE, MINUS, POINT, ZERO, NINE = (ord(c) for c in '"\\:,{}-.09')
SPACE, TAB, LINE_FEED, CARRIAGE_RETURN, DELETE, UPPER_A = (ord(c) for c in " \t\n\r\x7fA")
LETTER_T, LETTER_F, LETTER_N = (ord(c) for c in "tfn")
LITERALS = np.frombuffer(b"truefalsenull", np.uint8)
DAYS_BEFORE_MONTH = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])
DAYS_TO_EPOCH = 719_162
"""From 0001-01-01 to 1970-01-01."""


@kernel
def blank(data: Any, at: int, stop: int) -> int:
    """Where white space ends."""
    while at < stop and (data[at] == SPACE or data[at] == LINE_FEED or data[at] == TAB or data[at] == CARRIAGE_RETURN):
        at += 1
    return at


@kernel
def string_end(data: Any, at: int, stop: int) -> int:
    """Where the string that begins at ``at`` ends: at its quote. -1: an escape, a control character, not UTF-8."""
    while at < stop:
        c = data[at]
        if c == QUOTE:
            return at
        if c < SPACE or c == BACKSLASH:
            return -1
        if c < 0x80:
            at += 1
        else:
            at = _beyond_ascii(data, at, stop)
            if at < 0:
                return -1
    return -1


@kernel
def _beyond_ascii(data: Any, at: int, stop: int) -> int:
    """Where the UTF-8 sequence at ``at`` ends; -1 if it is none: too long for its value, a surrogate, cut off."""
    c = data[at]
    if 0xC2 <= c < 0xE0:
        size, least, most = 2, 0x80, 0xBF
    elif 0xE0 <= c < 0xF0:
        size, least, most = 3, (0xA0 if c == 0xE0 else 0x80), (0x9F if c == 0xED else 0xBF)
    elif 0xF0 <= c < 0xF5:
        size, least, most = 4, (0x90 if c == 0xF0 else 0x80), (0x8F if c == 0xF4 else 0xBF)
    else:
        return -1
    if at + size > stop or not least <= data[at + 1] <= most:
        return -1
    for j in range(at + 2, at + size):
        if data[j] & 0xC0 != 0x80:
            return -1
    return at + size


@kernel
def same(data: Any, at: int, length: int, words: Any, word: int) -> bool:
    """Whether ``length`` bytes are equal, from ``at`` in one buffer and from ``word`` in the other."""
    for j in range(length):
        if data[at + j] != words[word + j]:
            return False
    return True


@kernel
def literal_end(data: Any, at: int, stop: int) -> int:
    """Where ``true``, ``false`` or ``null`` ends; -1 if it is none of them."""
    first = LITERALS[:4] if data[at] == LETTER_T else LITERALS[4:9] if data[at] == LETTER_F else LITERALS[9:]
    if at + len(first) > stop or not same(data, at, len(first), first, 0):
        return -1
    return at + len(first)


@kernel
def integer(data: Any, at: int, stop: int) -> tuple[int, int]:
    """Where the integer at ``at`` ends, and what it is; -1 if it is none, or a long one."""
    negative = data[at] == MINUS
    if negative:
        at += 1
    value, digits = 0, 0
    while at + digits < stop and ZERO <= data[at + digits] <= NINE:
        if digits == MAX_DIGITS:
            return -1, 0
        value = value * 10 + (data[at + digits] - ZERO)
        digits += 1
    if digits == 0 or (data[at] == ZERO and (digits > 1 or negative)):
        return -1, 0
    return at + digits, -value if negative else value


@kernel
def digits_value(data: Any, at: int, digits: int) -> int:
    """Value of so many digits; negative if one is none."""
    value = 0
    for j in range(at, at + digits):
        digit = int(data[j]) - ZERO
        if not 0 <= digit <= 9:
            return -1
        value = value * 10 + digit
    return value


@kernel
def time_ms(data: Any, at: int, length: int) -> tuple[int, bool]:
    """Milliseconds since the epoch of ``YYYY-MM-DDTHH:MM:SS.mmmZ`` or ``YYYY-MM-DDTHH:MM:SSZ``."""
    if length != 24 and length != 20:
        return 0, False
    marks = data[at + 4] == MINUS and data[at + 7] == MINUS and data[at + 10] == 84
    marks = marks and data[at + 13] == COLON and data[at + 16] == COLON and data[at + length - 1] == 90
    year, month, day = digits_value(data, at, 4), digits_value(data, at + 5, 2), digits_value(data, at + 8, 2)
    hour, minute, second = (
        digits_value(data, at + 11, 2),
        digits_value(data, at + 14, 2),
        digits_value(data, at + 17, 2),
    )
    ms = 0
    if length == 24:
        marks = marks and data[at + 19] == POINT
        ms = digits_value(data, at + 20, 3)
    if not marks or year < 1 or not 1 <= month <= 12 or hour < 0 or minute < 0 or second < 0 or ms < 0:
        return 0, False
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    month_days = DAYS_BEFORE_MONTH[month] - DAYS_BEFORE_MONTH[month - 1] + (1 if leap and month == 2 else 0)
    if not 1 <= day <= month_days or hour > 23 or minute > 59 or second > 59:
        return 0, False
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 + DAYS_BEFORE_MONTH[month - 1] + day - 1
    if leap and month > 2:
        days += 1
    seconds = ((days - DAYS_TO_EPOCH) * 24 + hour) * 3600 + minute * 60 + second
    return seconds * 1000 + ms, True


@kernel
def currency_code(currencies: Any, data: Any, at: int, length: int) -> int:
    """What a table of [26³] says about three capital letters; -1 of anything else."""
    if length != 3:
        return -1
    place = 0
    for j in range(at, at + 3):
        letter = int(data[j]) - UPPER_A
        if not 0 <= letter < 26:
            return -1
        place = place * 26 + letter
    return currencies[place]
