"""The Q-function: what each candidate price is worth, as one Flax module.

Q(s, a) = what the planner expects under the belief + gate(s) · correction(s, a); the correction is
w·features of the candidate + head(trunk(s), features of the candidate). The trunk runs once per offer, the light head
once per candidate. Before training the correction is 0. Its gate is shut where a feature of the offer lies outside of
what occurred in training: there the planner decides alone.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from pricing_core.features import CANDIDATE_FEATURES, CLIP, FEATURES, MOVES_BP

RANGE = "range"
"""Name of the layer that holds what occurred in training: ``low`` and ``high``, [F] each."""
UNIT = "discounted profit, in units of the offer's profit at its reference price"
"""Of what `QFunction` says."""


class Values(NamedTuple):
    """What the parts of the Q-function say, float32 [N, A]."""

    planner: Array
    correction: Array
    """What the network would add."""
    system: Array
    """Both, the correction where its gate is open: Q."""


class _Range(nn.Module):
    """Whether all features of an offer are within the range of training, [N]. Nothing is learned here by gradients."""

    @nn.compact
    def __call__(self, state: Array) -> Array:
        low = self.param("low", nn.initializers.constant(-CLIP), (state.shape[-1],))
        high = self.param("high", nn.initializers.constant(CLIP), (state.shape[-1],))
        inside: Array = ((state >= low) & (state <= high)).all(axis=-1)
        return inside


class QFunction(nn.Module):
    """Value of each candidate: profit of the coming period over that of holding, in units of the latter."""

    trunk_width: int = 32
    head_width: int = 16

    @nn.compact
    def __call__(self, state: Array, candidates: Array, plan: Array) -> Values:
        """Value all candidates.

        Args:
            state: [N, F] from `features.featurize`.
            candidates: [N, A, C] from `features.featurize`.
            plan: [N, A] from `features.featurize`.
        """
        hidden = nn.relu(nn.Dense(self.trunk_width, name="trunk_0")(state))
        hidden = nn.relu(nn.Dense(self.trunk_width, name="trunk_1")(hidden))
        offer = nn.Dense(self.head_width, name="offer")(hidden)
        price = nn.Dense(self.head_width, use_bias=False, name="price")(candidates)
        joint = nn.relu(offer[:, None, :] + price)
        bent = nn.Dense(1, kernel_init=nn.initializers.zeros_init(), name="correction")(joint)
        straight = nn.Dense(1, use_bias=False, kernel_init=nn.initializers.zeros_init(), name="direct")(candidates)
        correction = (bent + straight)[..., 0]
        gate = _Range(name=RANGE)(state)
        return Values(plan, correction, plan + jnp.where(gate[:, None], correction, 0.0))


Params = dict[str, dict[str, Array]]
"""Layer name → parameter name → array."""


def init_params(key: Array) -> Params:
    """Draw the weights from which training starts."""
    state = jnp.zeros((1, len(FEATURES)))
    candidates = jnp.zeros((1, len(MOVES_BP), len(CANDIDATE_FEATURES)))
    variables = QFunction().init(key, state, candidates, candidates[..., 0])
    return dict(variables["params"])


def values(params: Params, state: Array, candidates: Array, plan: Array) -> Values:
    """Value all candidates. Shapes as in `QFunction`."""
    return cast(Values, QFunction().apply({"params": params}, state, candidates, plan))


def q_values(params: Params, state: Array, candidates: Array, plan: Array) -> Array:
    """Value all candidates: float32 [N, A]."""
    return values(params, state, candidates, plan).system


def with_range(params: Params, low: Array, high: Array) -> Params:
    """Open the gate of the correction where all features of an offer, [F], are within bounds."""
    return {**params, RANGE: {"low": low, "high": high}}


def parameter_shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """Name the shapes that a model file must have."""
    abstract = jax.eval_shape(init_params, jax.random.key(0))
    return {layer: {name: leaf.shape for name, leaf in leaves.items()} for layer, leaves in abstract.items()}
