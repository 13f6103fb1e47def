"""Learning from logged transitions: a demand model, and a Q-function that starts from the one that serves.

For each batch, drawn from a memory on the device, one compiled update does:

1. **demand**: Poisson regression of the pieces sold on what the network was shown, with an elasticity that depends on
   it, too. An ensemble: each head sees each transition as often as a bootstrap sample holds it, Poisson(1) times.
   Where the stock ran out, what was sold is the least that was demanded (`demanded`).
2. **expectation targets**: what each candidate price is expected to earn over holding under that demand, the heads'
   mean less a share of their disagreement. Every candidate has one, whether it was tried or not.
3. **temporal difference**: for the candidate that was carried out, what was truly earned (with what is expected of
   those who found no stock), plus the discounted double-Q
   value of the decision that followed (van Hasselt, Guez & Silver 2016).
4. **conservative term** (Kumar, Zhou, Tucker & Levine 2020, equation 4), and an anchor at the Q-function from which
   learning began: where the log says nothing, nothing changes.

A reward is the profit of an interval as a share of what the demand model expects of holding, minus 1: the unit of the
Q-function that ships.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
import optax
from jax import Array

from pricing_core.learning import targets
from pricing_core.q_function import Params, q_values

HEADS = 4
"""Of the demand model."""
_USUAL_ELASTICITY = 2.5
_MAX_ELASTICITY = 10.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to learn."""

    batch: int = 256
    learning_rate: float = 3e-4
    demand_learning_rate: float = 3e-3
    discount_half_life_days: float = 0.0
    """0 looks one period ahead only, as the model that ships."""
    target_rate: float = 0.01
    """Share of the way that the target network follows at each update."""
    level_weight: float = 0.02
    expectation: float = 1.0
    """Weights of the terms of the loss."""
    temporal_difference: float = 0.05
    conservative: float = 0.002
    anchor: float = 1.0
    pessimism: float = 0.5
    """Standard deviations over the heads that are taken off their mean."""
    decay: float = 1e-4
    """Pulls the demand model's weights to 0: to one rate and the usual elasticity."""


class Transitions(NamedTuple):
    """n transitions, or room for them. [n]."""

    seen: tuple[Array, ...]
    """Arguments of `q_values` beside the parameters; the first is the state, float32 [n, F]."""
    log_ratio: Array
    """float32 [n, A], ln(candidate / price before)."""
    legal: Array
    """bool [n, A]."""
    action: Array
    """int32, what was carried out."""
    days: Array
    """float32 > 0."""
    units: Array
    """float32, placed."""
    profit: Array
    """float32, of what was sold and kept, in prices before."""
    slope: Array
    """float32, share of the price that is left after tax and commission."""
    offset: Array
    """float32, cost of a piece, in prices before."""
    censored: Array
    """bool, the stock ran out, or may have: at least ``units`` were demanded."""
    copies: Array
    """float32 [n, HEADS], how often each head sees it."""
    has_next: Array
    """bool."""
    next_seen: tuple[Array, ...]
    next_legal: Array
    """bool [n, A]."""


class Learner(NamedTuple):
    """All that learning carries from one update to the next."""

    params: Params
    target: Params
    anchor: Params
    """Where learning began."""
    optimiser: Any
    demand: Params
    demand_optimiser: Any
    key: Array
    """Never changes: the number of the update is folded in."""
    updates: Array
    """int32 scalar, so far."""


class Losses(NamedTuple):
    """Means over some updates."""

    q: Array
    demand: Array


def start(params: Params, features: int, recipe: Recipe, seed: int) -> Learner:
    """Begin from a Q-function, and a demand that knows nothing.

    Args:
        params: Of the Q-function that serves.
        features: Of the state, F.
        recipe: How.
        seed: Of the draws.
    """
    usual = jnp.full(HEADS, jnp.log(jnp.expm1(_USUAL_ELASTICITY)), jnp.float32)  # a weak type compiles all anew
    demand = {
        "rate": {"kernel": jnp.zeros((features, HEADS)), "bias": jnp.zeros(HEADS)},
        "elasticity": {"kernel": jnp.zeros((features, HEADS)), "bias": usual},
    }
    learner = Learner(
        params,
        params,
        params,
        optax.adam(recipe.learning_rate).init(params),
        demand,
        optax.adam(recipe.demand_learning_rate).init(demand),
        jax.random.key(seed),
        jnp.zeros((), jnp.int32),
    )
    return cast(Learner, jax.tree.map(jnp.array, learner))  # nothing that is donated may be there twice


def room_for(one: Transitions, capacity: int) -> Transitions:
    """Make room for ``capacity`` transitions like those given."""
    return cast(Transitions, jax.tree.map(lambda leaf: jnp.zeros((capacity, *leaf.shape[1:]), leaf.dtype), one))


@partial(jax.jit, donate_argnames="memory")
def put(memory: Transitions, new: Transitions, at: Array) -> Transitions:
    """Overwrite the places ``at``, int32 [n]; those behind the end are left out."""
    return cast(Transitions, jax.tree.map(lambda kept, leaf: kept.at[at].set(leaf, mode="drop"), memory, new))


@partial(jax.jit, static_argnames=("recipe", "updates"), donate_argnames="learner")
def learn(
    recipe: Recipe, learner: Learner, memory: Transitions, filled: Array, *, updates: int
) -> tuple[Learner, Losses]:
    """Do some updates, each with a batch drawn evenly and with repetition.

    Args:
        recipe: How.
        learner: Not to be used again.
        memory: Transitions.
        filled: int32 scalar, how many of its places are filled, from the first on; at least 1.
        updates: How many.
    """

    def update(carried: Learner, _: None) -> tuple[Learner, Losses]:
        at = jax.random.randint(jax.random.fold_in(carried.key, carried.updates), (recipe.batch,), 0, filled)
        return _update(recipe, carried, jax.tree.map(lambda leaf: leaf[at], memory))

    learner, losses = jax.lax.scan(update, learner, length=updates)
    return learner, jax.tree.map(jnp.mean, losses)


def demand_of(demand: Params, state: Array) -> tuple[Array, Array]:
    """Pieces a day at the price before, and the elasticity, by each head: float32 [n, F] → [n, HEADS] each."""
    log_rate = state @ demand["rate"]["kernel"] + demand["rate"]["bias"]
    elasticity = jax.nn.softplus(state @ demand["elasticity"]["kernel"] + demand["elasticity"]["bias"])
    return jnp.exp(jnp.clip(log_rate, -12.0, 12.0)), jnp.minimum(elasticity, _MAX_ELASTICITY)


def demanded(units: Array, mean: Array) -> Array:
    """What k pieces sold until the stock ran out say of the demand N ~ Poisson(m): E[N | N ≥ k], float32 of any shape.

    E[N | N ≥ k] = m·P(N ≥ k - 1) / P(N ≥ k), and P(N ≥ k) is the regularised lower incomplete gamma function of k, m.
    Put in place of the count and held fixed it gives the Poisson likelihood the gradient of log P(N ≥ k), which is that
    of the censored count (Dempster, Laird & Rubin 1977). Without such intervals low demand would be left.

    Args:
        units: k, at least 0.
        mean: m, above 0.
    """
    at_least, one_less = (
        jnp.where(k > 0, jax.scipy.special.gammainc(jnp.maximum(k, 1.0), mean), 1.0) for k in (units, units - 1.0)
    )
    possible = at_least > 1e-30  # else m is far below k, and the ratio is 0 / 0: little more than k was demanded
    return jnp.where(possible, jnp.maximum(mean * one_less / jnp.where(possible, at_least, 1.0), units), units)


def expected_gain(drawn: Transitions, elasticity: Array) -> Array:
    """Profit at each candidate over that of holding, in units of the latter (at least 10 % of the price).

    ((a·e^r - o)·e^(-ε·r) - (a - o)) / max(|a - o|, a/10)

    Args:
        drawn: n transitions.
        elasticity: float32 [n, HEADS].

    Returns:
        float32 [n, A, HEADS].
    """
    ratio, slope, offset = drawn.log_ratio[:, :, None], drawn.slope[:, None, None], drawn.offset[:, None, None]
    then = (slope * jnp.exp(ratio) - offset) * jnp.exp(-elasticity[:, None, :] * ratio)
    return (then - (slope - offset)) / _margin(drawn)[:, None, None]


def _margin(drawn: Transitions) -> Array:
    """Profit of a piece at the price before, at least 10 % of what is left of that price."""
    return jnp.maximum(jnp.abs(drawn.slope - drawn.offset), 0.1 * drawn.slope)


def _update(recipe: Recipe, learner: Learner, drawn: Transitions) -> tuple[Learner, Losses]:
    demand_loss, gradient = jax.value_and_grad(_demand_loss)(learner.demand, drawn, recipe)
    change, demand_state = optax.adam(recipe.demand_learning_rate).update(gradient, learner.demand_optimiser)
    demand = optax.apply_updates(learner.demand, change)
    q_loss, gradient = jax.value_and_grad(_q_loss)(learner.params, learner, drawn, recipe)
    change, state = optax.adam(recipe.learning_rate).update(gradient, learner.optimiser)
    params = optax.apply_updates(learner.params, change)
    target = optax.incremental_update(params, learner.target, recipe.target_rate)
    after = learner._replace(
        params=params,
        target=target,
        optimiser=state,
        demand=demand,
        demand_optimiser=demand_state,
        updates=learner.updates + 1,
    )
    return after, Losses(q_loss, demand_loss)


def _demand_loss(demand: Params, drawn: Transitions, recipe: Recipe) -> Array:
    """Minus the mean log likelihood of Poisson counts, but for a constant, each head's by its own copies."""
    rate, elasticity = demand_of(demand, drawn.seen[0])
    mean = _sold_of(drawn, rate, elasticity)
    sold = drawn.units[:, None]
    counted = jnp.where(drawn.censored[:, None], jax.lax.stop_gradient(demanded(sold, mean)), sold)
    losses = mean - counted * jnp.log(mean)
    size = sum(jnp.sum(layer["kernel"] ** 2) for layer in demand.values())
    return jnp.mean(drawn.copies * losses) + recipe.decay * size


def _sold_of(drawn: Transitions, rate: Array, elasticity: Array) -> Array:
    """Pieces that a demand would have bought at the price that was carried out, [n, HEADS]."""
    moved = jnp.take_along_axis(drawn.log_ratio, drawn.action[:, None], axis=1)
    return drawn.days[:, None] * rate * jnp.exp(-elasticity * moved) + 1e-6


def _with_missed(drawn: Transitions, mean: Array) -> Transitions:
    """Let censored intervals have earned what those would have left who found no stock, [n] pieces expected in all."""
    missed = jnp.where(drawn.censored, demanded(drawn.units, mean) - drawn.units, 0.0)
    moved = jnp.take_along_axis(drawn.log_ratio, drawn.action[:, None], axis=1)[:, 0]
    return drawn._replace(profit=drawn.profit + missed * (drawn.slope * jnp.exp(moved) - drawn.offset))


def _q_loss(params: Params, learner: Learner, drawn: Transitions, recipe: Recipe) -> Array:
    q = q_values(params, *drawn.seen)
    rate, elasticity = jax.lax.stop_gradient(demand_of(learner.demand, drawn.seen[0]))
    gains = expected_gain(drawn, elasticity)
    expected = gains.mean(axis=2) - recipe.pessimism * gains.std(axis=2)
    anchored = jax.lax.stop_gradient(q_values(learner.anchor, *drawn.seen))
    chosen = jnp.take_along_axis(q, drawn.action[:, None], axis=1)[:, 0]
    pieces = rate.mean(axis=1) * drawn.days  # what the demand model expected
    whole = _with_missed(drawn, _sold_of(drawn, rate, elasticity).mean(axis=1))
    surprise = optax.losses.huber_loss(chosen - _earned(params, learner, whole, pieces, recipe), delta=1.0)
    optimism = jax.nn.logsumexp(jnp.where(drawn.legal, q, -jnp.inf), axis=1) - chosen
    return (
        recipe.expectation * targets.loss(q, expected, drawn.legal, level_weight=recipe.level_weight)
        + recipe.anchor * targets.loss(q, anchored, drawn.legal, level_weight=recipe.level_weight)
        + recipe.temporal_difference * jnp.mean(pieces / (1.0 + pieces) * surprise)
        + recipe.conservative * jnp.mean(optimism)
    )


def _earned(params: Params, learner: Learner, drawn: Transitions, pieces: Array, recipe: Recipe) -> Array:
    """Targets for what was carried out, [n]: what was earned, and what follows."""
    share = drawn.profit / jnp.maximum(pieces * _margin(drawn), 1e-6) - 1.0
    reward = jnp.clip(share, -3.0, 3.0) * targets.weight(drawn.days, recipe.discount_half_life_days)
    if recipe.discount_half_life_days <= 0:
        return jax.lax.stop_gradient(reward)
    discount = targets.discount(drawn.days, recipe.discount_half_life_days) * drawn.has_next
    online, valued = q_values(params, *drawn.next_seen), q_values(learner.target, *drawn.next_seen)
    return jax.lax.stop_gradient(targets.double_q_target(reward, discount, online, valued, drawn.next_legal))
