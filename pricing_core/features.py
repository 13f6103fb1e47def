"""What the Q-function sees: an ordered list of features, and the function that computes them.

All inputs of one offer are relative to its own scale (counts as logarithms, prices as log ratios, profit as a
share of the price), so that one network serves a screw and a refrigerator. Demand is summarised by
decayed sums; from them comes a point estimate of the price elasticity, shrunk towards a prior
(`elasticity`), and what a planner that believes it would expect at each candidate price. The network learns a
correction of that planner. Written for one offer; `featurize` maps it over the batch.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

HALF_LIVES_DAYS = (1.0, 7.0, 30.0)
STATISTICS = ("impressions", "clicks", "units", "impressions_x", "impressions_xx", "units_x")
"""Decayed sums, in order; x = ln(price in effect / reference price)."""
MOVES_BP = (-1000, -500, -250, -100, 0, 100, 250, 500, 1000)
"""Candidate moves from the current price, basis points. The one in the middle is to hold."""
HOLD = len(MOVES_BP) // 2

PRIOR_ELASTICITY = 2.5
PRIOR_INFORMATION = 1.5
"""Weight of the prior, in the unit of `Elasticity.information`: a standard deviation of about 0.8."""
CLIP = 4.0
"""Scaled features are cut here: outside of the training range the network sees its border."""
_MAX_ELASTICITY = 10.0


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


class Elasticity(NamedTuple):
    """Estimate of the price elasticity of demand (positive: demand ~ price ** -value)."""

    value: Array
    information: Array
    """Fisher information of the data: units sold x variance of ln price over exposure."""


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
    Feature("lesson", "what a day at the candidate teaches, see `lesson`", 0.02),
)
PLAN = next(i for i, f in enumerate(CANDIDATE_FEATURES) if f.name == "plan_30d")


def elasticity(sums: Array) -> Elasticity:
    """Estimate the elasticity of one offer from the sums of one half-life.

    For Poisson demand k·exp(-ε·x) per impression and x normal over impressions, the mean of x over units
    is m - ε·v (exponential tilting), with m and v its mean and variance over impressions: the estimate is
    ε = (m - x̄_units) / v with Fisher information units·v. A normal prior is added in closed form.

    Args:
        sums: [K] `STATISTICS` of one half-life.
    """
    impressions, _, units, x1, _, units_x = sums
    shown = jnp.maximum(impressions, 1e-6)
    mean = x1 / shown
    information = units * _variance(sums)
    evidence = units * mean - units_x
    # Without impressions there is no exposure to compare with: the prior stays.
    evidence = jnp.where(impressions > 0, evidence, 0.0)
    # ε = (units·m - Σ units·x + τ·ε0) / (units·v + τ)
    value = (evidence + PRIOR_INFORMATION * PRIOR_ELASTICITY) / (information + PRIOR_INFORMATION)
    return Elasticity(jnp.clip(value, 0.0, _MAX_ELASTICITY), information)


def planned_gain(log_ratio: Array, slope: Array, offset: Array, epsilon: Array) -> Array:
    """Profit at a candidate less profit at the current price, in units of the latter (at least 10 % of the price).

    ((a·e^r - o)·e^(-ε·r) - (a - o)) / max(|a - o|, a/10)
    """
    now = slope - offset
    then = (slope * jnp.exp(log_ratio) - offset) * jnp.exp(-epsilon * log_ratio)
    return (then - now) / jnp.maximum(jnp.abs(now), 0.1 * slope)


def lesson(offer: FeatureInputs, log_ratio: Array) -> Array:
    """Value what a day at a candidate price teaches about the elasticity of one offer.

    A day adds units·Δ² of Fisher information, Δ being the distance in ln price from the mean price shown of late;
    the variance of the estimate is 1 / (I + τ), so it falls by about units·Δ² / (I + τ)². Busy offers that never
    moved learn much, sparse ones and those that know their elasticity little. Δ is cut at 10 %, the factor at 3.
    """
    fast, slow = offer.sums[0], offer.sums[-1]
    usual = jnp.where(fast[0] > 0, fast[3] / jnp.maximum(fast[0], 1e-6), offer.log_price)
    distance = jnp.minimum(jnp.abs(offer.log_price + log_ratio - usual), 0.1)
    worth = _pace(offer, 1) / (PRIOR_INFORMATION + elasticity(slow).information) ** 2
    return jnp.where(slow[0] > 0, jnp.minimum(worth, 3.0) * distance**2, 0.0)


def featurize(inputs: FeatureInputs) -> tuple[Array, Array]:
    """Compute what the network sees of N offers.

    Returns:
        State features float32 [N, F] in the order of `FEATURES`, candidate features float32 [N, A, C] in
        the order of `CANDIDATE_FEATURES`. Finite for every finite input.
    """
    if inputs.sums.shape[1:] != (len(HALF_LIVES_DAYS), len(STATISTICS)):
        raise ValueError(f"sums: expected [N, {len(HALF_LIVES_DAYS)}, {len(STATISTICS)}], got {inputs.sums.shape}")
    return jax.vmap(_featurize_one)(inputs)


def _featurize_one(offer: FeatureInputs) -> tuple[Array, Array]:
    estimates = [elasticity(offer.sums[h]) for h in range(len(HALF_LIVES_DAYS))]
    mark_up = _log_mark_up(offer, estimates[-1].value)
    state = [value for h, e in enumerate(estimates) for value in _memory(offer, h, e)]
    state += [*_demand(offer, estimates[-1].value), *_situation(offer, mark_up)]
    candidates = jax.vmap(lambda r: jnp.stack(_candidate(offer, estimates, mark_up, r)))(offer.log_ratio)
    return _scaled(jnp.stack(state), FEATURES), _scaled(candidates, CANDIDATE_FEATURES)


def _scaled(values: Array, features: tuple[Feature, ...]) -> Array:
    scales = jnp.asarray([f.scale for f in features], jnp.float32)
    return jnp.clip(values / scales, -CLIP, CLIP)


def _memory(offer: FeatureInputs, h: int, estimate: Elasticity) -> list[Array]:
    impressions, _, units, x1, _, units_x = offer.sums[h]
    return [
        jnp.log1p(impressions),
        jnp.log1p(units),
        _log_conversion(offer.sums[h]),
        jnp.where(impressions > 0, x1 / jnp.maximum(impressions, 1e-6) - offer.log_price, 0.0),
        jnp.where(units > 0, units_x / jnp.maximum(units, 1e-6) - offer.log_price, 0.0),
        jnp.sqrt(_variance(offer.sums[h])),
        estimate.value - PRIOR_ELASTICITY,
        jnp.log1p(estimate.information / PRIOR_INFORMATION),
        jnp.log1p(_pace(offer, h)),
    ]


def _demand(offer: FeatureInputs, epsilon: Array) -> list[Array]:
    slow = offer.sums[-1]
    click_rate = jnp.log((slow[1] + 1.0) / (slow[0] + 10.0)) + math.log(10.0)
    base = _pace(offer, len(HALF_LIVES_DAYS) - 1) + 0.1
    return [
        *(_surprise(offer.sums[h], slow, epsilon) for h in (0, 1)),
        *(jnp.log((_pace(offer, h) + 0.1) / base) for h in (0, 1)),
        jnp.where(slow[0] > 0, click_rate, 0.0),
        (slow[0] > 0).astype(jnp.float32),
    ]


def _situation(offer: FeatureInputs, mark_up: Array) -> list[Array]:
    stocked = (offer.on_hand >= 0).astype(jnp.float32)
    stock = jnp.maximum(offer.on_hand, 0.0)
    return [
        offer.log_price,
        1.0 - offer.profit_offset / jnp.maximum(offer.profit_slope, 1e-3),
        mark_up,
        offer.rival_log_gap * offer.rival_known,
        offer.rival_known,
        offer.rival_age_days * offer.rival_known,
        stocked,
        jnp.log1p(stock),
        stocked * jnp.log1p(stock / (_pace(offer, 1) + 0.05)),
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
        away / (jnp.sqrt(_variance(offer.sums[-1])) + 0.02),
        lesson(offer, log_ratio),
    ]


def _variance(sums: Array) -> Array:
    """Variance of x over impressions."""
    shown = jnp.maximum(sums[0], 1e-6)
    return jnp.where(sums[0] > 0, jnp.maximum(sums[4] / shown - (sums[3] / shown) ** 2, 0.0), 0.0)


def _log_conversion(sums: Array) -> Array:
    return jnp.where(sums[0] > 0, jnp.log((sums[2] + 1.0) / (sums[0] + 30.0)) + math.log(30.0), 0.0)


def _pace(offer: FeatureInputs, h: int) -> Array:
    """Units a day: the decayed sum over the decayed number of days that the offer has been known."""
    half_life = HALF_LIVES_DAYS[h]
    days = half_life / math.log(2.0) * (1.0 - jnp.exp2(-offer.days_known / half_life))
    return offer.sums[h, 2] / jnp.maximum(days, 0.25)


def _surprise(fast: Array, slow: Array, epsilon: Array) -> Array:
    """Recent units against what the long memory expects at the recent prices."""
    drift = fast[3] / jnp.maximum(fast[0], 1e-6) - slow[3] / jnp.maximum(slow[0], 1e-6)
    expected = fast[0] * slow[2] / jnp.maximum(slow[0], 1e-6) * jnp.exp(-epsilon * jnp.clip(drift, -1.0, 1.0))
    return jnp.where((fast[0] > 0) & (slow[0] > 0), jnp.log((fast[2] + 1.0) / (expected + 1.0)), 0.0)


def _log_mark_up(offer: FeatureInputs, epsilon: Array) -> Array:
    """ln(monopoly price / current): (o / a)·ε / (ε - 1) for ε above 1.2, where it exists and is not absurd."""
    elastic = jnp.maximum(epsilon, 1.2)
    ratio = offer.profit_offset / jnp.maximum(offer.profit_slope, 1e-3) * elastic / (elastic - 1.0)
    return jnp.clip(jnp.log(jnp.maximum(ratio, 1e-3)), -2.0, 2.0)
