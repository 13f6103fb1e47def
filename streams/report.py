"""Tables for a person at a terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from streams.doctor import Finding
from streams.settings import PREFIX, Settings
from streams.topic_admin import TopicState

WIDTH_OF_A_FILE = 160
"""Columns when the output is no terminal."""

STATES = {"ok": "[green]ok[/]", "wrong": "[bold red]wrong[/]", "unknown": "[yellow]?[/]"}


def print_settings(settings: Settings) -> None:
    """Every setting: variable, value in force, default, meaning with its range. Files of secrets are not read."""
    table = Table(
        "variable", "value", "default", "meaning", title="Settings (values that differ from the default bold)"
    )
    for name, field in Settings.model_fields.items():
        value, default = getattr(settings, name), field.get_default(call_default_factory=True)
        shown = f"[bold]{escape(_say(value))}[/]" if value != default else escape(_say(value))
        meaning = f"{field.description or ''}{_range(field.metadata)}"
        table.add_row(PREFIX + name.upper(), shown, escape(_say(default)), escape(meaning))
    _console().print(table)


def print_topics(states: Iterable[TopicState]) -> None:
    """Every topic as the broker has it."""
    table = Table(
        Column("topic", no_wrap=True), "partitions", "replicas", "cleanup", "retention", "what", title="Topics"
    )
    for state in states:
        if not state.partitions:
            table.add_row(state.name, "[bold red]missing[/]", "", "", "", state.topic.about)
            continue
        config = state.config or {}
        retention = _duration(int(config["retention.ms"])) if "retention.ms" in config else "?"
        if state.topic.cleanup == "compact":
            retention = "for ever"
        counts = (str(state.partitions), str(state.replicas))
        table.add_row(state.name, *counts, config.get("cleanup.policy", "?"), retention, state.topic.about)
    _console().print(table)


def print_findings(findings: Iterable[Finding]) -> bool:
    """What the doctor found, with the cures below their faults.

    Returns:
        Whether nothing is wrong.
    """
    table = Table("area", "state", "what was found", title="repricer doctor")
    wrong = 0
    for finding in findings:
        wrong += finding.state == "wrong"
        cure = f"\n[dim]→ {escape(finding.fix)}[/]" if finding.fix else ""
        table.add_row(finding.area, STATES[finding.state], escape(finding.found) + cure)
    console = _console()
    console.print(table)
    console.print("[green]Nothing is wrong.[/]" if not wrong else f"[bold red]{wrong} wrong.[/]")
    return not wrong


def _console() -> Console:
    console = Console()
    return console if console.is_terminal or "COLUMNS" in os.environ else Console(width=WIDTH_OF_A_FILE)


def _say(value: object) -> str:
    if value is None or value == frozenset():
        return "-"
    if isinstance(value, frozenset):
        return ",".join(sorted(value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _range(metadata: Iterable[object]) -> str:
    """The bounds that the type carries, as `` [1, 4096]``; a bound that is excluded has a round bracket."""
    bounds = {name: getattr(bound, name) for bound in metadata for name in ("ge", "gt", "le") if hasattr(bound, name)}
    if "le" not in bounds:
        return ""
    low = f"[{bounds['ge']}" if "ge" in bounds else f"({bounds['gt']}"
    return f" {low}, {bounds['le']}]"


def _duration(milliseconds: int) -> str:
    if milliseconds < 0:
        return "for ever"
    days, hours = divmod(milliseconds // 3_600_000, 24)
    return f"{days} d" if days and not hours else f"{milliseconds / 3_600_000:.1f} h"
