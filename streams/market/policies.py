"""What the simulated merchant allows: cost-plus list prices, floors near cost, generous ceilings."""

from __future__ import annotations

import numpy as np
from jax import Array

from pricing_core.simulator.market import Markets
from schemas.money import ending_at_or_above
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms
from streams.market.events import CURRENCY, OfferName

CHANNEL = "web"
ENDING, ENDING_MODULUS = 99, 100
ENDING_SHARE = 0.2
"""Share of the offers whose prices all end in 99."""
LEAST_FOR_ENDING = 2_000
"""A list price below this has no ending: the next price would be too far away."""
MAP_SHARE = 0.1
MAP_BP = 8_500
"""Minimum advertised price of those offers, of their list price."""
COOLDOWN_S = 6 * 3600
BASIS_POINTS = 10_000


def offer_names(n: int) -> list[OfferName]:
    """Names of ``n`` offers: ``web:SKU-0001`` and so on."""
    return [OfferName(CHANNEL, f"SKU-{number:04d}") for number in range(1, n + 1)]


def merchant_policies(markets: Markets, seed: int, *, version: int, at: int) -> list[OfferPolicy]:
    """One policy for each of N markets, in `auto` mode.

    Args:
        markets: N markets; costs and prices in minor units.
        seed: Says which offers have an ending or a minimum advertised price.
        version: Of all of them.
        at: When the merchant wrote them, ms.
    """
    random = np.random.default_rng((seed, 3))
    names = offer_names(len(markets.start_price))
    with_ending, with_map = random.random((2, len(names))) < [[ENDING_SHARE], [MAP_SHARE]]
    updated_at = format_ms(at)
    floors, ceilings, starts = (_whole(prices) for prices in (markets.floor, markets.ceiling, markets.start_price))
    costs, fees, taxes, commissions = (_whole(numbers) for numbers in markets.costs)
    policies = []
    for i, name in enumerate(names):
        ending = bool(with_ending[i]) and starts[i] >= LEAST_FOR_ENDING
        list_price = int(ending_at_or_above(starts[i], ENDING, ENDING_MODULUS)) if ending else starts[i]
        policies.append(
            OfferPolicy(
                sku=name.sku,
                channel=name.channel,
                version=version,
                currency=CURRENCY,
                unit_cost=costs[i],
                list_price=list_price,
                floor=floors[i],
                ceiling=ceilings[i],
                updated_at=updated_at,
                tax_rate_bp=taxes[i],
                commission_bp=commissions[i],
                fixed_fee=fees[i],
                map_price=list_price * MAP_BP // BASIS_POINTS if with_map[i] else None,
                cooldown_s=COOLDOWN_S,
                price_ending=str(ENDING) if ending else None,
            )
        )
    return policies


def _whole(numbers: Array) -> list[int]:
    whole: list[int] = np.rint(np.asarray(numbers)).astype(int).tolist()
    return whole
