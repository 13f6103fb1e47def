"""What a shop's past supports: prices that moved, how demand answered them, and what stands in the way."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl

from pricing_core.evaluation.intervals import Estimate
from pricing_core.evaluation.shared_elasticity import History, NotEnough, fit, followed_demand
from schemas.timestamps import format_ms
from schemas.topics import DAY_MS
from streams.errors import InputRefused
from streams.history.read import ORDER_LINES, POLICIES, PRICES, STOCK, read, require_names

LEAST_OFFERS = 20
"""Whose prices moved: an interval over fewer offers says little."""
LEAST_UNITS = 200.0
MOVED = 0.01
"""Standard deviation of an offer's log price from which on it counts as having moved."""
SURE = 3.0
"""t statistic from which on prices are said to have followed demand."""
ALL, ALL_OTHERS = "all", "all others"
"""Names of the one category where there is no file of policies, and of offers without one."""
GONE = 1e-3
"""Chance of as long a silence at the end as an offer has, below which it is said to have been taken off sale."""
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class Files(NamedTuple):
    """Of a shop's past."""

    orders: Path
    prices: Path | None = None
    policies: Path | None = None
    stock: Path | None = None


@dataclass(frozen=True, slots=True)
class Category:
    """What the history says of the offers of one category."""

    name: str
    offers: int
    moved: int
    """Offers whose price moved."""
    units: float
    """Of those."""
    elasticity: Estimate | None
    followed: float
    """t statistic of prices that followed demand."""
    obstacle: str | None
    """Why no elasticity is given."""


@dataclass(frozen=True, slots=True)
class Study:
    """What the history supports."""

    first_day: str
    last_day: str
    orders: int
    cancelled: int
    """Lines of cancellations and returns: what was ordered counts as demand all the same."""
    offers: int
    units: float
    days_without_stock: float
    """Share of the days of offers; their demand is not known, and they are left out."""
    days_of_two_prices: float
    """Share of the days of offers on which the price changed, left out too."""
    prices_are_paid: bool
    """There was no file of prices: they are what customers paid, and guessed where nobody bought."""
    days_off_sale: float
    """Share of the days of offers after one that had sold often was heard of last: it is gone, and left out."""
    weekdays: dict[str, float]
    """Units sold beside those of a mean day."""
    categories: list[Category]
    warnings: list[str]


class Past(NamedTuple):
    """What the files say, one row for each day of each offer on which price and demand are known."""

    orders: pl.DataFrame
    policies: pl.DataFrame | None
    days: pl.DataFrame
    """``offer``, ``day``, ``units``, ``price`` (minor units)."""
    without_stock: float
    two_prices: float
    off_sale: float
    """Shares of the days of offers that were left out."""
    prices_are_paid: bool


def read_past(files: Files, mapping: list[str], time_format: str | None) -> Past:
    """Read all files.

    Raises:
        InputRefused: A file or a line of it cannot be read, nothing was ordered, or amounts are of several currencies.
    """
    require_names(mapping)
    orders = read(ORDER_LINES, files.orders, mapping, time_format)
    prices, policies, stock = (
        None if path is None else read(kind, path, mapping, time_format)
        for kind, path in ((PRICES, files.prices), (POLICIES, files.policies), (STOCK, files.stock))
    )
    tables = [table for table in (orders, prices, policies) if table is not None]
    currencies = sorted({code for table in tables for code in table["currency"].unique()})
    if len(currencies) > 1:
        raise InputRefused(f"amounts are of several currencies: {', '.join(currencies)}; take one at a time")
    placed = orders.filter(pl.col("type") == "placed")
    if not len(placed):
        raise InputRefused(f"{files.orders}: no line was placed")
    days, two_prices = _days(placed, prices)
    days, without = _stocked(days, stock)
    days, off_sale = _on_sale(days, [table for table in (orders, prices, stock) if table is not None])
    return Past(orders, policies, days, without, two_prices, off_sale, prices is None)


def _days(placed: pl.DataFrame, prices: pl.DataFrame | None) -> tuple[pl.DataFrame, float]:
    """One row for each day of each offer: units and price; and the share of days that had two prices."""
    sold = placed.group_by("offer", "day").agg(units=pl.col("quantity").sum(), paid=pl.col("line_total").sum())
    last = int(placed["day"].max())  # type: ignore[arg-type]  # integers
    if prices is None:
        of_day = sold.select("offer", "day", price=pl.col("paid") / pl.col("units"), clean=pl.lit(value=True))
    else:
        at_midnight = (pl.len() == 1) & (pl.col("time").first() % DAY_MS == 0)
        price = pl.col("price").last().cast(pl.Float64)
        of_day = prices.sort("time").group_by("offer", "day").agg(price=price, clean=at_midnight)
    known = (
        pl.concat([table.select("offer", "day") for table in (sold, of_day)]).group_by("offer").agg(pl.col("day").min())
    )
    every = known.select("offer", day=pl.int_ranges("day", last + 1)).explode("day")
    table = every.join(sold, ["offer", "day"], "left").join(of_day, ["offer", "day"], "left").sort("offer", "day")
    table = table.with_columns(
        pl.col("units").fill_null(0).cast(pl.Float64),
        price=pl.col("price").forward_fill().over("offer"),
    )
    table = table.with_columns(before=pl.col("price").shift().over("offer"))
    table = table.filter(pl.col("price").is_not_null() & (pl.col("price") > 0))
    changed = (~pl.col("clean") & (pl.col("price") != pl.col("before"))).fill_null(value=False)
    share = float(table.select(changed.mean()).item() or 0.0)
    return table.filter(~changed).select("offer", "day", "units", "price"), share


def _stocked(days: pl.DataFrame, stock: pl.DataFrame | None) -> tuple[pl.DataFrame, float]:
    """Without days on which, or before which, the last count was none."""
    if stock is None:
        return days, 0.0
    lowest = stock.sort("time").group_by("offer", "day").agg(low=pl.col("on_hand").min(), last=pl.col("on_hand").last())
    known = days.join(lowest, ["offer", "day"], "left").sort("offer", "day")
    known = known.with_columns(last=pl.col("last").forward_fill().over("offer"))
    started_empty = pl.col("last").shift().over("offer") == 0
    empty = ((pl.col("low") == 0) | started_empty).fill_null(value=False)
    share = float(known.select(empty.mean()).item() or 0.0)
    return known.filter(~empty).select("offer", "day", "units", "price"), share


def _on_sale(days: pl.DataFrame, said: list[pl.DataFrame]) -> tuple[pl.DataFrame, float]:
    """Without the days since an offer was heard of last, if it had sold too often before for such a silence.

    Of n days with sales in d days until then and g after it, all are among the first d by chance with (d / (d + g))^n,
    if every day is as good as another. A silence that begins with another price, or with a count, is an answer to that.
    """
    last = pl.concat([table.select("offer", "day") for table in said]).group_by("offer").agg(last=pl.col("day").max())
    known = days.join(last, "offer", "left")
    until = (pl.col("day") <= pl.col("last")).sum().over("offer")
    sold = (pl.col("units") > 0).sum().over("offer")
    chance = (until / pl.len().over("offer")).cast(pl.Float64) ** sold
    sold_last = pl.col("units").filter(pl.col("day") == pl.col("last")).sum().over("offer") > 0
    gone = sold_last & (chance < GONE) & (pl.col("day") > pl.col("last"))
    known = known.with_columns(gone=gone).sort("offer", "day")
    share = float(known["gone"].mean() or 0.0)  # type: ignore[arg-type]  # of booleans
    return known.filter(~pl.col("gone")).select("offer", "day", "units", "price"), share


def study(past: Past) -> Study:
    """Look at what was read."""
    orders, policies, days, without, two_prices, off_sale, paid = past
    of_offer = pl.DataFrame({"offer": days["offer"].unique().sort()})
    if policies is not None:
        of_offer = of_offer.join(policies.select("offer", "category").unique("offer"), "offer", "left")
    else:
        of_offer = of_offer.with_columns(category=pl.lit(None, pl.String))
    known = days.join(of_offer, "offer").with_columns(
        pl.col("category").fill_null(ALL_OTHERS if policies is not None else ALL)
    )
    usual = pl.col("price").median().over("offer")
    known = known.with_columns(log_price=(pl.col("price") / usual).log())
    known = known.with_columns(spread=pl.col("log_price").std().over("offer").fill_null(0.0))
    categories = [_category(str(name), part) for (name,), part in known.group_by("category", maintain_order=True)]
    categories.sort(key=lambda one: -one.units)
    first, last = (int(getattr(orders["day"], end)()) for end in ("min", "max"))
    placed = orders.filter(pl.col("type") == "placed")
    return Study(
        first_day=format_ms(first * DAY_MS)[:10],
        last_day=format_ms(last * DAY_MS)[:10],
        orders=len(placed),
        cancelled=len(orders) - len(placed),
        offers=len(of_offer),
        units=float(placed["quantity"].sum()),
        days_without_stock=without,
        days_of_two_prices=two_prices,
        days_off_sale=off_sale,
        prices_are_paid=paid,
        weekdays=_weekdays(placed, first, last),
        categories=categories,
        warnings=_warnings(categories, paid=paid, without=without, off_sale=off_sale, days=last - first + 1),
    )


def _category(name: str, part: pl.DataFrame) -> Category:
    moving = part.filter(pl.col("spread") > MOVED)
    offers, moved, units = part["offer"].n_unique(), moving["offer"].n_unique(), float(moving["units"].sum())
    if moved < LEAST_OFFERS or units < LEAST_UNITS:
        needed = f"needed: {LEAST_OFFERS} and {LEAST_UNITS:.0f}"
        why = f"the prices of {moved} offers moved and these sold {units:,.0f}; {needed}"
        return Category(name, offers, moved, units, None, 0.0, why)
    seen = History(
        moving["offer"].rank("dense").to_numpy().astype(np.int64) - 1,
        moving["day"].rank("dense").to_numpy().astype(np.int64) - 1,
        moving["log_price"].to_numpy(),
        moving["units"].to_numpy(),
    )
    try:
        found = fit(seen)
    except NotEnough as error:
        return Category(name, offers, moved, units, None, 0.0, str(error))
    estimate = Estimate(found.elasticity, found.lower, found.upper, float(moved), len(moving))
    return Category(name, offers, moved, units, estimate, followed_demand(seen, found.expected), None)


def _weekdays(placed: pl.DataFrame, first: int, last: int) -> dict[str, float]:
    """Units of each weekday beside those of a mean day; 1970 began on a Thursday."""
    sold = placed["quantity"].to_numpy().astype(np.float64)
    of_day = np.bincount(placed["day"].to_numpy() - first, sold, last - first + 1)
    weekday = (np.arange(first, last + 1) + 3) % 7
    mean = of_day.mean()
    return {name: float(of_day[weekday == i].mean() / mean) for i, name in enumerate(WEEKDAYS) if (weekday == i).any()}


def _warnings(categories: list[Category], *, paid: bool, without: float, off_sale: float, days: int) -> list[str]:
    warnings = []
    if paid:
        warnings.append(
            "there is no file of prices: they are what customers paid, and the last one paid where nobody bought. "
            "Discounts for single customers look like prices, and elasticities are not to be trusted: give --prices"
        )
    for one in categories:
        if one.elasticity is not None and one.followed > SURE:
            warnings.append(
                f"{one.name}: prices rose after good days and fell after bad ones (t = {one.followed:.1f}): the "
                "elasticity is found too low, and only prices that are tried at random will tell"
            )
        if one.elasticity is not None and one.elasticity.upper < 1.0:
            warnings.append(
                f"{one.name}: an elasticity surely below 1 would let prices rise without end: something else than the "
                "price moved these sales"
            )
    if without > 0.0:
        warnings.append(
            f"{without:.1%} of the days of offers were without stock: what would have sold then is not known"
        )
    if off_sale > 0.0:
        warnings.append(
            f"{off_sale:.1%} of the days of offers came after one that had sold often was heard of last: it is taken "
            "for gone; if it was on sale, give --stock"
        )
    if days < 28:
        warnings.append(f"{days} days are too few to tell a season from an answer to prices")
    return warnings
