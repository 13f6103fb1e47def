"""A report on a terminal of 80 columns or more."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.backtest.run import Group, Report
from streams.backtest.words import MEANING, gain, headline, interval, title


def print_report(report: Report, console: Console) -> None:
    """Print the answer, then weeks and channels."""
    left_out = ", ".join(f"{count:,} {why}" for why, count in report.left_out.items())
    console.print(
        Text(
            f"{report.model} on {report.read:,} transitions, {report.since[:10]} to {report.until[:10]}; left out: "
            f"{left_out or 'none'}"
        )
    )
    for group in report.of("all"):
        _print_group(group, console)
    for kind in ("week", "channel"):
        if len(groups := report.of(kind)) > 1:
            console.print(_table(kind, groups))
    console.print(Text(MEANING, "dim"))


def _print_group(group: Group, console: Console) -> None:
    found, code = group.found, group.currency
    console.print(Text(headline(group), "bold"))
    facts = {
        "decisions": f"{found.decisions:,} of {found.offers:,} offers, {found.offer_days:,.0f} days of offers",
        "same price": f"{found.agreement:.1%} of them; another and higher one {found.model_higher:.1%}",
        "price moved": f"{found.changed:.1%} in the log, {found.model_changes:.1%} by the model",
        "within reach": f"{found.supported:.1%} of what the model would do the log may have tried",
        "effective size": f"{found.effective_sample_size:,.0f} decisions",
        "log": interval(found.logged, code),
        "model": f"{interval(found.doubly_robust, code)} doubly robust",
        "": f"{interval(found.snips, code)} SNIPS",
    }
    if found.gain_alike is not None:
        alike = found.gain_alike
        facts["offers alike"] = f"{alike.value:+.1%} ({alike.lower:+.1%} to {alike.upper:+.1%}), what the gate looks at"
    facts |= {f"no claim{'' if i == 0 else f' {i + 1}'}": reason for i, reason in enumerate(found.refusals)}
    facts |= {f"needed{'' if i == 0 else f' {i + 1}'}": what for i, what in enumerate(found.needed)}
    table = Table.grid(padding=(0, 2))
    for name, fact in facts.items():
        table.add_row(name, Text(fact))
    console.print(table)


def _table(kind: str, groups: list[Group]) -> Table:
    table = Table(kind, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in ("decisions", "reach", "log", "gain of the model"):
        table.add_column(name, justify="right")
    for group in groups:
        found = group.found
        claim = gain(group) if not found.refusals else f"no claim: {found.refusals[0]}"
        cells = (f"{found.decisions:,}", f"{found.supported:.0%}", interval(found.logged, group.currency), claim)
        table.add_row(title(group), *(Text(cell) for cell in cells))
    return table
