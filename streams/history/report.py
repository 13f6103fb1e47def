"""What a history supports, on a terminal, as one JSON object, and as a page."""

from __future__ import annotations

from dataclasses import asdict
from html import escape
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.backtest.page import definitions, table, whole_page
from streams.backtest.svg import Bar, Line, intervals
from streams.history.study import SURE, Category, Study

_HEADS = ("category", "offers", "price moved", "units of these", "elasticity", "")


def as_json(study: Study) -> dict[str, Any]:
    """Give everything; an elasticity that is not known is null."""
    said = asdict(study)
    for one, category in zip(said["categories"], study.categories, strict=True):
        found = category.elasticity
        one["elasticity"] = None if found is None else {n: getattr(found, n) for n in ("value", "lower", "upper")}
    return said


def headline(study: Study) -> str:
    """What comes of it, in one sentence."""
    known = [one for one in study.categories if one.elasticity is not None]
    count = len(study.categories)
    if not known:
        return "This history does not say how demand answers prices: nothing is claimed."
    sure = [one for one in known if one.elasticity is not None and one.elasticity.lower > 1.0]
    return (
        f"This history says how demand answers prices in {len(known)} of {count} categories; in {len(sure)} of them an "
        "elasticity above 1 is shown, as a price that is worth finding needs."
    )


def print_study(study: Study, console: Console) -> None:
    """Print everything."""
    console.print(Text(headline(study), "bold"))
    for name, fact in _facts(study).items():
        console.print(Text(f"{name}: {fact}"))
    shown = Table(*_HEADS, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for one in study.categories:
        shown.add_row(*(Text(cell) for cell in _cells(one)))
    console.print(shown)
    for warning in study.warnings:
        console.print(Text(f"! {warning}", "yellow"))


def page(study: Study) -> str:
    """Write a page that needs nothing else."""
    kind = "warning" if study.warnings else "fine"
    warnings = "".join(f"<li>{escape(warning)}</li>" for warning in study.warnings)
    lines = [_line(one) for one in study.categories if one.elasticity is not None]
    told = f"<h3>{escape(headline(study))}</h3>{definitions(_facts(study))}<ul>{warnings}</ul>"
    body = (
        f'<div class="card {kind}">{told}</div><h2>Elasticity by category</h2>'
        f"<figure>{intervals(lines, 'Elasticity by category', whole=1.0)}<figcaption>1 % dearer sells so many percent "
        "less; 95 % intervals over offers. Dashed: 1, below which a rise always pays, and something is wrong."
        f"</figcaption></figure>{table(_HEADS, map(_cells, study.categories))}"
        "<h2>What it means</h2><p>How an offer sells on a day beside what it usually sells, and beside what others of "
        "its category sell on that day. Such a history has no probabilities of prices: whether they were set by "
        "chance, or followed a demand that nobody logged, it cannot say. Only prices that are tried at random can.</p>"
    )
    return whole_page("What this history can teach", body, "Made by <code>repricer learn-from-history</code>.")


def _facts(study: Study) -> dict[str, str]:
    weekdays = ", ".join(f"{name[:2]} {share:.2f}" for name, share in study.weekdays.items())
    return {
        "History": f"{study.first_day} to {study.last_day}, {study.orders:,} lines, {study.units:,.0f} units, "
        f"{study.offers:,} offers; {study.cancelled:,} lines of cancellations and returns",
        "Left out": f"{study.days_without_stock:.1%} of the days of offers without stock, "
        f"{study.days_of_two_prices:.1%} with two prices, {study.days_off_sale:.1%} after an offer was gone",
        "Weekdays beside a mean day": weekdays,
    }


def _cells(one: Category) -> tuple[str, ...]:
    found = one.elasticity
    said = "not known" if found is None else f"{found.value:.2f} ({found.lower:.2f} to {found.upper:.2f})"
    remark = one.obstacle or ("prices followed demand" if one.followed > SURE else "")
    return one.name, f"{one.offers:,}", f"{one.moved:,}", f"{one.units:,.0f}", said, remark


def _line(one: Category) -> Line:
    found = one.elasticity
    assert found is not None
    told = f"{one.name}: {found.value:.2f} ({found.lower:.2f} to {found.upper:.2f})"
    return Line(one.name[:24], [Bar(told, "model", found.value, found.lower, found.upper)])
