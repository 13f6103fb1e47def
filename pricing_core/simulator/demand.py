"""How many shoppers there are and how many of them buy, as a function of all prices.

Impressions come at ``traffic x season x drift``; each is bought with probability
``interest x own / (1 + own + rivals in stock)``, where a seller's attraction is
``exp(appeal - kappa·B(p / reference))`` with the Box-Cox form B(r) = (r^λ - 1) / λ: λ near 0 is constant
elasticity, λ = 1 the usual logit. The elasticity at the reference price is kappa·(1 - own share); it is drawn
between 1.3 and 5 with mean 2.65, the mean over 1,851 published estimates (Bijmolt, van Heerde & Pieters 2005).
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import ndtri

from pricing_core.simulator.rivals import Rivals, RivalState


class Demand(NamedTuple):
    """The shoppers of N markets. All [N] float32."""

    reference_price: Array
    """Price at which the appeal is meant, minor units."""
    traffic: Array
    """Impressions a day: 3 to 5,000."""
    interest: Array
    """Share of impressions that weigh the offers up."""
    appeal: Array
    """Log attraction at the reference price; to buy nowhere has 0."""
    kappa: Array
    """Price sensitivity."""
    curvature: Array
    """λ."""
    click_rate: Array
    season_amplitude: Array
    season_phase_days: Array
    traffic_noise: Array
    """Standard deviation of the log shock of a period's impressions."""
    demand_noise: Array
    """The same for purchases."""


class Drift(NamedTuple):
    """Slow log changes of N markets. [N] float32."""

    traffic: Array
    appeal: Array


def sample(key: Array, reference_price: Array, rivals: Rivals) -> Demand:
    """Draw shoppers so that elasticity and conversion at the list prices have the intended spread."""
    uniform = jax.random.uniform(key, (10, *reference_price.shape), minval=1e-6, maxval=1.0)
    normal = ndtri(uniform)  # each row is used once, as a uniform or as a normal
    own = jnp.exp(-0.7 + 0.6 * normal[0])
    share = own / (1.0 + own + jnp.where(rivals.present, rivals.weight, 0.0).sum(axis=1))
    elasticity = 1.3 + 3.7 * _kumaraswamy(uniform[1], 1.6, 3.3)
    conversion = jnp.clip(0.025 * jnp.exp(0.7 * normal[2]), 0.004, 0.12)
    return Demand(
        reference_price=reference_price,
        traffic=jnp.clip(150.0 * jnp.exp(1.6 * normal[3]), 3.0, 5000.0),
        interest=jnp.minimum(conversion / share, 0.6),
        appeal=jnp.log(own),
        kappa=elasticity / (1.0 - share),
        curvature=0.05 + 1.15 * uniform[4],
        click_rate=0.02 + 0.13 * uniform[5],
        season_amplitude=0.3 * uniform[6],
        season_phase_days=7.0 * uniform[7],
        traffic_noise=0.3 * uniform[8],
        demand_noise=0.12 * uniform[9],
    )


def drifted(drift: Drift, normal: Array, dt_days: Array) -> Drift:
    """Let a period pass: mean-reverting walks, spread 25 % in 20 days for traffic, 10 % in 30 for appeal.

    Args:
        drift: Before.
        normal: [2, N] standard normal.
        dt_days: [N] or scalar.
    """
    return Drift(
        _walk(drift.traffic, 0.25, 20.0, normal[0], dt_days), _walk(drift.appeal, 0.1, 30.0, normal[1], dt_days)
    )


def traffic_rate(demand: Demand, drift: Drift, day: Array) -> Array:
    """Impressions a day at ``day``, [N]."""
    week = jnp.sin(2.0 * jnp.pi * (day + demand.season_phase_days) / 7.0)
    return demand.traffic * jnp.exp(drift.traffic) * (1.0 + demand.season_amplitude * week)


def purchase_probability(demand: Demand, drift: Drift, rivals: Rivals, state: RivalState, price: Array) -> Array:
    """Probability that an impression of one market becomes a sale at one price: falls in the price.

    Args:
        demand: Of one market, as all that follow.
        drift: Of the demand.
        rivals: [R].
        state: Of the rivals, [R].
        price: Ours.
    """
    own = jnp.exp(demand.appeal + drift.appeal - demand.kappa * _box_cox(demand, price))
    # A rival's weight is its attraction at its list price.
    gap = _box_cox(demand, state.price) - _box_cox(demand, rivals.list_price)
    others = jnp.where(rivals.present & state.in_stock, rivals.weight * jnp.exp(-demand.kappa * gap), 0.0)
    return demand.interest * own / (1.0 + own + others.sum())


def _box_cox(demand: Demand, price: Array) -> Array:
    ratio = jnp.maximum(price / demand.reference_price, 1e-2)
    return jnp.expm1(demand.curvature * jnp.log(ratio)) / demand.curvature


def _kumaraswamy(uniform: Array, a: float, b: float) -> Array:
    """Quantile of a distribution close to Beta(a, b), but in closed form."""
    return (1.0 - (1.0 - uniform) ** (1.0 / b)) ** (1.0 / a)


def _walk(level: Array, spread: float, days: float, normal: Array, dt_days: Array) -> Array:
    kept = jnp.exp(-dt_days / days)
    return level * kept + spread * jnp.sqrt(1.0 - kept**2) * normal
