"""What the Q-function sees: an ordered list of features, and the function that computes them.

All inputs of one offer are relative to its own scale (counts as logarithms, prices as log ratios, profit as a
share of the price), so that one network serves a screw and a refrigerator. What was sold at which price is in the
offer's tally; what a planner expects who believes that is in `outlook`, and the network learns a correction of it.
Decayed sums (`decayed_demand`) say what happened lately. Written for one offer; `featurize` maps it over the batch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.decayed_demand import (
    HALF_LIVES_DAYS,
    PRIOR_ELASTICITY,
    PRIOR_INFORMATION,
    STATISTICS,
    Elasticity,
    elasticity,
    log_conversion,
    pace,
    planned_gain,
    surprise,
    variance,
)
from pricing_core.demand import belief
from pricing_core.demand.belief import Tally
from pricing_core.outlook import Kind, Outlook, Standing, look_ahead, prior_of

MOVES_BP = (-1000, -500, -250, -100, 0, 100, 250, 500, 1000)
"""Candidate moves from the current price, basis points. The one in the middle is to hold."""
HOLD = len(MOVES_BP) // 2

CLIP = 4.0
"""Scaled features are cut here: outside of the training range the network sees its border."""


class Feature(NamedTuple):
    """One number that the network sees: the value in ``unit`` divided by ``scale``, cut at ±`CLIP`."""

    name: str
    unit: str
    scale: float


class FeatureInputs(NamedTuple):
    """N offers, A candidates; float32 unless said."""

    sums: Array
    """[N, H, K] decayed sums, decayed to now."""
    log_price: Array
    """[N] ln(current / reference)."""
    profit_slope: Array
    """[N] a: what is left of one unit of price after tax and commission."""
    profit_offset: Array
    """[N] b / current: cost and fees of one unit. Unit profit at p, relative to current: a·p/current - b/current."""
    rival_log_gap: Array
    """[N] ln(cheapest in-stock rival / current); 0 if none is known."""
    rival_known: Array
    """[N] 1 if a rival was seen lately, else 0."""
    rival_age_days: Array
    """[N] age of that observation."""
    on_hand: Array
    """[N] units; -1 if unknown."""
    days_since_change: Array
    """[N] since our last price change."""
    days_known: Array
    """[N] since the first event of the offer."""
    log_ratio: Array
    """[N, A] ln(candidate / current)."""
    legal: Array
    """bool [N, A]."""
    tally: Tally
    """Of N offers."""
    counts_shoppers: Array
    """[N] 1 if the tally's exposure is impressions, 0 if it is days."""
    salvage_offset: Array
    """[N] as ``profit_offset``, of a unit that would be left over when the season ends."""
    days_left: Array
    """[N] until then; inf if it does not end."""
    expected_elasticity: Array
    """[N] of offers like these, before their own sales say."""
    expected_units: Array
    """[N] of a day at the reference price, before they say; `outlook.NO_GUESS` if nobody expects any."""


def _per_half_life() -> tuple[Feature, ...]:
    features: list[Feature] = []
    for days in HALF_LIVES_DAYS:
        h = f"{days:.0f}d"
        features += [
            Feature(f"impressions_{h}", "ln(1 + count)", 4.0),
            Feature(f"units_{h}", "ln(1 + count)", 3.0),
            Feature(f"conversion_{h}", "ln(units + 1) / (impressions + 30)), from 1/30", 1.0),
            Feature(f"shown_price_{h}", "ln(mean price by impressions / current)", 0.1),
            Feature(f"paid_price_{h}", "ln(mean price by units / current)", 0.1),
            Feature(f"price_spread_{h}", "standard deviation of ln price", 0.1),
            Feature(f"elasticity_{h}", "estimate minus prior", 1.0),
            Feature(f"information_{h}", "ln(1 + information / prior information)", 1.5),
            Feature(f"pace_{h}", "ln(1 + units a day)", 2.0),
        ]
    return tuple(features)


FEATURES: tuple[Feature, ...] = (
    *_per_half_life(),
    Feature("belief", "ln(mean elasticity / prior)", 0.3),
    Feature("belief_spread", "standard deviation of ln elasticity", 0.2),
    Feature("belief_slope", "fall of ln demand by ln price here, less the prior elasticity", 1.0),
    Feature("belief_slope_spread", "standard deviation of it", 0.5),
    Feature("belief_units", "ln(1 + units expected of a day)", 2.0),
    Feature("belief_periods", "ln(1 + periods seen lately)", 2.0),
    Feature("dispersion", "ln(variance / mean of units)", 1.0),
    Feature("surprise_1d", "ln(units sold + 1) / (units expected + 1))", 0.7),
    Feature("surprise_7d", "ln(units sold + 1) / (units expected + 1))", 0.7),
    Feature("acceleration_1d", "ln ratio of pace to the 30-day pace", 1.0),
    Feature("acceleration_7d", "ln ratio of pace to the 30-day pace", 1.0),
    Feature("click_rate", "ln((clicks + 1) / (impressions + 10)), from 1/10", 1.0),
    Feature("impressions_known", "0 or 1", 1.0),
    Feature("log_price", "ln(current / reference)", 0.3),
    Feature("margin", "unit profit / net price", 0.3),
    Feature("distance_to_mark_up", "ln(monopoly price at the estimate / current)", 0.3),
    Feature("rival_gap", "ln(cheapest rival / current)", 0.15),
    Feature("rival_known", "0 or 1", 1.0),
    Feature("rival_age", "days", 7.0),
    Feature("stock_known", "0 or 1", 1.0),
    Feature("stock", "ln(1 + units)", 4.0),
    Feature("cover", "ln(1 + days of stock at the 7-day pace)", 3.0),
    Feature("season", "0 or 1: the stock is to be sold by a day", 1.0),
    Feature("pressure", "ln of stock to the units expected until then", 1.0),
    Feature("since_change", "ln(1 + days)", 2.0),
    Feature("known", "ln(1 + days)", 2.0),
)

CANDIDATE_FEATURES: tuple[Feature, ...] = (
    Feature("log_ratio", "ln(candidate / current)", 0.05),
    Feature("log_ratio_squared", "square of it", 0.005),
    Feature("margin_at", "unit profit / net price at the candidate", 0.3),
    Feature("plan_prior", "profit over hold, at the prior elasticity", 0.1),
    Feature("plan_7d", "profit over hold, at the 7-day elasticity", 0.1),
    Feature("plan_30d", "profit over hold, at the 30-day elasticity", 0.1),
    Feature("beyond_mark_up", "ln(candidate / monopoly price at the estimate)", 0.3),
    Feature("rival_gap_at", "ln(cheapest rival / candidate), 0 if unknown", 0.15),
    Feature("cheapest_at", "tanh of that gap in units of 2 %", 1.0),
    Feature("novelty", "distance from the mean shown price, in spreads", 2.0),
    Feature("plan", "profit over hold, as the belief expects", 0.1),
    Feature("doubt", "standard deviation of that", 0.1),
    Feature("lesson", "share of profit that a day there saves on each later day, by what it teaches", 0.002),
)


class Seen(NamedTuple):
    """What the Q-function sees of N offers. Finite for every finite input."""

    state: Array
    """float32 [N, F] in the order of `FEATURES`."""
    candidates: Array
    """float32 [N, A, C] in the order of `CANDIDATE_FEATURES`."""
    plan: Array
    """float32 [N, A], `outlook.Outlook.worth`: as the planner says it, neither scaled nor cut."""


def featurize(inputs: FeatureInputs, *, seasonal: bool = False) -> Seen:
    """Compute what the network sees of N offers; the plan looks at ``days_left`` if ``seasonal``."""
    if inputs.sums.shape[1:] != (len(HALF_LIVES_DAYS), len(STATISTICS)):
        raise ValueError(f"sums: expected [N, {len(HALF_LIVES_DAYS)}, {len(STATISTICS)}], got {inputs.sums.shape}")
    return seen_of(inputs, outlook(inputs, seasonal=seasonal))


def seen_of(inputs: FeatureInputs, expected: Outlook) -> Seen:
    """Compute the same from what `outlook` says."""
    return Seen(*jax.vmap(_featurize_one)(inputs, expected), expected.worth)


def outlook(inputs: FeatureInputs, *, seasonal: bool = False) -> Outlook:
    """Say what the belief expects of the candidates of N offers. Arguments as for `featurize`."""

    def shoppers_a_day(sums: Array, known: Array) -> Array:
        return pace(sums, known, 1, STATISTICS.index("impressions"))

    shoppers = jax.vmap(shoppers_a_day)(inputs.sums, inputs.days_known)
    standing = Standing(
        log_price=inputs.log_price,
        profit_slope=jnp.maximum(inputs.profit_slope, 1e-3),
        profit_offset=inputs.profit_offset,
        salvage_offset=inputs.salvage_offset,
        exposure=jnp.where(inputs.counts_shoppers > 0, shoppers, 1.0),
        stock=jnp.where(inputs.on_hand >= 0, inputs.on_hand, jnp.inf),
        days_left=inputs.days_left,
    )
    prior = prior_of(Kind(*(getattr(inputs, name) for name in Kind._fields)))
    return look_ahead(inputs.tally, prior, standing, inputs.log_ratio, seasonal=seasonal)


def _featurize_one(offer: FeatureInputs, expected: Outlook) -> tuple[Array, Array]:
    estimates = [elasticity(offer.sums[h]) for h in range(len(HALF_LIVES_DAYS))]
    mark_up = _log_mark_up(offer, estimates[-1].value)
    state = [value for h, e in enumerate(estimates) for value in _memory(offer, h, e)]
    state += [*_belief(offer, expected), *_demand(offer, estimates[-1].value), *_situation(offer, mark_up, expected)]
    each = jax.vmap(lambda log_ratio: jnp.stack(_candidate(offer, estimates, mark_up, log_ratio)))(offer.log_ratio)
    planned = jnp.stack([expected.gain, expected.doubt, expected.lesson], axis=1)
    candidates = jnp.concatenate([each, planned], axis=1)
    return _scaled(jnp.stack(state), FEATURES), _scaled(candidates, CANDIDATE_FEATURES)


def _scaled(values: Array, features: tuple[Feature, ...]) -> Array:
    scales = jnp.asarray([f.scale for f in features], jnp.float32)
    return jnp.clip(values / scales, -CLIP, CLIP)


def _memory(offer: FeatureInputs, h: int, estimate: Elasticity) -> list[Array]:
    impressions, _, units, x1, _, units_x = offer.sums[h]
    return [
        jnp.log1p(impressions),
        jnp.log1p(units),
        log_conversion(offer.sums[h]),
        jnp.where(impressions > 0, x1 / jnp.maximum(impressions, 1e-6) - offer.log_price, 0.0),
        jnp.where(units > 0, units_x / jnp.maximum(units, 1e-6) - offer.log_price, 0.0),
        jnp.sqrt(variance(offer.sums[h])),
        estimate.value - PRIOR_ELASTICITY,
        jnp.log1p(estimate.information / PRIOR_INFORMATION),
        jnp.log1p(pace(offer.sums, offer.days_known, h)),
    ]


def _belief(offer: FeatureInputs, expected: Outlook) -> list[Array]:
    over = belief.dispersion(jax.tree.map(lambda part: part[None], offer.tally))[0]
    return [
        expected.elasticity,
        expected.elasticity_spread,
        expected.slope - PRIOR_ELASTICITY,
        expected.slope_spread,
        jnp.log1p(expected.units),
        jnp.log1p(offer.tally.periods),
        jnp.log(over),
    ]


def _demand(offer: FeatureInputs, epsilon: Array) -> list[Array]:
    slow = offer.sums[-1]
    click_rate = jnp.log((slow[1] + 1.0) / (slow[0] + 10.0)) + math.log(10.0)
    paces = [pace(offer.sums, offer.days_known, h) + 0.1 for h in range(len(HALF_LIVES_DAYS))]
    return [
        *(surprise(offer.sums[h], slow, epsilon) for h in (0, 1)),
        *(jnp.log(paces[h] / paces[-1]) for h in (0, 1)),
        jnp.where(slow[0] > 0, click_rate, 0.0),
        (slow[0] > 0).astype(jnp.float32),
    ]


def _situation(offer: FeatureInputs, mark_up: Array, expected: Outlook) -> list[Array]:
    stocked = (offer.on_hand >= 0).astype(jnp.float32)
    stock = jnp.maximum(offer.on_hand, 0.0)
    ends = jnp.isfinite(offer.days_left)
    until_then = expected.units * jnp.where(ends, offer.days_left, 0.0)
    return [
        offer.log_price,
        1.0 - offer.profit_offset / jnp.maximum(offer.profit_slope, 1e-3),
        mark_up,
        offer.rival_log_gap * offer.rival_known,
        offer.rival_known,
        offer.rival_age_days * offer.rival_known,
        stocked,
        jnp.log1p(stock),
        stocked * jnp.log1p(stock / (pace(offer.sums, offer.days_known, 1) + 0.05)),
        ends.astype(jnp.float32),
        jnp.where(ends, stocked * jnp.log((stock + 0.5) / (until_then + 0.5)), 0.0),
        jnp.log1p(offer.days_since_change),
        jnp.log1p(offer.days_known),
    ]


def _candidate(offer: FeatureInputs, estimates: list[Elasticity], mark_up: Array, log_ratio: Array) -> list[Array]:
    slope, offset = jnp.maximum(offer.profit_slope, 1e-3), offer.profit_offset
    gap = (offer.rival_log_gap - log_ratio) * offer.rival_known
    shown = offer.sums[-1, 3] / jnp.maximum(offer.sums[-1, 0], 1e-6)
    away = jnp.where(offer.sums[-1, 0] > 0, offer.log_price + log_ratio - shown, log_ratio)
    beliefs = (jnp.asarray(PRIOR_ELASTICITY), estimates[1].value, estimates[2].value)
    return [
        log_ratio,
        log_ratio**2,
        1.0 - offset / slope * jnp.exp(-log_ratio),
        *(planned_gain(log_ratio, slope, offset, e) for e in beliefs),
        log_ratio - mark_up,
        gap,
        jnp.tanh(gap / 0.02),
        away / (jnp.sqrt(variance(offer.sums[-1])) + 0.02),
    ]


def _log_mark_up(offer: FeatureInputs, epsilon: Array) -> Array:
    """ln(monopoly price / current): (o / a)·ε / (ε - 1) for ε above 1.2, where it exists and is not absurd."""
    elastic = jnp.maximum(epsilon, 1.2)
    ratio = offer.profit_offset / jnp.maximum(offer.profit_slope, 1e-3) * elastic / (elastic - 1.0)
    return jnp.clip(jnp.log(jnp.maximum(ratio, 1e-3)), -2.0, 2.0)
