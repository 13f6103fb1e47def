"""Demand curves."""
from __future__ import annotations
import jax.numpy as jnp
from jax import Array
FORMS = ("exponential", "constant_elasticity", "linear", "logit")
def demand(form: Array, elasticity: Array, ratio: Array) -> Array:
    values = (jnp.exp(-elasticity * (ratio - 1.0)), ratio ** -elasticity, jnp.maximum(1.0 - elasticity * (ratio - 1.0), 0.0),
              2.0 / (1.0 + jnp.exp(2.0 * elasticity * (ratio - 1.0))))
    return jnp.select([form == i for i in range(4)], values)
