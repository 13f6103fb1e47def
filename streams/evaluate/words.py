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
        "Four prices, one shopper at a time, stock for a quarter or a half of them, and nothing known of demand: a long "
        "season.",
    ),
    "short": Words(
        "Short seasons of all sorts", "A few weeks, a few units, new: each with its own stock, date, cost and demand."
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

READING = (
    ("Optimum", "what somebody would earn who knew the demand exactly and planned perfectly. No real seller can."),
    (
        "Share",
        "what a policy earned, in percent of the optimum, mean of all simulated markets of the row. It sees only what a "
        "shop sees: prices, sales, stock, and costs.",
    ),
    (
        "Interval",
        "with other markets of the same kind the share would lie in this range in 95 of 100 runs. Two policies whose "
        "ranges overlap may still differ: the gain is compared market by market, with the same shoppers.",
    ),
    ("Gain", "the system's share less that of the baseline that did best in the row, in percentage points."),
    ("Must and goal", "what the system has to earn, and what it aims at. A row passes if its whole interval does."),
    (
        "Earned so far",
        "for each period, what a policy has earned until then, in percent of what the optimum had earned until then. "
        "Rising lines learn. Above 100 %: it took more at first, and pays for it later.",
    ),
)

LIMITS = (
    "The markets are simulated. They are kinder than the world: shoppers follow a curve, costs are known, prices reach "
    "them at once. Shares say which policy is better at deciding, not what a shop will earn.",
    "A policy is compared with the optimum of its market, so that holding the price may look good where the price that "
    "was asked before is already near the best one.",
    "The baselines have one setting each, the same in all rows; none was tuned for a row.",
    "The best baseline of a row is chosen after the fact, on the same markets: nobody knows it before. That errs against "
    "the system.",
    "A dash: the policy makes no sense there (no rivals to match, no cost to add to, no stock to plan), or its plan is "
    "too large to compute again and again (5,000 periods).",
)


def words(row: str) -> Words:
    """Give the words about a row, with its number of units where that is in its name."""
    begins = max((start for start in ROWS if row.startswith(start)), key=len)
    title, story = ROWS[begins]
    rest = row.removeprefix(begins).strip("_")
    if not rest:
        return Words(title, story)
    return Words(f"{title}: {rest} units" + (" a shopper" if "." in rest else ""), story)
