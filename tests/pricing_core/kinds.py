"""Offers of which nobody expects anything in particular."""

import jax.numpy as jnp

from pricing_core.decayed_demand import PRIOR_ELASTICITY
from pricing_core.outlook import NO_GUESS, Kind


def usual(n, *, counts_shoppers=0.0, rival_known=0.0):
    """n of them."""
    return Kind(*(jnp.full(n, value) for value in (counts_shoppers, rival_known, PRIOR_ELASTICITY, NO_GUESS)))
