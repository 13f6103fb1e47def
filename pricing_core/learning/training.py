"""Deep Q-learning on thousands of simulated shops at once; the whole loop is compiled.

One update: look at all shops, let every candidate price play out one period in its own copy of the market (with
the same luck), regress Q on reward plus discounted double-Q value of what follows, then act and go on. The reward
of a period is its expected profit as a share of the optimum's, minus 1 (zero is perfect; neither the size of an
offer nor its luck blurs the comparison between prices), plus what the planner thinks that the candidate teaches: the
network corrects the profit that the planner expects, and nothing else. Shops grow old and are replaced, so that every
batch holds cold starts and long histories. There is no replay: the simulator never runs dry. The loss is a square in
the range that occurs: a loss that forgave large errors would fit the median of the gains, and the median is dearer
than the mean.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pricing_core.choose import choose
from pricing_core.features import FEATURES, FeatureInputs, featurize, outlook, seen_of
from pricing_core.learning import targets
from pricing_core.learning.shop import Shop, observe, open_shops, remember, replace_old
from pricing_core.q_function import Params, init_params, q_values, values, with_range
from pricing_core.simulator.market import expected_profit_rate, optimal_price, step

EPSILON = 0.06
"""Share of exploring decisions that the trained model asks for."""
_CHUNK = 25
_MARGIN = 0.05
"""By so much a scaled feature may leave the range of training before the network is no longer asked."""


@dataclass(frozen=True, slots=True)
class Preset:
    """How to train."""

    shops: int
    updates: int
    """Multiple of 25."""
    learning_rate: float
    discount_half_life_days: float
    """0 looks one period ahead only."""
    level_weight: float
    target_rate: float
    """Share of the way that the target network follows at each update."""
    wide_exploration: float
    """Exploration of every fourth shop; the others explore as served, `EPSILON`."""
    shrinkage: float
    """Weight of the network's own size: with 1 it says half of what it would say without."""
    price_spread: float
    """Half of the shops start off their cost-plus price by this log standard deviation."""


_DEFAULT = Preset(
    shops=2048,
    updates=2500,
    learning_rate=2e-3,
    discount_half_life_days=0.0,
    level_weight=0.02,
    target_rate=0.01,
    wide_exploration=0.5,
    shrinkage=1.0,
    price_spread=0.1,
)
PRESETS = {
    "default": _DEFAULT,
    "large": replace(_DEFAULT, shops=32_768, updates=4000),  # for an accelerator
    "tiny": replace(_DEFAULT, shops=64, updates=50, discount_half_life_days=3.0),
}


class Learner(NamedTuple):
    """All that training carries from one update to the next."""

    params: Params
    target: Params
    optimiser: Any
    shops: Shop
    low: Array
    """[F] least of each feature that has occurred."""
    high: Array


class Progress(NamedTuple):
    """What is reported after each chunk of updates."""

    update: int
    loss: float
    regret: float
    """Mean share of the optimum's profit that the candidates chosen miss."""


def train(preset: Preset, seed: int, report: Callable[[Progress], None] = lambda _: None) -> Params:
    """Train a Q-function. Deterministic for a seed on one backend.

    Args:
        preset: How.
        seed: Of everything random.
        report: Called after every 25 updates.
    """
    if preset.updates % _CHUNK:
        raise ValueError(f"updates: expected a multiple of {_CHUNK}, got {preset.updates}")
    k_params, k_shops, k_run = jax.random.split(jax.random.key(seed), 3)
    params = init_params(k_params)
    shops = open_shops(k_shops, preset.shops, price_spread=preset.price_spread)
    nothing = jnp.full(len(FEATURES), jnp.inf)
    learner = Learner(params, params, _optimiser(preset).init(params), shops, nothing, -nothing)
    learner = jax.tree.map(jnp.array, learner)  # params and target must not share a buffer that is donated
    for first in range(0, preset.updates, _CHUNK):
        learner, (loss, regret) = _advance(preset, learner, jax.random.fold_in(k_run, first))
        report(Progress(first + _CHUNK, float(loss.mean()), float(regret.mean())))
    return with_range(learner.params, learner.low - _MARGIN, learner.high + _MARGIN)


def reward(shop: Shop, prices: Array) -> Array:
    """Expected profit at each price as a share of the optimum's, minus 1: [N, A], at least -3; 0 without stock."""
    optimum = optimal_price(shop.markets, shop.state)[:, None]
    best = expected_profit_rate(shop.markets, shop.state, optimum)
    share = expected_profit_rate(shop.markets, shop.state, prices) / jnp.where(best > 0, best, 1.0)
    return jnp.where(best > 0, jnp.maximum(share - 1.0, -3.0), 0.0)


def _optimiser(preset: Preset) -> optax.GradientTransformation:
    rate = optax.schedules.cosine_decay_schedule(preset.learning_rate, preset.updates, alpha=0.02)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


@partial(jax.jit, static_argnames="preset", donate_argnames="learner")
def _advance(preset: Preset, learner: Learner, key: Array) -> tuple[Learner, tuple[Array, Array]]:
    return jax.lax.scan(partial(_update, preset), learner, jax.random.split(key, _CHUNK))


def _update(preset: Preset, learner: Learner, key: Array) -> tuple[Learner, tuple[Array, Array]]:
    k_period, k_fresh, k_act = jax.random.split(key, 3)
    inputs, prices = observe(learner.shops)
    expected = outlook(inputs)
    seen = seen_of(inputs, expected)
    gains = reward(learner.shops, prices)
    target = _targets(preset, learner, prices, gains + (expected.worth - expected.gain), k_period)

    def objective(params: Params) -> tuple[Array, Array]:
        said = values(params, *seen)
        fit, size = (
            targets.loss(says, wanted, inputs.legal, level_weight=preset.level_weight)
            for says, wanted in ((said.system, target), (said.correction, jnp.zeros_like(target)))
        )
        return fit + preset.shrinkage * size, said.system

    (loss, q), gradient = jax.value_and_grad(objective, has_aux=True)(learner.params)
    change, optimiser = _optimiser(preset).update(gradient, learner.optimiser, learner.params)
    params = optax.apply_updates(learner.params, change)
    followed = optax.incremental_update(params, learner.target, preset.target_rate)
    chosen = _act(preset, q, inputs, k_act)[:, None]
    price = jnp.take_along_axis(prices, chosen, axis=1)[:, 0]
    fresh = open_shops(k_fresh, preset.shops, price_spread=preset.price_spread)
    shops = replace_old(_play(learner.shops, price, k_period), fresh)
    low, high = (jnp.minimum(learner.low, seen.state.min(axis=0)), jnp.maximum(learner.high, seen.state.max(axis=0)))
    return Learner(params, followed, optimiser, shops, low, high), (
        loss,
        -jnp.take_along_axis(gains, chosen, axis=1).mean(),
    )


def _play(shop: Shop, price: Array, key: Array) -> Shop:
    """Let one period pass at ``price`` [N]."""
    k_market, k_seen = jax.random.split(key)
    state, outcome = step(shop.markets, shop.state, price, k_market, shop.merchant.period_days)
    return shop._replace(state=state, memory=remember(shop, price, outcome, k_seen))


def _targets(preset: Preset, learner: Learner, prices: Array, rewards: Array, key: Array) -> Array:
    """Regression targets of all candidates, [N, A]."""
    days = learner.shops.merchant.period_days
    earned = targets.weight(days, preset.discount_half_life_days)[:, None] * rewards
    if preset.discount_half_life_days <= 0:
        return earned
    discount = targets.discount(days, preset.discount_half_life_days)

    def target(price: Array, gain: Array) -> Array:
        inputs, _ = observe(_play(learner.shops, price, key))
        seen = featurize(inputs)
        online, valued = q_values(learner.params, *seen), q_values(learner.target, *seen)
        return targets.double_q_target(gain, discount, online, valued, inputs.legal)

    return jax.lax.stop_gradient(jax.vmap(target, in_axes=1, out_axes=1)(prices, earned))


def _act(preset: Preset, q: Array, inputs: FeatureInputs, key: Array) -> Array:
    """Candidates int32 [N]; every fourth shop explores widely."""
    n = q.shape[0]
    uniform = jax.random.uniform(key, (n,))
    widely = jnp.arange(n) % 4 == 0
    as_served, _ = choose(q, inputs.legal, uniform, EPSILON)
    wide, _ = choose(q, inputs.legal, uniform, preset.wide_exploration)
    return jnp.where(widely, wide, as_served)
