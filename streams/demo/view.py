"""The live view: one frame drawn from one `Snapshot`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.money import Money
from streams.catalog.ledger import Counts
from streams.market.truth import Truth

BLOCKS = "▁▂▃▄▅▆▇█"
BAR_CELLS = 28
SPARK_CELLS = 40
HOLD_ROWS = 6
LINES = 8


class Line(NamedTuple):
    """A price change to show."""

    offer: str
    before: str
    after: str
    up: bool
    why: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that a frame shows."""

    phase: str
    seconds: float
    """Since the market opened."""
    planned_s: float
    running: dict[str, bool]
    """Whether each process runs, by name."""
    events: int = 0
    rates: Sequence[float] = ()
    """Events a second, oldest first."""
    decisions: int = 0
    changes: int = 0
    holds: dict[str, int] = field(default_factory=dict)
    lag: int = 0
    catalog: Counts | None = None
    truth: Truth | None = None
    gains: Sequence[float] = ()
    """Profit over hold, as a share of hold's, oldest first."""
    lines: Sequence[Line] = ()
    """Price changes, newest first."""


def frame(now: Snapshot) -> RenderableType:
    """Draw a frame."""
    return Group(
        _title(now),
        Columns([_panel("Stream", _stream(now)), _panel("Profit", _profit(now))], equal=True, expand=True),
        _panel("Price changes", _changes(now.lines)),
    )


def spark(values: Sequence[float], cells: int = SPARK_CELLS) -> str:
    """Draw the last values as blocks, from the smallest (or 0, if none is negative) to the largest."""
    shown = list(values)[-cells:]
    if not shown:
        return ""
    low, high = min(0.0, *shown), max(0.0, *shown)
    span = (high - low) or 1.0
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in shown)


def _panel(title: str, body: RenderableType) -> Panel:
    return Panel(body, title=f"[bold]{title}[/]", title_align="left", border_style="dim", padding=(0, 1))


def _title(now: Snapshot) -> Text:
    text = Text.assemble((" repricer demo ", "bold reverse"), f"  {now.phase}  ", overflow="ellipsis", no_wrap=True)
    text.append(f"{max(0.0, now.seconds):.0f} of {now.planned_s:.0f} s")
    if now.truth is not None:
        text.append(f" = {now.truth.simulated_days:.1f} days of the market   ")
    for name, runs in now.running.items():
        text.append(" ● " if runs else " ○ ", "green" if runs else "red")
        text.append(name)
    return text


def _stream(now: Snapshot) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column()
    rate = now.rates[-1] if now.rates else 0.0
    table.add_row("events", f"{now.events:,}", f"[cyan]{spark(now.rates, 16)}[/] {rate:,.0f}/s")
    table.add_row("decisions", f"{now.decisions:,}", f"lag {now.lag:,} records")
    table.add_row("price changes", f"[bold]{now.changes:,}[/]", _answers(now.catalog))
    held = sum(now.holds.values())
    for reason, count in sorted(now.holds.items(), key=lambda item: -item[1])[:HOLD_ROWS]:
        bar = "█" * max(1, round(10 * count / held))
        table.add_row(f"  held: {reason}", f"{count:,}", f"[dim]{bar}[/]")
    return table


def _answers(catalog: Counts | None) -> str:
    if catalog is None:
        return ""
    rejected = sum(catalog.rejected.values())
    alarm = f" [bold red]{catalog.out_of_bounds} out of bounds[/]" if catalog.out_of_bounds else ""
    return f"{catalog.applied:,} applied, {rejected:,} rejected{alarm}"


def _profit(now: Snapshot) -> RenderableType:
    if now.truth is None or not now.truth.profit_optimum:
        return Text("the market opens when the worker is ready", style="dim")
    truth = now.truth
    rows = (
        ("this repricer", truth.profit, "bold green"),
        ("hold the prices", truth.profit_hold, "white"),
        ("match the cheapest", truth.profit_match_cheapest, "white"),
        ("optimum (knows all)", truth.profit_optimum, "dim"),
    )
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(justify="right")
    table.add_column()
    largest = max(1, *(amount for _, amount, _ in rows))
    for name, amount, style in rows:
        bar = "█" * max(0, round(BAR_CELLS * amount / largest))
        table.add_row(Text(name, style), Text(_money(amount, truth.currency), style), Text(bar, style))
    gain = now.gains[-1] if now.gains else 0.0
    sign = "green" if gain > 0 else "red"
    return Group(table, Text.assemble("against hold ", (f"{gain:+.1%} ", f"bold {sign}"), (spark(now.gains), sign)))


def _money(amount: int, currency: str) -> str:
    return f"{Money(amount, currency)}"


def _changes(lines: Sequence[Line]) -> RenderableType:
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(style="dim", no_wrap=True, overflow="ellipsis")
    for shown in list(lines)[:LINES]:
        arrow, style = ("↗", "green") if shown.up else ("↘", "yellow")
        table.add_row(shown.offer, shown.before, f"[{style}]{arrow}[/]", f"[{style}]{shown.after}[/]", shown.why)
    for _ in range(LINES - len(lines)):
        table.add_row("", "", "", "", "")
    return table
