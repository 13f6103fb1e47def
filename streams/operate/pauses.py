"""Which offers persons have paused, by command or by rollback, as the topic of commands has it."""

from __future__ import annotations

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.events import CommandGiven
from streams.operate.commands import read_commands
from streams.operate.reading import Meant
from streams.settings import Settings

_PAUSING = frozenset({"pause", "rollback"})


def paused(settings: Settings, meant: Meant, *, rolled_back: bool = False) -> dict[str, CommandGiven]:
    """The command that has paused each offer that is paused and meant, by its key.

    Args:
        settings: Broker and prefix.
        meant: Which offers.
        rolled_back: Only those that a rollback has paused.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: a topic is missing.
    """
    last: dict[str, CommandGiven] = {}
    for one in read_commands(settings):
        if one.command in _PAUSING | {"resume"}:
            last[f"{one.channel}:{one.sku}"] = one
    wanted = {"rollback"} if rolled_back else _PAUSING
    found = {key: one for key, one in last.items() if one.command in wanted}
    return {key: found[key] for key in sorted(meant.among(settings, found))}


def as_rows(found: dict[str, CommandGiven]) -> list[dict[str, object]]:
    """The same for JSON."""
    return [{"offer": key, **msgspec.structs.asdict(one)} for key, one in found.items()]


def print_paused(found: dict[str, CommandGiven], console: Console) -> None:
    """The same for a terminal."""
    table = Table("offer", "by", "since", "how", "why", title=f"{len(found):,} offers are paused")
    for key, one in found.items():
        table.add_row(Text(key), one.by, one.at, one.command, one.why)
    console.print(table)
