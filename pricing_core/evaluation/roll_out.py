"""What a candidate would earn over weeks in shops whose demand was fitted to a log, beside the policy that runs.

Both play the same shops with the same luck, each along its own path: what a price teaches and where it leads counts,
which no estimate of single decisions sees. It is as true as the fitted demand is.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.fitted_demand import FittedDemand
from pricing_core.evaluation.policies import Policy
from pricing_core.evaluation.score import profits
from pricing_core.learning.shop import Shop, open_shops
from pricing_core.simulator.market import initial_state

DAYS = 30
USUAL_IMPRESSIONS = 40.0
"""For one sale; it matters only for how sales scatter where nobody counts impressions."""
_ALONE = -8.0
"""Log attraction of an offer beside buying nowhere: so little that nobody who buys is missing elsewhere."""


class Offers(NamedTuple):
    """G offers as their policies have them, float64 [G]; money in minor units."""

    reference: Float64
    price: Float64
    """In effect at the start."""
    slope: Float64
    """A sale at price p leaves slope·p - offset."""
    offset: Float64
    floor: Float64
    ceiling: Float64
    exposure: Float64
    """A day: impressions, or 1 where they are not counted."""
    counted: Float64
    """1 where they are, else 0."""


def fitted_shops(offers: Offers, demand: FittedDemand, *, seed: int) -> Shop:
    """Open a shop for each offer: without rivals, with stock enough, of the demand that was fitted."""
    n = len(offers.price)
    shop = open_shops(jax.random.key(seed), n, price_spread=0.0)
    column = {name: jnp.asarray(values, jnp.float32) for name, values in offers._asdict().items()}
    level = column["exposure"] * jnp.asarray(demand.level, jnp.float32)
    elasticity = jnp.asarray(demand.elasticity, jnp.float32)
    zero, one = jnp.zeros(n), jnp.ones(n)
    shown = jnp.where(column["counted"] > 0, column["exposure"], USUAL_IMPRESSIONS * level)
    attraction = np.exp(_ALONE)
    markets = shop.markets._replace(
        costs=shop.markets.costs._replace(
            unit_cost=column["offset"],
            fixed_fee=zero,
            tax_rate_bp=jnp.zeros(n, jnp.int32),
            commission_bp=jnp.round(10_000 * (1.0 - column["slope"])).astype(jnp.int32),
        ),
        demand=shop.markets.demand._replace(
            reference_price=column["reference"],
            traffic=shown,
            interest=level / shown * (1.0 + attraction) / attraction,
            appeal=jnp.full(n, _ALONE),
            kappa=elasticity,
            curvature=jnp.full(n, 1e-3),
            season_amplitude=zero,
        ),
        rivals=shop.markets.rivals._replace(present=jnp.zeros_like(shop.markets.rivals.present)),
        start_price=column["price"],
        floor=column["floor"],
        ceiling=column["ceiling"],
        restock_days=one,
    )
    merchant = shop.merchant._replace(
        period_days=one,
        min_change=zero,
        tick=one,
        shows_impressions=column["counted"],
        shows_rivals=zero,
        shows_stock=zero,
    )
    memory = shop.memory._replace(price=column["price"], reference=column["reference"], on_hand=-one)
    state = initial_state(markets)._replace(on_hand=jnp.full(n, 1e9), days_to_restock=jnp.full(n, 1e9))
    return Shop(markets, merchant, state, memory)


def paired_gains(candidate: Policy, running: Policy, shops: Shop, *, seed: int, days: int = DAYS) -> Float64:
    """What the candidate earns more in each shop, as a share of what the running policy earns in a mean one.

    Returns:
        float64 [G].

    Raises:
        ValueError: The running policy earns nothing.
    """
    luck = jax.random.key(seed)
    earned, before = (
        np.asarray(profits(policy, shops, luck, days), np.float64).sum(0) for policy in (candidate, running)
    )
    if not before.mean() > 0:
        raise ValueError(f"the running policy earns {before.mean():.3g} a shop in {days} days: nothing to compare with")
    gains: Float64 = (earned - before) / before.mean()
    return gains
