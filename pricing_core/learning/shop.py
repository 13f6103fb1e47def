"""A shop in a simulated market, as the engine would see it: memory, ladder, and the inputs of the features.

The engine folds real events into exact state; here the same quantities follow from the period's outcome, for N
shops at once and without events. What a shop sees and may do differs: some publish no impressions, some know no
rivals or no stock; steps are limited, prices lie on a grid.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core import rungs
from pricing_core.decayed_demand import HALF_LIVES_DAYS, PRIOR_ELASTICITY, STATISTICS
from pricing_core.demand import belief
from pricing_core.demand.belief import Period, Tally
from pricing_core.demand.drift import Drift
from pricing_core.features import HOLD, MOVES_BP, FeatureInputs
from pricing_core.outlook import NO_GUESS, Kind, prior_of
from pricing_core.simulator.market import Markets, MarketState, Outcome, initial_state, sample_markets
from pricing_core.simulator.rivals import RIVALS
from schemas.columns import RULES

RIVAL_MEMORY_DAYS = 14.0
_SEEN_A_PERIOD = 0.7
_LONG_AGO_DAYS = 1e3


class Merchant(NamedTuple):
    """What the owners of N shops allow and publish. [N] float32."""

    max_step: Array
    """Largest move, share of the price."""
    min_change: Array
    """Smaller moves are not worth a change, share of the price."""
    tick: Array
    """Prices are multiples of it, minor units."""
    period_days: Array
    """Between two decisions."""
    life_days: Array
    """After that the shop is replaced by a new one."""
    shows_impressions: Array
    """1 or 0."""
    shows_rivals: Array
    """1 or 0."""
    shows_stock: Array
    """1 or 0."""
    expected_elasticity: Array
    """Of offers of this kind."""
    expected_units: Array
    """Of a day at the reference price; `outlook.NO_GUESS` where nobody expects any."""


class Memory(NamedTuple):
    """What the engine remembers of N shops. [N] float32 unless said."""

    sums: Array
    """[N, H, K], decayed."""
    price: Array
    reference: Array
    days_known: Array
    days_since_change: Array
    rival_price: Array
    """[N, R], as last seen."""
    rival_in_stock: Array
    """bool [N, R]."""
    rival_age_days: Array
    """[N, R]."""
    on_hand: Array
    """-1 if unknown."""
    tally: Tally
    drift: Drift
    days_since_drift: Array
    """Since a change of demand was found; inf: never."""
    rung: Array
    """Of `rungs.RUNGS`, as float32."""


class Shop(NamedTuple):
    """N shops in their markets."""

    markets: Markets
    merchant: Merchant
    state: MarketState
    memory: Memory


def open_shops(key: Array, n: int, *, price_spread: float) -> Shop:
    """Open ``n`` new shops.

    Args:
        key: Random key.
        n: How many.
        price_spread: Half of the shops start off their cost-plus price by this log standard deviation.
    """
    k = jax.random.split(key, 4)
    markets = sample_markets(k[0], n)
    merchant = _sample_merchants(k[1], markets)
    off = jnp.where(jax.random.bernoulli(k[2], 0.5, (n,)), price_spread * jax.random.normal(k[3], (n,)), 0.0)
    price = jnp.clip(jnp.round(markets.start_price * jnp.exp(off)), markets.floor, markets.ceiling)
    state = initial_state(markets)
    return Shop(
        markets, merchant, state, _empty_memory(price, jnp.where(merchant.shows_stock > 0, state.on_hand, -1.0))
    )


def observe(shop: Shop) -> tuple[FeatureInputs, Array]:
    """Look at N shops.

    Returns:
        Inputs of the features, and the candidate prices float32 [N, A].
    """
    memory, costs = shop.memory, shop.markets.costs
    prices, legal = ladder(shop)
    offered = jnp.where(_heeded(memory), memory.rival_price, jnp.inf)
    cheapest = jnp.argmin(offered, axis=1)[:, None]
    lowest = jnp.take_along_axis(offered, cheapest, axis=1)[:, 0]
    known = jnp.isfinite(lowest)
    age = jnp.take_along_axis(memory.rival_age_days, cheapest, axis=1)[:, 0]
    inputs = FeatureInputs(
        sums=memory.sums,
        log_price=jnp.log(memory.price / memory.reference),
        profit_slope=costs.slope,
        profit_offset=costs.offset / memory.price,
        rival_log_gap=jnp.where(known, jnp.log(jnp.where(known, lowest, memory.price) / memory.price), 0.0),
        rival_known=known.astype(jnp.float32),
        rival_age_days=jnp.where(known, age, 0.0),
        on_hand=memory.on_hand,
        days_since_change=memory.days_since_change,
        days_known=memory.days_known,
        log_ratio=jnp.log(prices / memory.price[:, None]),
        legal=legal,
        tally=memory.tally,
        counts_shoppers=shop.merchant.shows_impressions,
        salvage_offset=costs.offset / memory.price,
        days_left=jnp.full_like(memory.price, jnp.inf),
        expected_elasticity=shop.merchant.expected_elasticity,
        expected_units=shop.merchant.expected_units,
    )
    return inputs, prices


def ladder(shop: Shop) -> tuple[Array, Array]:
    """Candidate prices float32 [N, A] and which of them are legal, bool [N, A].

    As the engine's: moves are cut to the allowed interval and rounded; of equal ones the smallest move stays;
    without stock nothing moves.
    """
    merchant, now = shop.merchant, shop.memory.price
    low = jnp.maximum(shop.markets.floor, now * (1.0 - merchant.max_step))
    high = jnp.minimum(shop.markets.ceiling, now * (1.0 + merchant.max_step))
    wished = now[:, None] * (1.0 + jnp.asarray(MOVES_BP) / 10_000)
    rounded = jnp.round(wished / merchant.tick[:, None]) * merchant.tick[:, None]
    prices = jnp.clip(rounded, low[:, None], high[:, None]).at[:, HOLD].set(now)
    differs = jnp.abs(jnp.diff(prices, axis=1)) > 0.5
    distinct = jnp.concatenate([differs[:, :HOLD], jnp.ones_like(differs[:, :1]), differs[:, HOLD:]], axis=1)
    worth = jnp.abs(prices / now[:, None] - 1.0) >= merchant.min_change[:, None]
    stocked = (shop.memory.on_hand != 0)[:, None]
    return prices, (distinct & worth & stocked).at[:, HOLD].set(True)


def _heeded(memory: Memory) -> Array:
    """Which rivals count, bool [N, R]."""
    return memory.rival_in_stock & (memory.rival_age_days <= RIVAL_MEMORY_DAYS)


def remember(shop: Shop, price: Array, outcome: Outcome, key: Array) -> Memory:
    """Fold one period into the memory, as the engine folds its events.

    Args:
        shop: Before the period.
        price: [N] in effect during it.
        outcome: What it brought.
        key: Decides which rivals were seen.
    """
    memory, merchant = shop.memory, shop.merchant
    dt = merchant.period_days
    seen = jax.random.bernoulli(key, _SEEN_A_PERIOD, outcome.rival_prices.shape) & (merchant.shows_rivals > 0)[:, None]
    seen &= shop.markets.rivals.present
    changed = jnp.abs(price - memory.price) > 0.5
    after = Memory(
        sums=_decayed(memory.sums, dt) + _contribution(shop, price, outcome),
        price=price,
        reference=memory.reference,
        days_known=memory.days_known + dt,
        days_since_change=jnp.where(changed, dt, memory.days_since_change + dt),
        rival_price=jnp.where(seen, outcome.rival_prices, memory.rival_price),
        rival_in_stock=jnp.where(seen, outcome.rival_in_stock, memory.rival_in_stock),
        rival_age_days=jnp.where(seen, 0.0, memory.rival_age_days + dt[:, None]),
        on_hand=jnp.where(merchant.shows_stock > 0, outcome.on_hand, -1.0),
        tally=memory.tally,
        drift=memory.drift,
        days_since_drift=memory.days_since_drift + dt,
        rung=memory.rung,
    )
    rival_known = _heeded(after).any(axis=1)
    kind = Kind(merchant.shows_impressions, rival_known, merchant.expected_elasticity, merchant.expected_units)
    learned = rungs.learn(memory.tally, memory.drift, prior_of(kind), _period(shop, price, outcome))
    since = jnp.where(learned.changed, 0.0, after.days_since_drift)
    sales = rungs.effective_sales(learned.tally, after.sums)
    return after._replace(
        tally=learned.tally,
        drift=learned.drift,
        days_since_drift=since,
        rung=rungs.climbed(memory.rung, sales, since),
    )


def replace_old(shop: Shop, fresh: Shop) -> Shop:
    """Put a new shop in the place of each one that has reached its age."""
    old = shop.memory.days_known >= shop.merchant.life_days

    def pick(new: Array, current: Array) -> Array:
        return jnp.where(old.reshape(old.shape + (1,) * (current.ndim - 1)), new, current)

    mixed: Shop = jax.tree.map(pick, fresh._replace(state=fresh.state._replace(step=old)), _with_step(shop, old))
    return mixed._replace(state=mixed.state._replace(step=shop.state.step))


def _with_step(shop: Shop, step: Array) -> Shop:
    return shop._replace(state=shop.state._replace(step=step))


def _decayed(sums: Array, days: Array) -> Array:
    return sums * jnp.exp2(-days[:, None] / jnp.asarray(HALF_LIVES_DAYS))[:, :, None]


def _contribution(shop: Shop, price: Array, outcome: Outcome) -> Array:
    """What the period adds to the sums [N, H, K]: its events came evenly spread over it and have decayed since."""
    x = jnp.log(price / shop.memory.reference)
    impressions = outcome.impressions * shop.merchant.shows_impressions
    clicks = outcome.clicks * shop.merchant.shows_impressions
    units = outcome.units
    values = jnp.stack([impressions, clicks, units, impressions * x, impressions * x**2, units * x], axis=1)
    rate = math.log(2.0) / jnp.asarray(HALF_LIVES_DAYS)
    dt = shop.merchant.period_days[:, None]
    return -jnp.expm1(-rate * dt)[:, :, None] / (rate * dt)[:, :, None] * values[:, None, :]


def _period(shop: Shop, price: Array, outcome: Outcome) -> Period:
    """What the belief is told of a period, as `periods.close` does; who sold all that was there may have sold more."""
    merchant, stock = shop.merchant, shop.state.on_hand
    days = jnp.broadcast_to(merchant.period_days, price.shape)
    return Period(
        ratio=price / shop.memory.reference,
        exposure=jnp.where(stock > 0, jnp.where(merchant.shows_impressions > 0, outcome.impressions, days), 0.0),
        units=outcome.units,
        censored=(outcome.units >= stock) & (merchant.shows_stock > 0),
        days=days,
    )


def _empty_memory(price: Array, on_hand: Array) -> Memory:
    zero = jnp.zeros_like(price)
    nowhere = jnp.zeros((*price.shape, RIVALS))
    return Memory(
        sums=jnp.zeros((*price.shape, len(HALF_LIVES_DAYS), len(STATISTICS))),
        price=price,
        reference=price,
        days_known=zero,
        days_since_change=zero,
        rival_price=nowhere + price[:, None],
        rival_in_stock=nowhere > 0,
        rival_age_days=nowhere + _LONG_AGO_DAYS,
        on_hand=on_hand,
        tally=belief.empty(len(price)),
        drift=Drift(zero, zero),
        days_since_drift=jnp.full_like(zero, jnp.inf),
        rung=zero + RULES,
    )


def _sample_merchants(key: Array, markets: Markets) -> Merchant:
    n = markets.start_price.shape
    k = jax.random.split(key, 8)

    def share(of: Array, probability: float) -> Array:
        return jax.random.bernoulli(of, probability, n).astype(jnp.float32)

    coarseness = jax.random.choice(k[2], jnp.asarray([0.0, 0.0, 0.005, 0.02]), n)
    return Merchant(
        max_step=jax.random.uniform(k[0], n, minval=0.03, maxval=0.2),
        min_change=jax.random.choice(k[1], jnp.asarray([0.0, 0.005, 0.015]), n),
        tick=jnp.maximum(1.0, jnp.round(coarseness * markets.reference_price)),
        period_days=0.25 * 8.0 ** jax.random.uniform(k[3], n),
        life_days=jax.random.uniform(k[4], n, minval=10.0, maxval=90.0),
        shows_impressions=share(k[5], 0.85),
        shows_rivals=share(k[6], 0.8),
        shows_stock=share(k[7], 0.7),
        expected_elasticity=jnp.full(n, PRIOR_ELASTICITY),
        expected_units=jnp.full(n, NO_GUESS),
    )
