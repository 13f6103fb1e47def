"""The live view: one frame drawn from one `Snapshot`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from schemas.money import Money
from streams.catalog.ledger import Counts
from streams.market.truth import Truth

BLOCKS = "▁▂▃▄▅▆▇█"
WIDE = 100
BAR_CELLS = 16
RATE_CELLS = 9
SPARK_CELLS = 30
HOLD_ROWS = 5
LINES = 8
BORDER = 2
TOP_ROWS = 3 + HOLD_ROWS + BORDER


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


def frame(now: Snapshot, width: int) -> RenderableType:
    """Draw a frame for a terminal of so many columns; 24 rows are enough."""
    wide = width >= WIDE
    top = Table.grid(expand=True)
    top.add_column(ratio=1)
    top.add_column(ratio=1)
    unit = "" if now.truth is None else f", {now.truth.currency}"
    panels = {"Stream": _stream(now, wide=wide), f"Profit{unit}": _profit(now, wide=wide)}
    top.add_row(*(_panel(title, body, TOP_ROWS) for title, body in panels.items()))
    return Group(_title(now, wide=wide), top, _panel("Price changes", _changes(now.lines), LINES + BORDER))


def spark(values: Sequence[float], cells: int = SPARK_CELLS) -> str:
    """Draw the last values as blocks, from the smallest (or 0, if none is negative) to the largest."""
    shown = list(values)[-cells:]
    if not shown:
        return ""
    low, high = min(0.0, *shown), max(0.0, *shown)
    span = (high - low) or 1.0
    return "".join(BLOCKS[round((value - low) / span * (len(BLOCKS) - 1))] for value in shown)


def _panel(title: str, body: RenderableType, height: int) -> Panel:
    return Panel(body, title=f"[bold]{title}[/]", title_align="left", border_style="dim", padding=(0, 1), height=height)


def _title(now: Snapshot, *, wide: bool) -> Text:
    text = Text.assemble((" repricer demo ", "bold reverse"), f"  {now.phase}  ", overflow="ellipsis", no_wrap=True)
    text.append(f"{max(0.0, now.seconds):.0f} of {now.planned_s:.0f} s")
    if now.truth is not None:
        text.append(f" = {now.truth.simulated_days:.1f} days {'of the market   ' if wide else ''}")
    for name, runs in now.running.items():
        text.append(" ● " if runs else " ○ ", "green" if runs else "red")
        text.append(name)
    return text


def _stream(now: Snapshot, *, wide: bool) -> RenderableType:
    rate = now.rates[-1] if now.rates else 0.0
    rows = [
        ("events", now.events, f"[cyan]{spark(now.rates, RATE_CELLS)}[/] {rate:,.0f}/s"),
        ("decisions", now.decisions, f"lag {now.lag:,} records"),
        ("price changes", now.changes, _answers(now.catalog)),
    ]
    held = sum(now.holds.values())
    for reason, count in sorted(now.holds.items(), key=lambda item: -item[1])[:HOLD_ROWS]:
        bar = "█" * max(1, round(RATE_CELLS * count / held))
        rows.append((f"held: {reason.replace('_', ' ')}", count, f"[dim]{bar}[/]"))
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="dim", no_wrap=True, ratio=1)
    table.add_column(justify="right", no_wrap=True)
    for what, number, beside in rows:
        table.add_row(what, f"{number:,}", *([beside] if wide else []))
    return table


def _answers(catalog: Counts | None) -> str:
    if catalog is None:
        return ""
    rejected = sum(catalog.rejected.values())
    alarm = f" [bold red]{catalog.out_of_bounds} out of bounds[/]" if catalog.out_of_bounds else ""
    return f"{rejected:,} rejected{alarm}"


def _profit(now: Snapshot, *, wide: bool) -> RenderableType:
    truth = now.truth
    if truth is None or not truth.profit_hold:
        return Text("the market opens when the worker is ready; the first start compiles for a while", style="dim")
    rows = (
        ("this repricer", truth.profit, "bold"),
        ("hold prices", truth.profit_hold, ""),
        ("match cheapest", truth.profit_match_cheapest, ""),
        ("optimum", truth.profit_optimum, "dim"),
    )
    gains = [amount / truth.profit_hold - 1 for _, amount, _ in rows]
    largest = max(map(abs, gains)) or 1.0
    table = Table.grid(padding=(0, 1))
    for justify in ("left", "right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    for (name, amount, style), gain in zip(rows, gains, strict=True):
        bar = Text("█" * round(BAR_CELLS * abs(gain) / largest * wide), "green" if gain > 0 else "red")
        money = Text(str(Money(amount, truth.currency)).removesuffix(f" {truth.currency}"), style)
        table.add_row(Text(name, style), money, Text(f"{gain:+.1%}", style), bar)
    line = spark(now.gains, SPARK_CELLS if wide else SPARK_CELLS // 2)
    trend = Text.assemble("\nagainst hold  ", (line, "green" if gains[0] > 0 else "red"))
    return Group(table, trend)


def _changes(lines: Sequence[Line]) -> RenderableType:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", no_wrap=True, ratio=1)
    for shown in list(lines)[:LINES]:
        move = Text.assemble(f"{shown.before} → ", (f"{shown.after:>6}", "green" if shown.up else "yellow"))
        table.add_row(shown.offer, move, f"because {shown.why}")
    return table
