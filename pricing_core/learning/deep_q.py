"""Deep Q-learning from transitions, the textbook's way: the plain learner that the evaluation compares with.

Double Q-learning (van Hasselt, Guez & Silver 2016) with a dueling network (Wang et al. 2016), n-step returns (Sutton
1988), Huber loss, and the mask inside the maximum of the target. Acting, the markets, the replay memory and the
updates are one `lax.scan`: nothing leaves the device between two reports. `learning.training`, which makes the model
that is served, needs neither replay nor luck: there every candidate's expectation is known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

from pricing_core.learning import replay, targets
from pricing_core.learning.replay import Replay, Row, Transition
from pricing_core.simulator.episodes import Episodes, Season, Step

Params = dict[str, dict[str, Array]]
"""Layer name → parameter name → array."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to learn. A step is one period of all markets."""

    markets: int
    steps: int
    """Altogether: exploration and learning rate fall along them."""
    updates: int
    """Of the network, at each step."""
    batch: int
    """Transitions of an update."""
    width: int
    """Of the two hidden layers."""
    learning_rate: float
    """At the start; falls to 0 as a cosine."""
    discount: float
    horizon: int
    """Steps of an n-step return."""
    capacity: int
    """Rows of the replay memory; each holds a step of all markets."""
    warm_up: int
    """Rows before the first update; more than ``horizon``."""
    target_every: int
    """Steps after which the target network is brought up to date."""
    epsilon: float
    """Share of random actions after the first fifth of the steps, in which it falls from 1."""


class DuelingNetwork(nn.Module):
    """Q(s, a) = V(s) + A(s, a) - mean over a of A(s, a): Wang et al. (2016), equation 9."""

    actions: int
    width: int

    @nn.compact
    def __call__(self, observation: Array) -> Array:
        """Value all actions: float32 [N, O] → [N, A]."""
        hidden = nn.relu(nn.Dense(self.width, name="hidden_0")(observation))
        hidden = nn.relu(nn.Dense(self.width, name="hidden_1")(hidden))
        both = nn.Dense(1 + self.actions, name="value_and_advantages")(hidden)
        value, advantage = both[:, :1], both[:, 1:]
        return value + advantage - advantage.mean(axis=1, keepdims=True)


class Learner(NamedTuple):
    """All that learning carries from one step to the next."""

    params: Params
    target: Params
    optimiser: Any
    replay: Replay
    season: Season
    shown: Step
    """What the markets showed last."""
    key: Array
    """Never changes: the step's number is folded in, so that it does not matter in how many parts one learns."""
    step: Array
    """int32 scalar, so far."""


class Progress(NamedTuple):
    """Means over the steps of a part."""

    step: int
    loss: float
    reward: float


def start(episodes: Episodes, recipe: Recipe, seed: int) -> Learner:
    """Begin with a random network and an empty memory.

    Raises:
        ValueError: The recipe would draw from a memory that is too young or too small.
    """
    if not recipe.horizon < recipe.warm_up <= recipe.capacity:
        raise ValueError(f"warm_up: expected more than {recipe.horizon} and at most {recipe.capacity} rows")
    k_params, k_markets, k_run = jax.random.split(jax.random.key(seed), 3)
    season, shown = jax.jit(episodes.reset, static_argnums=1)(k_markets, recipe.markets)
    params = dict(_network(episodes, recipe).init(k_params, shown.observation)["params"])
    row = _row(shown, jnp.zeros(recipe.markets, jnp.int32), shown, recipe)
    memory = replay.empty(row, recipe.capacity)
    optimiser = _optimiser(recipe).init(params)
    learner = Learner(params, params, optimiser, memory, season, shown, k_run, jnp.zeros((), jnp.int32))
    return cast(Learner, jax.tree.map(jnp.array, learner))  # nothing that is donated may be there twice


def learn(
    episodes: Episodes,
    recipe: Recipe,
    learner: Learner,
    *,
    steps: int,
    part: int,
    report: Callable[[Progress], None] = lambda _: None,
) -> Learner:
    """Learn for some steps. The same seed gives the same bits on one backend, however the steps are split.

    Args:
        episodes: The markets.
        recipe: How.
        learner: Where it stands; not to be used again.
        steps: A multiple of ``part``.
        part: Steps between two reports.
        report: Called after each part.

    Raises:
        ValueError: The steps cannot be split into such parts.
    """
    if steps % part:
        raise ValueError(f"steps: expected a multiple of {part}, got {steps}")
    for _ in range(steps // part):
        learner, (loss, reward) = advance(episodes, recipe, learner, part)
        report(Progress(int(learner.step), float(loss.mean()), float(reward.mean())))
    return learner


@partial(jax.jit, static_argnames=("episodes", "recipe", "steps"), donate_argnames="learner")
def advance(episodes: Episodes, recipe: Recipe, learner: Learner, steps: int) -> tuple[Learner, tuple[Array, Array]]:
    """Learn for some steps at once; returns also loss and mean reward of each, float32 [steps]."""
    return jax.lax.scan(lambda carried, _: _step(episodes, recipe, carried), learner, length=steps)


def action_values(params: Params, observation: Array) -> Array:
    """Value all actions by what was learned: float32 [N, O] → [N, A]."""
    width, outputs = params["value_and_advantages"]["kernel"].shape
    return cast(Array, DuelingNetwork(outputs - 1, width).apply({"params": params}, observation))


def double_q_errors(params: Params, target: Params, drawn: Transition, q_tm1: Array) -> Array:
    """Huber losses of transitions against their double-Q targets, float32 [B].

    Args:
        params: Of the network that chooses.
        target: Of the one that values what was chosen.
        drawn: Transitions.
        q_tm1: [B, A] what the network says of them.
    """
    aim = targets.double_q_target(
        drawn.r_t,
        drawn.discount_t,
        action_values(params, drawn.o_t),
        action_values(target, drawn.o_t),
        drawn.allowed_t,
    )
    chosen = jnp.take_along_axis(q_tm1, drawn.a_tm1[:, None], axis=1)[:, 0]
    errors: Array = optax.losses.huber_loss(chosen, jax.lax.stop_gradient(aim), delta=1.0)
    return errors


def descent(learning_rate: float, updates: int) -> optax.GradientTransformation:
    """Adam whose rate falls to 0 as a cosine; gradients are cut at a norm of 10."""
    rate = optax.schedules.cosine_decay_schedule(learning_rate, updates)
    return optax.chain(optax.clip_by_global_norm(10.0), optax.adam(rate))


def _step(episodes: Episodes, recipe: Recipe, learner: Learner) -> tuple[Learner, tuple[Array, Array]]:
    k_act, k_update = jax.random.split(jax.random.fold_in(learner.key, learner.step))
    action = _act(recipe, learner, k_act)
    season, shown = episodes.step(learner.season, action)
    memory = replay.add(learner.replay, _row(learner.shown, action, shown, recipe))

    def update(carried: tuple[Params, Any], key: Array) -> tuple[tuple[Params, Any], Array]:
        drawn = replay.sample(memory, key, recipe.batch, recipe.horizon)
        return _update(recipe, *carried, learner.target, drawn)

    def updates(carried: tuple[Params, Any]) -> tuple[tuple[Params, Any], Array]:
        return jax.lax.scan(update, carried, jax.random.split(k_update, recipe.updates))

    before = (learner.params, learner.optimiser)
    (params, optimiser), losses = jax.lax.cond(
        memory.added >= recipe.warm_up, updates, lambda carried: (carried, jnp.zeros(recipe.updates)), before
    )
    renew = (learner.step + 1) % recipe.target_every == 0
    target = jax.tree.map(lambda new, old: jnp.where(renew, new, old), params, learner.target)
    after = Learner(params, target, optimiser, memory, season, shown, learner.key, learner.step + 1)
    return after, (losses.mean(), shown.reward.mean())


def _act(recipe: Recipe, learner: Learner, key: Array) -> Array:
    """Take the best allowed action, or now and then any allowed one: int32 [N]."""
    k_whether, k_which = jax.random.split(key)
    allowed = learner.shown.allowed
    epsilon = jnp.maximum(1.0 - learner.step / (0.2 * recipe.steps), recipe.epsilon)
    explore = jax.random.uniform(k_whether, allowed.shape[:1]) < epsilon
    any_ = jnp.where(allowed, jax.random.uniform(k_which, allowed.shape), -1.0).argmax(axis=1)
    best = targets.best_allowed(action_values(learner.params, learner.shown.observation), allowed)
    return jnp.where(explore, any_, best).astype(jnp.int32)


def _update(
    recipe: Recipe, params: Params, optimiser: Any, target: Params, drawn: Transition
) -> tuple[tuple[Params, Any], Array]:
    def objective(params: Params) -> Array:
        return jnp.mean(drawn.weight * double_q_errors(params, target, drawn, action_values(params, drawn.o_tm1)))

    loss, gradient = jax.value_and_grad(objective)(params)
    change, optimiser = _optimiser(recipe).update(gradient, optimiser, params)
    return (optax.apply_updates(params, change), optimiser), loss


def _row(seen: Step, action: Array, after: Step, recipe: Recipe) -> Row:
    return Row(
        observation=seen.observation,
        allowed=seen.allowed,
        action=action,
        reward=after.reward,
        discount=recipe.discount * (1.0 - after.terminated),
        last=after.terminated | after.truncated,
        void=seen.terminated | seen.truncated,
    )


def _network(episodes: Episodes, recipe: Recipe) -> DuelingNetwork:
    return DuelingNetwork(episodes.actions(), recipe.width)


def _optimiser(recipe: Recipe) -> optax.GradientTransformation:
    return descent(recipe.learning_rate, max((recipe.steps - recipe.warm_up) * recipe.updates, 1))
