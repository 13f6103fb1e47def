"""What a replay found, for a person and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from streams.errors import NotReproduced
from streams.replay.difference import Difference

SHOWN = 20
"""Differences that are listed; all are counted."""


@dataclass(slots=True)
class Report:
    """Decisions that were made again."""

    decisions: int = 0
    identical: int = 0
    """Byte for byte."""
    differences: list[Difference] = field(default_factory=list)
    """The first `SHOWN`."""
    not_recomputed: Counter[str] = field(default_factory=Counter)
    """By reason."""

    def add(self, compared: Iterable[Difference | None]) -> None:
        """Count comparisons."""
        for difference in compared:
            self.identical += difference is None
            if difference is not None and len(self.differences) < SHOWN:
                self.differences.append(difference)

    @property
    def different(self) -> int:
        """Decisions that came out otherwise."""
        return self.decisions - self.identical - self.not_recomputed.total()

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "decisions": self.decisions,
            "identical": self.identical,
            "different": self.different,
            "differences": [difference._asdict() for difference in self.differences],
            "not_recomputed": dict(self.not_recomputed),
        }


@dataclass(slots=True)
class StateReport:
    """Rows that were made again from the source topics."""

    compared: int = 0
    """Decisions whose offer was rebuilt from its last decision, or from nothing, up to this one."""
    identical: int = 0
    """To the bit, the decayed sums included, and the features with them."""
    rounded: int = 0
    """All integers are the same; decayed sums differ in their last bits, for batches were cut elsewhere."""
    largest_rounding: float = 0.0
    """Of those, relative."""
    differences: list[Difference] = field(default_factory=list)
    """The first `SHOWN`."""
    begun: int = 0
    """Decisions that an offer begins with in this time: taken from their records, with nothing to compare."""
    without_policy: int = 0
    """Decisions under a policy version that the compacted topic no longer has."""
    not_rebuilt: Counter[str] = field(default_factory=Counter)
    """Decisions by reason."""

    @property
    def different(self) -> int:
        """Rows that came out otherwise."""
        return self.compared - self.identical - self.rounded

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "compared": self.compared,
            "identical": self.identical,
            "rounded": self.rounded,
            "largest_rounding": self.largest_rounding,
            "different": self.different,
            "differences": [difference._asdict() for difference in self.differences],
            "begun": self.begun,
            "without_policy": self.without_policy,
            "not_rebuilt": dict(self.not_rebuilt),
        }


def print_report(report: Report, state: StateReport | None, console: Console) -> None:
    """Both for a terminal."""
    console.print(
        f"{report.identical:,} of {report.decisions:,} decisions are identical, made again from their records"
    )
    print_reasons("not made again", report.not_recomputed, console)
    _print_differences(report.differences, report.different, console)
    if state is None:
        return
    console.print(
        f"{state.identical:,} of {state.compared:,} states are identical, rebuilt from the source topics; "
        f"{state.rounded:,} more but for the last bits of decayed sums (at most {state.largest_rounding:.1e})"
    )
    if state.begun:
        console.print(f"{state.begun:,} are the first of their offer in this time: nothing to compare")
    if state.without_policy:
        console.print(f"{state.without_policy:,} name a policy version that the compacted topic no longer has")
    print_reasons("not rebuilt", state.not_rebuilt, console)
    _print_differences(state.differences, state.different, console)


def require_reproduced(report: Report, state: StateReport | None) -> None:
    """Refuse differences.

    Raises:
        NotReproduced: There are some.
    """
    found = report.different + (0 if state is None else state.different)
    if found:
        raise NotReproduced(
            f"{found} decisions or states did not come out as recorded. On another kind of processor or of JAX they "
            "may not; else the program or the record was changed: keep the topics, and look at the first field."
        )


def print_reasons(what: str, reasons: Counter[str], console: Console) -> None:
    """Say how many decisions something could not be done with, and why."""
    for reason, count in reasons.most_common():
        console.print(f"[yellow]{count:,} {what}[/]: {escape(reason)}", highlight=False)


def _print_differences(differences: list[Difference], count: int, console: Console) -> None:
    if not differences:
        return
    table = Table("decision", "first field that differs", "recorded", "again", title=f"{count:,} differ")
    for difference in differences:
        table.add_row(*(Text(str(part)) for part in difference))
    console.print(table)
