"""Demand of all offers together: what an offer that has sold nothing yet is thought to sell, by what it is.

    units ~ NegativeBinomial(mean = exposure · exp(f(c) + a - elasticity · x + rho · v), size)
    elasticity = softplus(g(c) + b)

c is what is known of an offer (category, price level, attributes), x = ln(price / reference price), a and b are what is
special about one offer: random effects with mean 0, looked up by a hash of its key; an offer never met has none. An
elasticity is positive by construction: no price rise is ever thought to raise demand. v is what made prices move beside
cost, as in `demand.control_function`, and 0 when demand is predicted. Heads that were fitted to different bootstrap
samples tell how much of f and g is known (Osband, Blundell, Pritzel & Van Roy 2016).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from pricing_core.demand.belief import Prior

HEADS = 8
EFFECTS = 4096
"""Places of the random effects; offers that share one share their effect."""
LEVEL_EFFECT = 0.9
"""Standard deviation of what is special about an offer's log level."""
ELASTICITY_EFFECT = 0.5
"""The same of its elasticity, before the softplus."""

Params = Mapping[str, Any]
"""Of `PopulationDemand`: ``effects`` [EFFECTS, 2], ``rho`` [HEADS], ``log_size`` [HEADS], and the layers."""


class Known(NamedTuple):
    """What is known of N offers, or of the offers of N observations."""

    content: Array
    """float32 [N, C], of the order of 1."""
    effect: Array
    """int32 [N], place of its random effect: a hash of its key modulo `EFFECTS`; -1 for one never met."""


class Curves(NamedTuple):
    """Demand by head. [N, HEADS] float32."""

    log_level: Array
    """Units for each unit of exposure at the reference price."""
    elasticity: Array
    """At the reference price; > 0."""


class PopulationDemand(nn.Module):
    """Curves of offers by what is known of them."""

    width: int = 32

    @nn.compact
    def __call__(self, known: Known) -> Curves:
        """Give the curves of all heads."""
        hidden = nn.tanh(nn.Dense(self.width, name="hidden_0")(known.content))
        hidden = nn.tanh(nn.Dense(self.width, name="hidden_1")(hidden))
        both = nn.Dense(2 * HEADS, name="heads")(hidden)
        effects = self.param("effects", nn.initializers.zeros_init(), (EFFECTS, 2))
        own = jnp.where(known.effect[:, None] >= 0, effects[known.effect], 0.0)
        level, slope = both[:, :HEADS] + own[:, :1], both[:, HEADS:] + own[:, 1:]
        return Curves(level, jax.nn.softplus(slope))


def curves(params: Params, known: Known) -> Curves:
    """Give what was learned of N offers."""
    width = params["hidden_0"]["kernel"].shape[1]
    layers = {name: value for name, value in params.items() if name not in {"rho", "log_size"}}
    return cast(Curves, PopulationDemand(width).apply({"params": layers}, known))


def prior(params: Params, known: Known, *, level_spread: float, elasticity_spread: float) -> Prior:
    """Give what is believed of offers before their first sale, for `demand.belief`.

    Args:
        params: What was learned.
        known: Of N offers.
        level_spread: Standard deviation of the log level among offers of which the same is known.
        elasticity_spread: The same of the log elasticity.

    Returns:
        A Gamma of the level and a median of the elasticity; what the heads do not agree on widens both.
    """
    log_level, elasticity = curves(params, known)
    level_variance = level_spread**2 + log_level.var(axis=1)
    log_elasticity = jnp.log(elasticity)
    # Of a Gamma of shape k the log has a variance of about ln(1 + 1 / k), and so has a lognormal of this variance.
    shape = 1.0 / jnp.expm1(level_variance)
    mean = jnp.exp(log_level.mean(axis=1) + 0.5 * level_variance)
    spread = jnp.sqrt(elasticity_spread**2 + log_elasticity.var(axis=1))
    return Prior(shape, shape / mean, jnp.exp(log_elasticity.mean(axis=1)), spread)
