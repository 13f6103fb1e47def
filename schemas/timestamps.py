"""RFC 3339 text to milliseconds since the epoch and back. Whole batches are read by the scanner (`schemas.lexemes`).

Accepted on input is what RFC 3339 calls ``date-time`` (years 0001 to 9999, any offset, any number of fraction
digits, cut to milliseconds), without leap seconds: no clock of ours shows them. Written is always
``YYYY-MM-DDTHH:MM:SS.mmmZ``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Int64 = NDArray[np.int64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)

_DATE_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:\d\d)(?:\.(\d+))?([Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)", re.ASCII
)


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


def parse_many(texts: Iterable[str]) -> Int64:
    """Read many times of the form that `format_ms` writes.

    Raises:
        ValueError: one is of another form.
    """
    return np.array([text.removesuffix("Z") for text in texts], "datetime64[ms]").astype(np.int64)


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
