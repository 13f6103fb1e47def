"""Where a source record is, as people and headers write it: ``orders/3/1042``."""

from __future__ import annotations

import re
from typing import NamedTuple

from streams.errors import InputRefused

REPLAY_HEADER = "repricer-replay-of"
"""On a record that `repricer dlq replay` has published: coordinates of the record that it repeats."""

_FORM = re.compile(r"([a-z-]+)/(\d{1,5})/(\d{1,19})")


class Coordinates(NamedTuple):
    """Place of a record: short topic name, partition, offset."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def parse_coordinates(text: str) -> Coordinates:
    """Read ``topic/partition/offset``.

    Raises:
        InputRefused: If it is none.
    """
    found = _FORM.fullmatch(text)
    if found is None:
        raise InputRefused(f"{text!r} are no coordinates; they look like orders/3/1042")
    topic, partition, offset = found.groups()
    return Coordinates(topic, int(partition), int(offset))


Headers = dict[str, str | bytes | None] | list[tuple[str, str | bytes | None]]
"""As confluent-kafka types them."""


def replayed_from(headers: Headers) -> str | None:
    """What a record repeats, as its header says it; None if it is no replay."""
    for name, value in headers.items() if isinstance(headers, dict) else headers:
        if name == REPLAY_HEADER and value is not None:
            return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    return None
