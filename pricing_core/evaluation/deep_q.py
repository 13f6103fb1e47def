"""Plain deep Q-learning as a policy of the bar: what was learned in simulation decides, and learns no more."""

from __future__ import annotations

from dataclasses import dataclass

import jax
from jax import Array

from pricing_core.learning import checkpoint, deep_q, targets
from pricing_core.learning.deep_q import Params, Recipe
from pricing_core.simulator import observation
from pricing_core.simulator.bar.interface import History, Market, Outcome, View
from pricing_core.simulator.episodes import Episodes
from pricing_core.simulator.observation import Sums

RECIPE = Recipe(
    markets=256,
    steps=40_000,
    updates=2,
    batch=256,
    width=128,
    learning_rate=1e-3,
    discount=1.0,
    horizon=3,
    capacity=2_000,
    warm_up=100,
    target_every=100,
    epsilon=0.05,
)
"""Two minutes on two cores. A weak baseline proves nothing: 6,000 steps of 64 units earned 4 to 6 points less."""


@dataclass(frozen=True, eq=False)
class DeepQ:
    """A policy of the bar (`evaluation.bar.OnlinePolicy`); compiled anew for each set of weights.

    It sees what `simulator.observation` shows: the view and sums over the past, not the belief.
    """

    params: Params

    def begin(self, view: View, history: History | None, _family: int) -> Sums:
        """Start with the log, if there is one."""
        return observation.begin(view, history)

    def decide(self, memory: Sums, view: View, _key: Array) -> Array:
        """Take the price above cost that is valued most."""
        values = deep_q.action_values(self.params, observation.observe(view, memory))
        return targets.best_allowed(values, observation.allowed(view))

    def learn(self, memory: Sums, view: View, price: Array, outcome: Outcome) -> Sums:
        """Remember what was sold."""
        return observation.take_in(memory, view, price, outcome.units)


def trained(market: Market, seed: int, recipe: Recipe = RECIPE) -> DeepQ:
    """Learn one kind of market and give the policy. The ranges must be those for tuning.

    Args:
        market: The kind, of independent offers.
        seed: Of everything random.
        recipe: How long, and how.

    Raises:
        ValueError: Offers of the kind come in families.
    """
    episodes = Episodes(market)
    learner = deep_q.start(episodes, recipe, seed)
    learner = deep_q.learn(episodes, recipe, learner, steps=recipe.steps, part=recipe.steps)
    return DeepQ(jax.device_get(learner.params))


def restored(data: bytes, market: Market, recipe: Recipe = RECIPE) -> DeepQ:
    """Give the policy of a checkpoint.

    Raises:
        ValueError: It was written for another number of prices or by another recipe.
    """
    learner = checkpoint.from_bytes(data, deep_q.start(Episodes(market), recipe, seed=0))
    return DeepQ(jax.device_get(learner.params))
