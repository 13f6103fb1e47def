"""The demand curves of a belief: each form of `forms` at each elasticity of a grid."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pricing_core.demand.forms import FORMS, demand
from pricing_core.demand.knots import PLACES

ELASTICITIES = np.geomspace(0.6, 8.0, 12)
LEAST_DEMAND = 0.01
"""Relative demand is never taken to be less, or one sale would refute a form."""

FORM_OF_CURVE = np.repeat(np.arange(len(FORMS), dtype=np.int32), len(ELASTICITIES))
"""int32 [J]: the J curves, form by form, elasticities ascending."""
ELASTICITY_OF_CURVE = np.tile(ELASTICITIES, len(FORMS)).astype(np.float32)
"""float32 [J] at the list price."""
CURVES = len(FORM_OF_CURVE)


def tabulated(log_ratio: NDArray[Any]) -> NDArray[np.float32]:
    """Relative demand of each curve at each ln(price / list price) [B]: [J, B], at least `LEAST_DEMAND`."""
    form, elasticity = (jnp.asarray(part)[:, None] for part in (FORM_OF_CURVE, ELASTICITY_OF_CURVE))
    with jax.ensure_compile_time_eval():
        of_curves = np.asarray(demand(form, elasticity, np.exp(log_ratio)[None]), np.float32)
    return np.maximum(of_curves, np.float32(LEAST_DEMAND))


ON_KNOTS = tabulated(PLACES)
"""float32 [J, B]: relative demand of each curve at each knot."""
