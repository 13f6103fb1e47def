"""What a model would do in a shop of the demand that a history was fitted with: an opinion, and no evidence."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import polars as pl
from rich.console import Console
from rich.text import Text

from pricing_core.evaluation import policies
from pricing_core.evaluation.fitted_demand import Sales, fit
from pricing_core.evaluation.intervals import normal_interval
from pricing_core.evaluation.roll_out import DAYS, Offers, fitted_shops, paired_gains
from pricing_core.model_file import Model
from pricing_core.offer_numbers import expectations
from streams.errors import InputRefused
from streams.history.read import POLICIES
from streams.history.study import LEAST_OFFERS, MOVED, Files, Past
from streams.replay.policy_file import read_policies

SEED = 20_260_101
MOST_OFFERS = 512
OPINION = (
    "A history without probabilities of prices is no evidence for a model. This is what the demand that was fitted to "
    "it believes, and it is as true as that demand; the model begins there with what the policies expect of the offers."
)


@dataclass(frozen=True, slots=True)
class Opinion:
    """Of the fitted demand."""

    model: str
    offers: int
    days: int
    elasticity: float
    """Mean over the offers."""
    value: float
    """Gain over holding the last price, as a share of what that earns."""
    lower: float
    upper: float
    """Interval over offers, 95 %: it knows nothing of the error of the fitted demand."""

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {"evidence": "none: roll-out on the fitted demand", **asdict(self)}


def roll_out(files: Files, mapping: list[str], time_format: str | None, past: Past, model: Model) -> Opinion:
    """Let a model and the last price each play the same weeks in the shops of the offers that sold most.

    Raises:
        InputRefused: There are no policies (they say what a piece costs), or prices of too few offers moved.
    """
    if files.policies is None:
        raise InputRefused("what would a price have earned? --policies says what a piece costs, and its bounds")
    prefix = f"{POLICIES.name}."
    said = [text.removeprefix(prefix) for text in mapping if text.startswith(prefix)]
    policy = read_policies(files.policies, said, time_format=time_format)
    known = past.days.filter(pl.col("offer").is_in([key.decode() for key in policy]))
    spread = pl.col("price").log().std().over("offer")
    known = known.filter(spread > MOVED)
    sold = known.group_by("offer").agg(pl.col("units").sum(), pl.col("price").last())
    sold = sold.filter(pl.col("units") > 0).sort("units", "offer", descending=[True, False]).head(MOST_OFFERS)
    if len(sold) < LEAST_OFFERS:
        raise InputRefused(f"{len(sold)} offers with a policy had prices that moved, {LEAST_OFFERS} are needed")
    row = np.concatenate([policy[offer.encode()] for offer in sold["offer"]])
    places = sold.select("offer", place=pl.int_range(pl.len()))
    seen = known.join(places, "offer")
    place, reference = seen["place"].to_numpy().astype(np.int64), row["list_price"].astype(np.float64)
    log_price = np.log(seen["price"].to_numpy() / reference[place])
    demand = fit(Sales(place, log_price, np.ones(len(seen)), seen["units"].to_numpy()), len(sold))
    low, high = row["low"].astype(np.float64), row["high"].astype(np.float64)
    price = np.clip(sold["price"].to_numpy(), low, high)
    slope, offset = row["profit_slope"], row["profit_offset"]
    days, uncounted = np.ones(len(sold)), np.zeros(len(sold))
    offers = Offers(reference, price, slope, offset, low, high, days, uncounted)
    shops = fitted_shops(offers, demand, seed=SEED)
    expected = {name: jnp.asarray(said, jnp.float32) for name, said in expectations(row).items()}
    shops = shops._replace(merchant=shops.merchant._replace(**expected))
    try:
        gains = paired_gains(policies.model(model.params, model.epsilon), policies.hold, shops, seed=SEED)
    except ValueError as error:
        raise InputRefused(str(error)) from error
    mean = float(gains.mean())
    lower, upper = normal_interval(mean, (gains - mean) / len(gains), 0.95)
    return Opinion(model.label, len(sold), DAYS, float(demand.elasticity.mean()), mean, lower, upper)


def print_opinion(found: Opinion, console: Console) -> None:
    """The same for a terminal."""
    console.print(
        Text(
            f"{found.model} would earn {found.value:+.1%} ({found.lower:+.1%} to {found.upper:+.1%}) over holding the "
            f"last prices, in {found.days} days of {found.offers} offers of mean elasticity {found.elasticity:.2f}.",
            "bold",
        )
    )
    console.print(Text(OPINION))
