"""Deep Q-learning from transitions: the replay memory by hand, the whole loop bit by bit, and what it is good for."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.evaluation.bar import play
from pricing_core.evaluation.baselines import Hold
from pricing_core.evaluation.deep_q import DeepQ
from pricing_core.learning import checkpoint, deep_q, replay
from pricing_core.learning.deep_q import DuelingNetwork, Recipe
from pricing_core.learning.replay import Row
from pricing_core.simulator.bar.finite import TUNING, Finite
from pricing_core.simulator.episodes import Episodes

MARKET = Finite(stock=5, ranges=TUNING._replace(deadline=6))
EPISODES = Episodes(MARKET)
RECIPE = Recipe(
    markets=64,
    steps=1_000,
    updates=2,
    batch=64,
    width=32,
    learning_rate=3e-3,
    discount=1.0,
    horizon=3,
    capacity=200,
    warm_up=20,
    target_every=20,
    epsilon=0.05,
)
HALF = RECIPE.steps // 2


@pytest.fixture(scope="module")
def learned():
    return deep_q.learn(EPISODES, RECIPE, deep_q.start(EPISODES, RECIPE, seed=1), steps=RECIPE.steps, part=HALF)


def row(t, *, last=False, void=False, discount=0.5):
    """Step t of one market, which brings reward 10^t."""
    return Row(
        observation=jnp.full((1, 1), float(t)),
        allowed=jnp.asarray([[True, t % 2 == 0]]),
        action=jnp.full(1, t, jnp.int32),
        reward=jnp.full(1, 10.0**t),
        discount=jnp.full(1, discount),
        last=jnp.full(1, last),
        void=jnp.full(1, void),
    )


def drawn(rows, capacity, horizon):
    """All transitions that can be drawn: first observation → (return, discount, last observation, weight)."""
    memory = replay.empty(rows[0], capacity)
    for one in rows:
        memory = replay.add(memory, one)
    found = replay.sample(memory, jax.random.key(1), 200, horizon)
    assert (found.a_tm1 == found.o_tm1[:, 0]).all()
    assert (found.allowed_t[:, 1] == (found.o_t[:, 0] % 2 == 0)).all()
    columns = (found.o_tm1[:, 0], found.r_t, found.discount_t, found.o_t[:, 0], found.weight)
    return {int(first): tuple(rest) for first, *rest in np.stack(columns, axis=1).tolist()}


def test_a_transition_adds_discounted_rewards_and_stops_where_the_horizon_does():
    assert drawn([row(t) for t in range(4)], capacity=9, horizon=2) == {
        0: (1.0 + 0.5 * 10.0, 0.25, 2.0, 1.0),
        1: (10.0 + 0.5 * 100.0, 0.25, 3.0, 1.0),
    }


@pytest.mark.parametrize(("discount", "why"), [(0.0, "the deadline: nothing follows"), (0.5, "cut off: much would")])
def test_a_transition_stops_with_its_episode_and_the_step_between_two_counts_for_nothing(discount, why):
    rows = [row(0), row(1, last=True, discount=discount), row(2, void=True), row(3), row(4), row(5)]
    found = drawn(rows, capacity=9, horizon=3)
    assert found[0] == (1.0 + 0.5 * 10.0, 0.5 * discount, 2.0, 1.0), why
    assert found[1] == (10.0, discount, 2.0, 1.0), why
    assert found[2][-1] == 0.0


def test_the_memory_forgets_the_oldest_and_never_draws_across_the_seam():
    found = drawn([row(t) for t in range(7)], capacity=4, horizon=1)
    assert {first: last for first, (_, _, last, _) in found.items()} == {3: 4.0, 4: 5.0, 5: 6.0}


def test_the_mean_advantage_of_a_dueling_network_is_zero():
    network = DuelingNetwork(actions=3, width=4)
    seen = jax.random.normal(jax.random.key(1), (5, 2))
    variables = network.init(jax.random.key(2), seen)
    shifted = jax.tree.map(jnp.array, variables)
    bias = shifted["params"]["value_and_advantages"]["bias"]
    shifted["params"]["value_and_advantages"]["bias"] = bias.at[1:].add(7.0)
    assert network.apply(shifted, seen) == pytest.approx(np.asarray(network.apply(variables, seen)), abs=1e-5)


def test_learning_that_was_stopped_and_written_down_goes_on_to_the_same_bits(learned):
    half = deep_q.learn(EPISODES, RECIPE, deep_q.start(EPISODES, RECIPE, seed=1), steps=HALF, part=HALF)
    written = checkpoint.to_bytes(half)
    restored = checkpoint.from_bytes(written, deep_q.start(EPISODES, RECIPE, seed=2))
    whole = deep_q.learn(EPISODES, RECIPE, restored, steps=HALF, part=HALF)
    assert checkpoint.to_bytes(whole) == checkpoint.to_bytes(learned)
    assert checkpoint.to_bytes(whole) != written


def test_another_seed_learns_other_weights(learned):
    other = deep_q.learn(EPISODES, RECIPE, deep_q.start(EPISODES, RECIPE, seed=2), steps=HALF, part=HALF)
    assert checkpoint.to_bytes(other.params) != checkpoint.to_bytes(learned.params)


def test_what_was_learned_earns_more_than_holding_the_price(learned):
    params = MARKET.sample(jax.random.key(5), 400)
    learner, hold = (
        np.asarray(play(MARKET, policy, params, jax.random.key(6))).mean()
        for policy in (DeepQ(jax.device_get(learned.params)), Hold())
    )
    assert learner > hold + 0.08


def test_a_checkpoint_of_another_learner_is_refused():
    tree = {"weights": jnp.zeros(3)}
    for data, like, reason in (
        (b"none", tree, "not a checkpoint"),
        (checkpoint.to_bytes(tree), {"weights": jnp.zeros(4)}, "weights"),
        (checkpoint.to_bytes(tree), {"bias": jnp.zeros(3)}, "bias"),
    ):
        with pytest.raises(ValueError, match=reason):
            checkpoint.from_bytes(data, like)


def test_a_recipe_that_would_draw_from_too_young_a_memory_is_refused():
    for wrong in ({"warm_up": 3}, {"capacity": 19}):
        with pytest.raises(ValueError, match="warm_up"):
            deep_q.start(EPISODES, replace(RECIPE, **wrong), seed=1)
