"""The share of the optimum's profit that a policy earns on held-out markets.

All policies run in the same markets with the same luck (`simulator.coupling`), each along its own path: rivals
answer the prices that they see. Profit is the exact expectation at each price, so that the only noise left is
which markets were drawn and what each policy happened to learn. "Optimum" knows the demand and takes the best
price of each period, without limits on the step; as it does not foresee the rivals' answers, a policy could in
principle earn more than 100 %.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from pricing_core.evaluation import policies
from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.policies import Policy
from pricing_core.learning.shop import Shop, open_shops, remember
from pricing_core.simulator.market import expected_profit_rate, step


class Score(NamedTuple):
    """How one policy did. Shares of the optimum's profit: the mean over markets; intervals are 95 %, ±."""

    share: float
    """After the burn-in."""
    interval: float
    early_share: float
    """During the burn-in."""
    pooled_share: float
    """After the burn-in, all markets as one purse."""
    over_hold: float
    """Paired difference of the share to that of holding."""
    over_hold_interval: float


def score(
    candidates: Mapping[str, Policy], *, seed: int, shops: int, days: int = 60, burn_in_days: int = 10
) -> dict[str, Score]:
    """Run every policy, one decision a day.

    Args:
        candidates: Name → policy; *hold* and *optimum* are added.
        seed: Of markets and luck.
        shops: How many markets.
        days: Length of the run.
        burn_in_days: Left out of the main figure.
    """
    earned = _play(candidates, seed, shops, days)
    return {name: _score(profit, earned, burn_in_days) for name, profit in earned.items()}


def shares(
    candidates: Mapping[str, Policy], *, seed: int, shops: int, days: int = 60, burn_in_days: int = 10
) -> dict[str, Float64]:
    """Run the same, and give each shop's share of the optimum's profit after the burn-in, float64 [shops] by name."""
    earned = {name: np.asarray(profit, np.float64) for name, profit in _play(candidates, seed, shops, days).items()}
    best = earned["optimum"][burn_in_days:].sum(axis=0)
    return {name: profit[burn_in_days:].sum(axis=0) / best for name, profit in earned.items()}


def _play(candidates: Mapping[str, Policy], seed: int, shops: int, days: int) -> dict[str, NDArray[np.float32]]:
    """Profit of each day [days, shops] by name; *hold* and *optimum* are added."""
    k_open, k_luck = jax.random.split(jax.random.key(seed))
    start = open_shops(k_open, shops, price_spread=0.0)
    start = start._replace(merchant=start.merchant._replace(period_days=jnp.ones(shops)))
    every = {"hold": policies.hold, **candidates, "optimum": policies.optimum}
    return {name: np.asarray(profits(policy, start, k_luck, days)) for name, policy in every.items()}


def profits(policy: Policy, shop: Shop, key: Array, days: int) -> Array:
    """Expected profit of each day, float32 [days, N], minor units."""
    found: Array = _profits(policies.as_data(policy), shop, key, days)
    return found


@partial(jax.jit, static_argnums=3)
def _profits(policy: Policy, shop: Shop, key: Array, days: int) -> Array:
    def day(shop: Shop, today: Array) -> tuple[Shop, Array]:
        k_market, k_seen, k_luck = jax.random.split(jax.random.fold_in(key, today), 3)
        price = policy(shop, jax.random.uniform(k_luck, shop.memory.price.shape))
        earned = expected_profit_rate(shop.markets, shop.state, price[:, None])[:, 0]
        state, outcome = step(shop.markets, shop.state, price, k_market, shop.merchant.period_days)
        return shop._replace(state=state, memory=remember(shop, price, outcome, k_seen)), earned

    return jax.lax.scan(day, shop, jnp.arange(days))[1]


def _score(profit: NDArray[np.float32], earned: Mapping[str, NDArray[np.float32]], burn_in: int) -> Score:
    best, held = earned["optimum"], earned["hold"]
    share = profit[burn_in:].sum(axis=0) / best[burn_in:].sum(axis=0)
    gain = share - held[burn_in:].sum(axis=0) / best[burn_in:].sum(axis=0)
    return Score(
        share=float(share.mean()),
        interval=_half_width(share),
        early_share=float((profit[:burn_in].sum(axis=0) / best[:burn_in].sum(axis=0)).mean()),
        pooled_share=float(profit[burn_in:].sum() / best[burn_in:].sum()),
        over_hold=float(gain.mean()),
        over_hold_interval=_half_width(gain),
    )


def _half_width(values: NDArray[np.float32]) -> float:
    return float(1.96 * values.std(ddof=1) / np.sqrt(len(values)))
