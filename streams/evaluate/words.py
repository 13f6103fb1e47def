"""What the page says in plain words."""

from __future__ import annotations

from typing import NamedTuple


class Words(NamedTuple):
    """About rows whose names begin alike."""

    title: str
    story: str


ROWS = {
    "finite_logged": Words(
        "Stock with a deadline, sales known",
        "So many units to sell by a date, after 120 periods of sales at many prices.",
    ),
    "finite_cold": Words(
        "Stock with a deadline, new", "So many units to sell by a date, and no sales yet to learn from."
    ),
    "ferreira_500_": Words(
        "Unknown product, 500 shoppers",
        "Four prices, one shopper at a time, stock for a quarter or a half of them, and nothing known of demand "
        "(the example of Ferreira, Simchi-Levi and Wang, 2018).",
    ),
    "ferreira_5000_": Words(
        "Unknown product, 5,000 shoppers",
        "The same with ten times as many shoppers and units: time to learn.",
    ),
    "short": Words(
        "Short seasons of all sorts", "New, a few units, a date soon: each with its own stock, time, cost and demand."
    ),
    "drifting_regime": Words(
        "Demand jumps once", "A steady seller whose demand changes at once, on a day that nobody announces."
    ),
    "drifting_walk": Words("Demand drifts", "A steady seller whose demand wanders slowly."),
    "logged": Words(
        "A long log of one rule",
        "Thousands of periods of one mark-up rule with some random prices; then 100 periods to do better.",
    ),
    "reference": Words(
        "Shoppers remember prices", "A price above what shoppers remember costs more sales than one below wins."
    ),
    "substitutes": Words("Five products, one shelf", "A family of five that take shoppers from one another."),
    "rivals": Words("Rivals that answer", "One to three rivals who stay, match, undercut, or raise now and then."),
    "endogenous": Words(
        "A log that misleads",
        "Prices went up when demand was high: in the log, dear looks popular. Costs moved prices, too.",
    ),
    "categories": Words(
        "New products of a known category",
        "No sales yet, but the category's demand is known: the first decisions count.",
    ),
}


def words(row: str) -> Words:
    """Give the words about a row, with its number of units where that is in its name."""
    begins = max((start for start in ROWS if row.startswith(start)), key=len)
    title, story = ROWS[begins]
    rest = row.removeprefix(begins).strip("_")
    if not rest:
        return Words(title, story)
    return Words(f"{title}, {rest} units" + (" each" if "." in rest else ""), story)
