"""A person stops, reduces or resumes price changes: a record of the scope to each partition of ``pricing-control``."""

from __future__ import annotations

import time
from typing import Literal, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table

from schemas.codec import Reject, decode_run_mode
from schemas.events import RunModeSet
from schemas.timestamps import format_ms
from schemas.topics import control_key
from streams.errors import ConfigurationError
from streams.operate.everywhere import heard, to_every_partition
from streams.operate.who import name_of
from streams.settings import Settings

Mode = Literal["ACTIVE", "REDUCING", "HALTED"]


class InForce(NamedTuple):
    """The last run mode of a scope."""

    scope: str
    said: RunModeSet
    partitions: int
    """On so many of them; another word is the last on the others."""


def publish_run_mode(
    settings: Settings, mode: Mode, by: str | None, why: str, *, channel: str | None, category: str | None
) -> int:
    """Publish ``mode`` to every partition, and wait until all have it.

    Returns:
        Number of partitions.

    Raises:
        ConfigurationError: ``by`` or ``why`` is too long or empty, nobody knows who you are, or the scope is two.
        TopicMismatch: the topics are not as they must be.
        BrokerUnreachable: not every partition has acknowledged; say it again.
    """
    at = format_ms(time.time_ns() // 10**6)
    said = RunModeSet(mode=mode, by=name_of(by), why=why, at=at, channel=channel, category=category)
    key, value = control_key(channel, category), msgspec.json.encode(said)
    if isinstance(refused := decode_run_mode(key, value), Reject):  # limits are checked where it is decoded
        raise ConfigurationError(refused.detail)
    return to_every_partition(settings, key, value, what=mode)


def in_force(settings: Settings) -> list[InForce]:
    """Read the last word about every scope; where partitions differ, every word that is the last on one of them.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: the topic is missing.
    """
    last: dict[tuple[int, bytes], RunModeSet] = {}
    for partition, key, value in heard(settings):
        said = decode_run_mode(key, value)
        if not isinstance(said, Reject):
            last[partition, key or b""] = said
    words = sorted({(key, said.at, said) for (_, key), said in last.items()}, key=lambda word: word[:2])
    counts = [sum(other == said for (_, k), other in last.items() if k == key) for key, _, said in words]
    return [InForce(key.decode(), said, count) for (key, _, said), count in zip(words, counts, strict=True)]


def as_rows(found: list[InForce]) -> list[dict[str, object]]:
    """The same for JSON."""
    return [{"scope": one.scope, **msgspec.structs.asdict(one.said), "partitions": one.partitions} for one in found]


def print_in_force(found: list[InForce], partitions: int, console: Console) -> None:
    """The same for a terminal."""
    if not found:
        console.print("ACTIVE: nobody has ever said anything else")
        return
    table = Table("scope", "mode", "by", "since", "why")
    for one in found:
        where = "" if one.partitions == partitions else f" on {one.partitions} of {partitions} partitions: say it again"
        table.add_row(one.scope, one.said.mode + where, one.said.by, one.said.at, one.said.why)
    console.print(table)
