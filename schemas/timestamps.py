"""RFC 3339 text to int64 milliseconds since the epoch and back, a whole batch at once.

Accepted on input is what RFC 3339 calls ``date-time`` (years 0001 to 9999, any offset, any number of fraction
digits, cut to milliseconds), without leap seconds: no clock of ours shows them. Written is always
``YYYY-MM-DDTHH:MM:SS.mmmZ``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]
Bytes = NDArray[np.uint8]

DAY_MS = np.int64(86_400_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

# Two shapes take the fast path. 0 stands for a digit.
_SHAPES = ("0000-00-00T00:00:00.000Z", "0000-00-00T00:00:00Z")
_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)

# First day of every month from January of year 0, in days since the epoch, and one more to end the last.
_MONTH_START = np.arange("0000-01", "10000-02", dtype="datetime64[M]").astype("datetime64[D]").astype(np.int32)
_MONTH_LENGTH = np.diff(_MONTH_START)

# Range of each pair of digits: century, year, month, day, hour, minute, second.
_LEAST = np.array([[0], [0], [1], [1], [0], [0], [0]], np.uint8)
_MOST = np.array([[99], [99], [12], [31], [23], [59], [59]], np.uint8)
_MILLISECONDS = np.array([100, 10, 1], np.int32)


def format_ms(ms: int) -> str:
    """Write one time: ``2026-11-24T01:02:03.123Z``.

    Raises:
        OverflowError: outside of the years 0001 to 9999.
    """
    return (_EPOCH + ms * _MILLISECOND).isoformat(timespec="milliseconds")[:23] + "Z"


def format_many(ms: Int64) -> list[str]:
    """Write many times, as `format_ms` does."""
    texts: list[str] = np.datetime_as_string(ms.astype("datetime64[ms]"), unit="ms", timezone="UTC").tolist()
    return texts


def parse_ms(text: str) -> int:
    """Read one time of any accepted form.

    Raises:
        ValueError: it is none.
    """
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not an RFC 3339 time")
    date, time, fraction, offset = found.groups()
    moment = datetime.fromisoformat(f"{date}T{time}{offset.upper()}")
    return (moment - _EPOCH) // _MILLISECOND + int((fraction or "").ljust(3, "0")[:3])


def parse_many(texts: Sequence[str]) -> tuple[Int64, Bool]:
    """Read many times.

    Args:
        texts: n texts, of any content.

    Returns:
        int64[n] milliseconds since the epoch, 0 where invalid; bool[n], true where the text is a valid time.
    """
    for shape in _SHAPES if texts else ():
        ms, valid = _parse_shape(texts, shape)
        if valid.all():
            return ms, valid
    return _parse_mixed(texts)


def _parse_mixed(texts: Sequence[str]) -> tuple[Int64, Bool]:
    """Each fast shape in one go, what is left one by one."""
    ms, valid = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    for shape in _SHAPES:
        rows = [i for i, text in enumerate(texts) if len(text) == len(shape)]
        if rows:
            ms[rows], valid[rows] = _parse_shape([texts[i] for i in rows], shape)
    for i in np.flatnonzero(~valid).tolist():
        try:
            ms[i], valid[i] = parse_ms(texts[i]), True
        except ValueError:
            ms[i] = 0
    return ms, valid


def _parse_shape(texts: Sequence[str], shape: str) -> tuple[Int64, Bool]:
    """Read texts that all look like ``shape``.

    They are joined by line breaks and cut into equal rows that must end in one. There are as many breaks as rows
    end in, so where all rows are valid, no text has a break inside, and the rows are the texts. Where the length
    does not fit, nothing is valid.
    """
    line = shape + "\n"
    joined = ("\n".join(texts) + "\n").encode("ascii", "replace")
    if len(joined) != len(texts) * len(line):
        return np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    rows = np.frombuffer(joined, np.uint8).reshape(len(texts), len(line))
    characters = np.ascontiguousarray(rows.T)  # by position: everything below runs along the texts
    pattern = np.frombuffer(line.encode(), np.uint8)
    is_digit = pattern == ord("0")
    digits = characters[is_digit] - np.uint8(ord("0"))  # what is below '0' wraps to a large number
    valid = (digits.max(axis=0) <= 9) & (characters[~is_digit] == pattern[~is_digit, None]).all(axis=0)
    return _from_digits(digits, valid)


def _from_digits(digits: Bytes, valid: Bool) -> tuple[Int64, Bool]:
    """Civil date and time from digits.

    Args:
        digits: uint8[14 or 17, n], the digits of YYYYMMDDHHMMSS and of milliseconds if there are any.
        valid: bool[n], false where they are no digits.

    Returns:
        int64[n] milliseconds since the epoch, 0 where invalid; bool[n], true where every part is in its range.
    """
    pairs = digits[0:14:2] * np.uint8(10) + digits[1:14:2]
    valid &= ((pairs >= _LEAST) & (pairs <= _MOST)).all(axis=0)
    century, year, month, day, hour, minute, second = pairs.astype(np.int32)
    months = ((century * 100 + year) * 12 + month - 1) * valid
    valid &= (day <= _MONTH_LENGTH[months]) & (months >= 12)  # there is no year 0
    days = _MONTH_START[months] + day - 1
    ms_of_day = ((hour * 60 + minute) * 60 + second) * 1000  # int32 holds a day
    for digit, worth in zip(digits[14:], _MILLISECONDS, strict=False):
        ms_of_day += digit * worth
    return (days * DAY_MS + ms_of_day) * valid, valid
