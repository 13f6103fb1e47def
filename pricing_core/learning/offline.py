"""Deep Q-learning from a log alone, one small learner for each market: what it can learn without trying anything.

Double Q-learning over what others did. Where the log hardly ever shows a price, its value is a guess, and a maximum
picks the guess that errs the most: that is how such learners fail. Two remedies can be put on:

- the conservative term of Kumar, Zhou, Tucker & Levine (2020, equation 4): it pushes the values of all actions down and
  that of the logged one up;
- an ensemble whose members draw their own transitions, and whose disagreement is taken off the mean (as An, Moon, Kim &
  Song 2021 take the least of many).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pricing_core.learning.deep_q import DuelingNetwork, Params, action_values, descent, double_q_errors
from pricing_core.learning.replay import Transition


@dataclass(frozen=True, slots=True)
class OfflineRecipe:
    """How to learn from a log."""

    updates: int
    batch: int
    """Transitions of an update."""
    width: int
    """Of the two hidden layers."""
    learning_rate: float
    """At the start; falls to 0 as a cosine."""
    discount: float
    target_every: int
    """Updates after which the target network is brought up to date."""
    conservative: float = 0.0
    """Weight of the conservative term."""
    members: int = 1
    """Of the ensemble."""
    pessimism: float = 0.0
    """Standard deviations over the members that are taken off their mean."""


class Log(NamedTuple):
    """L consecutive steps of N markets."""

    observation: Array
    """float32 [L, N, O], before each."""
    action: Array
    """int32 [L, N]."""
    reward: Array
    """float32 [L, N]."""
    allowed: Array
    """bool [N, A], at all times."""


def fit(log: Log, recipe: OfflineRecipe, key: Array) -> Params:
    """Learn each market from its own steps: parameters with [N, members] in front of each leaf.

    Args:
        log: At least two steps.
        recipe: How.
        key: Consumed.
    """
    _, n = log.reward.shape
    keys = jax.random.split(key, (n, recipe.members))
    observation, action, reward = (jnp.moveaxis(part, 1, 0) for part in log[:-1])
    by_market = Log(observation, action, reward, log.allowed)

    def members(one: Log, keys: Array) -> Params:
        return jax.vmap(lambda key: _fit(one, recipe, key))(keys)

    return jax.vmap(members)(by_market, keys)


def pessimistic_values(params: Params, observation: Array, pessimism: float) -> Array:
    """Value all actions by what each market's members have learned: float32 [N, O] → [N, A]."""

    def members(of_market: Params, seen: Array) -> Array:
        return jax.vmap(lambda member: action_values(member, seen[None])[0])(of_market)

    by_member = jax.vmap(members)(params, observation)
    values: Array = by_member.mean(axis=1) - pessimism * by_member.std(axis=1)
    return values


def _fit(log: Log, recipe: OfflineRecipe, key: Array) -> Params:
    """One member of one market: leaves of the log without their N."""
    k_params, k_run = jax.random.split(key)
    network = DuelingNetwork(log.allowed.shape[0], recipe.width)
    params = dict(network.init(k_params, log.observation[:1])["params"])
    optimiser = descent(recipe.learning_rate, recipe.updates)

    def update(carried: tuple[Params, Params, Any], number: Array) -> tuple[tuple[Params, Params, Any], None]:
        params, target, state = carried
        at = jax.random.randint(jax.random.fold_in(k_run, number), (recipe.batch,), 0, log.reward.shape[0] - 1)
        gradient = jax.grad(_objective)(params, target, log, at, recipe)
        change, state = optimiser.update(gradient, state, params)
        params = optax.apply_updates(params, change)
        renew = (number + 1) % recipe.target_every == 0
        target = jax.tree.map(lambda new, old: jnp.where(renew, new, old), params, target)
        return (params, target, state), None

    start = (params, params, optimiser.init(params))
    (params, _, _), _ = jax.lax.scan(update, start, jnp.arange(recipe.updates))
    return params


def _objective(params: Params, target: Params, log: Log, at: Array, recipe: OfflineRecipe) -> Array:
    drawn = Transition(
        o_tm1=log.observation[at],
        a_tm1=log.action[at],
        r_t=log.reward[at],
        discount_t=jnp.full(recipe.batch, recipe.discount),
        o_t=log.observation[at + 1],
        allowed_t=jnp.broadcast_to(log.allowed, (recipe.batch, log.allowed.shape[0])),
        weight=jnp.ones(recipe.batch),
    )
    q_tm1 = action_values(params, drawn.o_tm1)
    errors = double_q_errors(params, target, drawn, q_tm1)
    return jnp.mean(errors + recipe.conservative * _optimism(q_tm1, drawn))


def _optimism(q: Array, drawn: Transition) -> Array:
    """Give log Σ exp Q(s, a) - Q(s, logged a): what the conservative term takes off."""
    logged = jnp.take_along_axis(q, drawn.a_tm1[:, None], axis=1)[:, 0]
    return jax.nn.logsumexp(jnp.where(drawn.allowed_t, q, -jnp.inf), axis=1) - logged
