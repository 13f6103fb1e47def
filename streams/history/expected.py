"""What a history lets a shop expect of its offers before the first live decision, for their policies.

The Q-function plans under a belief, and a belief begins with what is expected: the elasticity of an offer's category,
drawn towards the usual one as far as the history leaves it open, and the units that the offer sold a month lately, at
its list price. The first own sales correct both.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from pricing_core.decayed_demand import PRIOR_ELASTICITY
from pricing_core.policy_table import ONE
from schemas.policies import LEAST_ELASTICITY_BP, MOST_ELASTICITY_BP
from streams.history.study import ALL_OTHERS, SURE, Category, Past, Study

CATEGORY_SPREAD = 0.35
"""Standard deviation of the log of an elasticity between categories."""
LATELY_DAYS = 90
LEAST_DAYS = 14
"""Of an offer; fewer say little about a month."""
_MONTH = 30
FIELDS = ("expected_elasticity_bp", "expected_monthly_units")


def policies_with_expectations(file: Path, past: Past, found: Study) -> pl.DataFrame:
    """Give the lines of a file of policies, every column as it is, with `FIELDS` behind or in the place of their own.

    Args:
        file: Which ``past`` was read from.
        past: With policies.
        found: What was found in it.
    """
    assert past.policies is not None
    lines = pl.read_csv(file, infer_schema=False)
    expected = past.policies.select("offer").join(expect(past, found), "offer", "left", maintain_order="left")
    return lines.with_columns(*(expected[name] for name in FIELDS))


def expect(past: Past, found: Study) -> pl.DataFrame:
    """Say what is expected of each offer with a policy: ``offer`` and `FIELDS`, null where the history does not say."""
    assert past.policies is not None
    offers = past.policies.unique("offer", keep="last").select("offer", "list_price", "category")
    of_category = {one.name: expected_elasticity(one) for one in found.categories}
    elasticity = pl.col("category").fill_null(ALL_OTHERS).replace_strict(of_category, default=None)
    offers = offers.with_columns(elasticity=elasticity.cast(pl.Float64))
    lately = past.days.filter(pl.col("day") > int(past.orders["day"].max()) - LATELY_DAYS)  # type: ignore[arg-type]
    sold = lately.join(offers, "offer").with_columns(
        # A day at a dearer price is less of a day.
        days=(pl.col("price") / pl.col("list_price")) ** -pl.col("elasticity").fill_null(PRIOR_ELASTICITY)
    )
    sold = sold.group_by("offer").agg(pl.col("units").sum(), pl.col("days").sum(), seen=pl.len())
    monthly = (_MONTH * pl.col("units") / pl.col("days")).round().cast(pl.Int64)
    return offers.join(sold, "offer", "left").select(
        "offer",
        expected_elasticity_bp=(ONE * pl.col("elasticity")).round().cast(pl.Int64),
        expected_monthly_units=pl.when((pl.col("seen") >= LEAST_DAYS) & (monthly >= 1)).then(monthly),
    )


def expected_elasticity(one: Category) -> float | None:
    """Of a category; None where its history says nothing, or its prices followed demand: that one is too low."""
    if one.elasticity is None or one.followed > SURE or one.elasticity.value <= 0.0:
        return None
    found = one.elasticity
    spread = (found.upper - found.lower) / (2 * 1.96) / found.value
    weights = np.array([spread**-2, CATEGORY_SPREAD**-2])
    between = float(np.exp(weights @ np.log([found.value, PRIOR_ELASTICITY]) / weights.sum()))
    return float(np.clip(between, LEAST_ELASTICITY_BP / ONE, MOST_ELASTICITY_BP / ONE))
