"""I1: what the state says of every offer equals a recomputation from the sources."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

import polars as pl

from schemas.topics import CLICKS, INVENTORY, ORDERS, PRICE_APPLIED, TICKS
from streams.verify.changelog import SALES, SHOPPERS, SOURCES
from streams.verify.facts import Facts, counting
from streams.verify.report import Check

OFFER = ["partition", "key"]
KEYED = tuple(name for name in SOURCES if name != TICKS.name)


class Part(NamedTuple):
    """Columns of the state that come from one source alone."""

    topic: str
    defaults: dict[str, int]
    """What an offer has of which the source says nothing, by column."""
    expected: pl.DataFrame
    """The recomputation, by offer."""


def checks(facts: Facts) -> Iterator[Check]:
    """Totals, last values, and whether every offer is there."""
    rows = {name: counting(facts.sources[name], facts.settings, facts.partitions) for name in KEYED}
    sales = Part(ORDERS.name, dict.fromkeys(SALES, 0), _sales(rows[ORDERS.name]))
    shoppers = Part(CLICKS.name, dict.fromkeys(SHOPPERS, 0), _shoppers(rows[CLICKS.name]))
    yield _compare(facts, "totals", sales, shoppers)
    stock = Part(INVENTORY.name, {"on_hand": -1, "stock_at": 0}, _stock(rows[INVENTORY.name]))
    price = Part(PRICE_APPLIED.name, {"price": 0, "price_version": 0}, _prices(rows[PRICE_APPLIED.name]))
    yield _compare(facts, "last_values", stock, price)
    yield _offers(facts, rows)


def _sales(orders: pl.DataFrame) -> pl.DataFrame:
    """Exact sums of order lines: pieces and money by kind, lines placed, lines of any kind."""
    kinds = ("placed", "cancelled", "returned")
    units = [pl.col("quantity").filter(pl.col("type") == kind).sum().alias(f"units_{kind}") for kind in kinds]
    money = [pl.col("line_total").filter(pl.col("type") == kind).sum().alias(f"amount_{kind}") for kind in kinds]
    counts = [
        (pl.col("type") == "placed").sum().cast(pl.Int64).alias("orders"),
        pl.len().cast(pl.Int64).alias("order_rows"),
    ]
    return orders.group_by(OFFER).agg(*units, *money, *counts)


def _shoppers(clicks: pl.DataFrame) -> pl.DataFrame:
    kinds = {"impressions": "impression", "clicks": "click", "add_to_carts": "add_to_cart"}
    return clicks.group_by(OFFER).agg(
        pl.col("count").filter(pl.col("kind") == kind).sum().alias(total) for total, kind in kinds.items()
    )


def _stock(inventory: pl.DataFrame) -> pl.DataFrame:
    """The count of the latest event time; of equal times the one that came last."""
    timed = inventory.with_columns(stock_at=to_ms(inventory["occurred_at"])).filter(pl.col("stock_at") >= 0)
    return timed.sort("stock_at", "offset").group_by(OFFER).agg(pl.col("on_hand", "stock_at").last())


def _prices(answers: pl.DataFrame) -> pl.DataFrame:
    """What the catalog said with its highest version, and of one version with its latest clock."""
    timed = answers.with_columns(answered_at=to_ms(answers["applied_at"])).filter(pl.col("answered_at") >= 0)
    ordered = timed.sort("version", "answered_at", "offset").group_by(OFFER)
    return ordered.agg(pl.col("price").last(), pl.col("version").last().alias("price_version"))


def _compare(facts: Facts, name: str, *parts: Part) -> Check:
    """Compare columns of the state with what the sources say."""
    checked, found, notes = 0, [], []
    for topic, defaults, expected in parts:
        whole = [p for p in range(facts.partitions) if facts.sources[topic].is_whole(p)]
        notes += facts.sources[topic].expired
        state = facts.state.filter(pl.col("partition").is_in(whole))
        both = state.join(expected, on=OFFER, how="left", suffix="_expected")
        both = both.with_columns(pl.col(f"{column}_expected").fill_null(value) for column, value in defaults.items())
        checked += len(both) * len(defaults)
        for column in defaults:
            wrong = both.filter(pl.col(column) != pl.col(f"{column}_expected")).sort(OFFER)
            found += [
                f"{_name(key)} in partition {p}: {column} is {is_}, by {topic} it should be {should}"
                for p, key, is_, should in wrong.select(*OFFER, column, f"{column}_expected").iter_rows()
            ]
    return Check.of(name, "I1", checked, found, notes)


def _offers(facts: Facts, rows: dict[str, pl.DataFrame]) -> Check:
    """Every offer that a record founded has a row, and every row was founded by a record."""
    heard_of = pl.concat(frame.select(OFFER) for frame in rows.values()).unique()
    missing = heard_of.join(facts.state, on=OFFER, how="anti").sort(OFFER)
    whole = [p for p in range(facts.partitions) if not facts.expired(KEYED, p)]
    unfounded = facts.state.select(OFFER).filter(pl.col("partition").is_in(whole)).join(heard_of, on=OFFER, how="anti")
    found = [f"{_name(key)} has records in partition {p} and no row in the state" for p, key in missing.iter_rows()]
    policies = facts.sources["offer-policies"]
    notes = facts.expired(KEYED)
    if policies.holes:
        notes.append(
            "offer-policies was compacted: an offer without other records may have been founded by one that is gone"
        )
    else:
        found += [
            f"{_name(key)} has a row in partition {p} and no records" for p, key in unfounded.sort(OFFER).iter_rows()
        ]
    return Check.of("offers", "I1", len(heard_of) + len(facts.state), found, notes)


def to_ms(texts: pl.Series) -> pl.Series:
    """RFC 3339 texts to milliseconds since the epoch, cut and not rounded; null where they are none."""
    times = texts.str.to_datetime("%+", time_unit="us", time_zone="UTC", strict=False)
    ms = times.dt.timestamp("us") // 1000
    return (
        pl.Series(
            [_one_to_ms(text) if value is None else value for text, value in zip(texts, ms, strict=True)],
            dtype=pl.Int64,
        )
        if ms.null_count()
        else ms
    )


def _one_to_ms(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return int(moment.timestamp() * 1_000_000) // 1000


def _name(key: bytes) -> str:
    return key.decode("ascii", "replace")
