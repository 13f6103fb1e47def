"""The Q-function before training is the planner; one compilation serves a bucket."""

import jax
import jax.numpy as jnp
import numpy as np

from pricing_core.features import CANDIDATE_FEATURES, FEATURES, MOVES_BP
from pricing_core.q_function import init_params, parameter_shapes, q_values, values, with_range

N, A = 16, len(MOVES_BP)


def inputs(seed):
    k1, k2, k3 = jax.random.split(jax.random.key(seed), 3)
    state, plan = jax.random.normal(k1, (N, len(FEATURES))), jax.random.normal(k3, (N, A))
    return state, jax.random.normal(k2, (N, A, len(CANDIDATE_FEATURES))), plan


def test_the_untrained_network_answers_what_the_planner_expects():
    state, candidates, plan = inputs(1)
    np.testing.assert_array_equal(q_values(init_params(jax.random.key(0)), state, candidates, plan), plan)


def test_outside_of_its_training_range_the_network_is_not_asked():
    state, candidates, plan = inputs(4)
    params = jax.tree.map(lambda w: w + 0.1, init_params(jax.random.key(0)))
    found = values(with_range(params, state[0] - 0.1, state[0] + 0.1), state.at[1:, 0].add(9.0), candidates, plan)
    np.testing.assert_array_equal(found.system[0], plan[0] + found.correction[0])
    np.testing.assert_array_equal(found.system[1:], plan[1:])
    assert np.abs(found.correction).min() > 0


def test_the_value_of_a_candidate_does_not_depend_on_its_place_or_its_neighbours():
    state, candidates, plan = inputs(2)
    bound = jnp.full(len(FEATURES), 99.0)
    params = with_range(jax.tree.map(lambda w: w + 0.1, init_params(jax.random.key(0))), -bound, bound)
    q = q_values(params, state, candidates, plan)
    mirrored = q_values(params, state, candidates[:, ::-1], plan[:, ::-1])[:, ::-1]
    np.testing.assert_allclose(mirrored, q, rtol=1e-4, atol=1e-5)
    alone = q_values(params, state[:1], candidates[:1, 3:4], plan[:1, 3:4])[0, 0]
    np.testing.assert_allclose(alone, q[0, 3], rtol=1e-4, atol=1e-5)


def test_a_second_batch_of_the_same_size_compiles_nothing():
    traces = []

    @jax.jit
    def value(params, state, candidates, plan):
        traces.append(state.shape)
        return q_values(params, state, candidates, plan)

    params = init_params(jax.random.key(0))
    for seed in (1, 2):
        value(params, *inputs(seed))
    assert traces == [(N, len(FEATURES))]


def test_another_seed_draws_other_weights_of_the_same_shapes():
    first, second = init_params(jax.random.key(0)), init_params(jax.random.key(1))
    assert not np.array_equal(first["trunk_0"]["kernel"], second["trunk_0"]["kernel"])
    assert {k: {n: a.shape for n, a in v.items()} for k, v in first.items()} == parameter_shapes()
    assert jnp.isfinite(first["trunk_1"]["kernel"]).all()
