"""The name of a topic partition."""

from __future__ import annotations

from typing import NamedTuple


class Partition(NamedTuple):
    """A topic partition."""

    topic: str
    partition: int
