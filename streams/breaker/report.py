"""What the breaker counts, and which shards stand and why: the last summary of each shard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from rich.console import Console
from rich.table import Column, Table

from schemas.summaries import ShardSummarised, Stopped
from schemas.topics import SHARD_SUMMARIES
from streams.alarms.book import STOPS
from streams.dlq.letters import read
from streams.errors import InputRefused
from streams.settings import Settings
from streams.topic_presence import require_present

WIDTH_OF_A_FILE = 160
"""Columns when the output is no terminal."""


def summaries(settings: Settings) -> list[ShardSummarised]:
    """Read the last summary of every shard, by number.

    Raises:
        InputRefused: If something else is on the topic.
        TopicMismatch: If the topic is missing.
        BrokerUnreachable: If it cannot be read.
    """
    last: dict[int, ShardSummarised] = {}
    for message in read(settings, SHARD_SUMMARIES, range(require_present(settings, (SHARD_SUMMARIES,)))):
        try:
            summary = msgspec.json.decode(message.value() or b"", type=ShardSummarised)
        except msgspec.DecodeError as error:
            raise InputRefused(f"a record of {SHARD_SUMMARIES.name} is no summary: {error}") from error
        last[summary.shard] = summary
    return [last[shard] for shard in sorted(last)]


def why(stopped: Stopped) -> str:
    """Why a shard stands, in words."""
    cause, _ = STOPS.get(stopped.code, (stopped.code, ""))  # a later version may know more
    whose = "all shards together: " if stopped.source == "fleet" else f"{stopped.source}: " if stopped.source else ""
    return f"{whose}{cause} (limit {stopped.limit:,}, found {stopped.value:,}), event time {stopped.at}"


def standing(found: Iterable[ShardSummarised]) -> Iterator[str]:
    """One line for each shard that stands."""
    for summary in found:
        if summary.stopped is not None:
            yield f"shard {summary.shard} stands: {why(summary.stopped)}"


def print_summaries(found: Iterable[ShardSummarised]) -> None:
    """A line for each shard."""
    numbers = ("offers", "changed", "of them notable", "mean move, bp", "rejected", "anomalous")
    table = Table(
        Column("shard", justify="right"), *(Column(name, justify="right") for name in numbers), "state",
        title="Within five minutes of event time",
    )  # fmt: skip
    for s in found:
        state = "[green]runs[/]" if s.stopped is None else f"[bold red]stands[/]: {why(s.stopped)}"
        mean = s.distance_bp // max(s.offers, 1)
        answers = f"{s.rejected:,} of {s.answered:,}", f"{s.anomalous:,} of {s.asked:,}"
        table.add_row(str(s.shard), f"{s.offers:,}", f"{s.moved:,}", f"{s.notable:,}", f"{mean:,}", *answers, state)
    console = Console()
    (console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)).print(table)
