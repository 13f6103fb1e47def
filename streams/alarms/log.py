"""Alarms for a person's eyes: those of the topic, and those that come."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.text import Text

from schemas.alarms import SEVERITIES, AlarmRaised, Severity
from schemas.timestamps import parse_ms
from schemas.topics import ALARMS
from streams.dlq.letters import read
from streams.errors import InputRefused
from streams.settings import Settings
from streams.topic_presence import require_present

POLL_S = 1.0
COLOURS = {"info": "cyan", "warning": "yellow", "critical": "bold red"}


def alarms(settings: Settings, *, since_ms: int, least: Severity, follow: bool) -> Iterator[AlarmRaised]:
    """Yield alarms by the time of their raising, then, if asked to follow, those that come, without an end.

    Args:
        settings: Where the topic is.
        since_ms: No earlier ones.
        least: No milder ones.
        follow: Go on.

    Raises:
        InputRefused: If something else is on the topic.
        TopicMismatch: If the topic is missing.
        BrokerUnreachable: If it cannot be read.
    """
    partitions = range(require_present(settings, (ALARMS,)))
    severe = SEVERITIES[SEVERITIES.index(least) :]
    reached: dict[int, int] = {}
    while True:
        found = []
        for message in read(settings, ALARMS, partitions, reached):
            reached[int(message.partition() or 0)] = int(message.offset() or 0) + 1
            found.append(_decode(message.value()))
        wanted = [alarm for alarm in found if alarm.severity in severe and parse_ms(alarm.at) >= since_ms]
        yield from sorted(wanted, key=lambda alarm: (alarm.at, alarm.alarm_id))
        if not follow:
            return
        time.sleep(POLL_S)


def _decode(value: bytes | None) -> AlarmRaised:
    try:
        return msgspec.json.decode(value or b"", type=AlarmRaised)
    except msgspec.DecodeError as error:
        raise InputRefused(f"a record of {ALARMS.name} is no alarm, somebody else wrote it: {error}") from error


def print_alarm(alarm: AlarmRaised) -> None:
    """What was seen, with its figures, and what to do."""
    console = Console(soft_wrap=True, highlight=False)
    times = f" {alarm.count:,} times" if alarm.count > 1 else ""
    head = f"[{COLOURS[alarm.severity]}]{alarm.severity}[/]  [bold]{alarm.code}[/]"
    console.print(f"{alarm.at}  {head}  {escape(alarm.scope)}{times}")
    figures = ", ".join(f"{name} {value}" for name, value in alarm.values.items())
    console.print(Text(f"  {alarm.cause}{f' ({figures})' if figures else ''}"))
    console.print(Text(f"  {alarm.what_to_do}"))
