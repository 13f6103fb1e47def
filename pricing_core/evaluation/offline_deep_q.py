"""Deep Q-learning from a merchant's log as a policy of the bar: it learns once, at the beginning."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.learning import offline, targets
from pricing_core.learning.deep_q import Params
from pricing_core.learning.offline import Log, OfflineRecipe
from pricing_core.simulator import observation
from pricing_core.simulator.bar.interface import History, Outcome, View
from pricing_core.simulator.observation import Sums

PLAIN = OfflineRecipe(updates=3_000, batch=128, width=32, learning_rate=1e-3, discount=0.97, target_every=200)
CONSERVATIVE = replace(PLAIN, conservative=1.0)
ENSEMBLE = replace(PLAIN, members=4, pessimism=1.0)
_SEED = 0


class Memory(NamedTuple):
    """What N offers have learned and seen."""

    params: Params
    sums: Sums


@dataclass(frozen=True)
class OfflineDeepQ:
    """A policy of the bar (`evaluation.bar.OnlinePolicy`) for kinds with a log of a steady market."""

    recipe: OfflineRecipe

    def begin(self, view: View, history: History | None, _family: int) -> Memory:
        """Learn the log.

        Raises:
            ValueError: There is none.
        """
        if history is None:
            raise ValueError("history: expected a log to learn from")
        params = offline.fit(log_of(view, history), self.recipe, jax.random.key(_SEED))
        return Memory(params, observation.begin(view, history))

    def decide(self, memory: Memory, view: View, _key: Array) -> Array:
        """Take the price above cost that is valued most."""
        seen = observation.observe(view, memory.sums)
        values = offline.pessimistic_values(memory.params, seen, self.recipe.pessimism)
        return targets.best_allowed(values, observation.allowed(view))

    def learn(self, memory: Memory, view: View, price: Array, outcome: Outcome) -> Memory:
        """Remember what was sold; the weights stay."""
        return memory._replace(sums=observation.take_in(memory.sums, view, price, outcome.units))


def log_of(view: View, history: History) -> Log:
    """Replay a log as its learner would have seen it. A reward is a period's profit / (list price x guessed units)."""

    def step(sums: Sums, period: History) -> tuple[Sums, Array]:
        then = view._replace(unit_cost=period.cost, exposure=period.exposure)
        return observation.take_in(sums, then, period.price, period.units), observation.observe(then, sums)

    _, observed = jax.lax.scan(step, observation.begin(view, None), history)
    guessed = jnp.where(jnp.isfinite(view.prior_units), view.prior_units, 1.0)
    profit = history.units * (history.price - history.cost)
    nearest = jnp.abs(jnp.log(view.prices / history.price[..., None])).argmin(axis=2)
    return Log(
        observation=observed,
        action=nearest.astype(jnp.int32),
        reward=profit / (view.list_price * guessed),
        allowed=observation.allowed(view),
    )
