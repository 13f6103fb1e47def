"""The Q-function: what each candidate price is worth, as one Flax module.

Q(s, a) = w·features of the candidate + head(trunk(s), features of the candidate). The trunk runs once per offer,
the light head once per candidate. Before training the network is the planner: the weight of its gain is 1 and
the head answers 0, so that what is learned is a correction.
"""

from __future__ import annotations

from typing import cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from pricing_core.features import CANDIDATE_FEATURES, FEATURES, MOVES_BP, PLAN

UNIT = "discounted profit, in units of the offer's profit at its reference price"
"""Of what `QFunction` says."""


def _planner_weights(_key: Array, shape: tuple[int, ...], dtype: jnp.dtype = jnp.float32) -> Array:
    return jnp.zeros(shape, dtype).at[PLAN, 0].set(CANDIDATE_FEATURES[PLAN].scale)


class QFunction(nn.Module):
    """Value of each candidate: discounted profit in units of the offer's profit at its reference price."""

    trunk_width: int = 64
    head_width: int = 32

    @nn.compact
    def __call__(self, state: Array, candidates: Array) -> Array:
        """Value all candidates.

        Args:
            state: [N, F] from `features.featurize`.
            candidates: [N, A, C] from `features.featurize`.

        Returns:
            float32 [N, A].
        """
        hidden = nn.relu(nn.Dense(self.trunk_width, name="trunk_0")(state))
        hidden = nn.relu(nn.Dense(self.trunk_width, name="trunk_1")(hidden))
        offer = nn.Dense(self.head_width, name="offer")(hidden)
        price = nn.Dense(self.head_width, use_bias=False, name="price")(candidates)
        joint = nn.relu(offer[:, None, :] + price)
        correction = nn.Dense(1, kernel_init=nn.initializers.zeros_init(), name="correction")(joint)
        planner = nn.Dense(1, use_bias=False, kernel_init=_planner_weights, name="planner")(candidates)
        return (planner + correction)[..., 0]


Params = dict[str, dict[str, Array]]
"""Layer name → parameter name → array."""


def init_params(key: Array) -> Params:
    """Draw the weights from which training starts."""
    state = jnp.zeros((1, len(FEATURES)))
    variables = QFunction().init(key, state, jnp.zeros((1, len(MOVES_BP), len(CANDIDATE_FEATURES))))
    return dict(variables["params"])


def q_values(params: Params, state: Array, candidates: Array) -> Array:
    """Value all candidates: float32 [N, A]. Shapes as in `QFunction`."""
    return cast(Array, QFunction().apply({"params": params}, state, candidates))


def parameter_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Name the shapes that a model file must have."""
    abstract = jax.eval_shape(init_params, jax.random.key(0))
    return {layer: {name: leaf.shape for name, leaf in leaves.items()} for layer, leaves in abstract.items()}
