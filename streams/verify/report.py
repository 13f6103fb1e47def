"""What the checker says: one line for each promise that it could test, with the first records that break it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

EXAMPLES = 5
WIDTH_OF_A_FILE = 160
"""Columns when the output is no terminal."""


@dataclass(frozen=True, slots=True)
class Check:
    """One property of the log, tested on everything that could be read."""

    name: str
    promise: str
    """Number of the invariant in the design."""
    checked: int
    violations: int
    examples: tuple[str, ...]
    """The first violations, with coordinates."""
    not_checkable: tuple[str, ...] = ()
    """What could not be tested, and why. Never counted as fine."""

    @classmethod
    def of(
        cls, name: str, promise: str, checked: int, violations: Iterable[str], not_checkable: Iterable[str] = ()
    ) -> Check:
        """Count violations; keep the first ones."""
        found = iter(violations)
        first = tuple(islice(found, EXAMPLES))
        return cls(name, promise, checked, len(first) + sum(1 for _ in found), first, tuple(not_checkable))


@dataclass(frozen=True, slots=True)
class Report:
    """The result of all checks."""

    checks: tuple[Check, ...]
    applied: dict[int, dict[str, int]]
    """The cut up to which everything was compared: next offset of every source topic, by partition."""

    @property
    def clean(self) -> bool:
        """Nothing that could be tested is violated."""
        return not any(check.violations for check in self.checks)

    @property
    def complete(self) -> bool:
        """Everything could be tested."""
        return not any(check.not_checkable for check in self.checks)

    @property
    def violated(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if check.violations]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        checks = [asdict(check) for check in self.checks]
        return {"clean": self.clean, "complete": self.complete, "checks": checks, "applied": self.applied}


def print_report(report: Report) -> None:
    """A table for a person, with what is wrong and what could not be checked below."""
    table = Table(
        Column("check", no_wrap=True), "promise", Column("checked", justify="right"), "result", title="repricer verify"
    )
    for check in report.checks:
        table.add_row(check.name, check.promise, f"{check.checked:,}", _result(check))
    console = Console()
    console = console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)
    console.print(table)
    for note in dict.fromkeys(note for check in report.checks for note in check.not_checkable):
        console.print(f"[yellow]not checkable:[/] {escape(note)}")
    console.print(_verdict(report))


def _result(check: Check) -> str:
    if not check.violations:
        return "[yellow]holds as far as it can be checked[/]" if check.not_checkable else "[green]holds[/]"
    lines = [f"[bold red]{check.violations:,} violations[/]", *(f"[dim]→[/] {escape(text)}" for text in check.examples)]
    return "\n".join(lines)


def _verdict(report: Report) -> str:
    if not report.clean:
        return f"[bold red]Violated: {', '.join(report.violated)}.[/]"
    return (
        "[green]Nothing is violated.[/]" if report.complete else "[yellow]Nothing that could be checked is violated.[/]"
    )
