"""Learning: targets and loss by hand, shops that remember as the engine does, training that repeats itself."""

import hashlib
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.features import HOLD
from pricing_core.learning import targets
from pricing_core.learning.shop import ladder, observe, open_shops, remember, replace_old
from pricing_core.learning.training import PRESETS, reward, train
from pricing_core.model_file import Training, save_model
from pricing_core.simulator.market import optimal_price, step

N = 128


@pytest.fixture(scope="module")
def shops():
    return open_shops(jax.random.key(3), N, price_spread=0.1)


@pytest.mark.parametrize(
    ("legal", "expected", "why"),
    [
        ([1, 1, 1], 1.0 + 0.9 * 20.0, "the online network chooses the second, the target network values it"),
        ([1, 0, 1], 1.0 + 0.9 * 30.0, "the best is forbidden: the maximum is over the legal ones"),
    ],
)
def test_the_target_lets_one_network_choose_and_the_other_value_inside_the_mask(legal, expected, why):
    pad = [-9.0] * 6
    target = targets.double_q_target(
        reward=jnp.asarray([1.0]),
        discount_t=jnp.asarray([0.9]),
        q_t_online=jnp.asarray([[1.0, 3.0, 2.0, *pad]]),
        q_t_target=jnp.asarray([[10.0, 20.0, 30.0, *pad]]),
        legal_t=jnp.asarray([[*legal, *[0] * 6]], bool),
    )
    assert float(target[0]) == pytest.approx(expected), why


def test_two_half_days_are_worth_one_day():
    half, day = jnp.asarray([0.5]), jnp.asarray([1.0])
    two_halves = targets.weight(half, 3.0) * (1 + targets.discount(half, 3.0))
    assert float(two_halves[0]) == pytest.approx(float(targets.weight(day, 3.0)[0])) == pytest.approx(1.0)
    assert float(targets.discount(jnp.asarray([3.0]), 3.0)[0]) == pytest.approx(0.5)


def test_without_a_half_life_only_the_present_period_counts():
    days = jnp.asarray([0.25, 2.0])
    assert targets.discount(days, 0.0).tolist() == [0.0, 0.0]
    assert targets.weight(days, 0.0).tolist() == [1.0, 1.0]


def test_the_loss_weighs_level_and_differences_apart_and_ignores_the_forbidden():
    q = jnp.asarray([[0.05, 0.01, 99.0]])
    legal = jnp.asarray([[True, True, False]])
    # Errors 0.05 and 0.01: level 0.03, differences ±0.02; squares halved.
    expected = 0.02**2 / 2 + 0.5 * 0.03**2 / 2
    assert float(targets.loss(q, jnp.zeros((1, 3)), legal, level_weight=0.5)) == pytest.approx(expected, rel=1e-5)


def test_the_ladder_keeps_to_step_bounds_and_least_change_and_never_doubles_a_price(shops):
    prices, legal = (np.asarray(a) for a in ladder(shops))
    now = np.asarray(shops.memory.price)[:, None]
    allowed = np.ma.array(prices, mask=~legal)
    moves = np.abs(allowed / now - 1.0)
    assert (moves <= np.asarray(shops.merchant.max_step)[:, None] + 1e-5).all()
    assert (np.delete(moves, HOLD, axis=1) >= np.asarray(shops.merchant.min_change)[:, None] - 1e-6).all()
    assert (allowed >= np.asarray(shops.markets.floor)[:, None]).all()
    assert (allowed <= np.asarray(shops.markets.ceiling)[:, None]).all()
    assert legal[:, HOLD].all()
    assert all(len(set(row.compressed())) == row.count() for row in allowed)


def test_an_empty_shop_can_only_hold(shops):
    empty = shops._replace(memory=shops.memory._replace(on_hand=jnp.zeros(N)))
    legal = np.asarray(ladder(empty)[1])
    assert legal[:, HOLD].all()
    assert legal.sum() == N


def test_a_period_adds_its_events_as_if_they_came_evenly_spread_and_had_decayed_since(shops):
    _, outcome = step(shops.markets, shops.state, shops.memory.price, jax.random.key(1), shops.merchant.period_days)
    price = shops.memory.price * 1.1
    memory = remember(shops, price, outcome, jax.random.key(2))
    days, units = float(shops.merchant.period_days[0]), float(outcome.units[0])
    ages = (np.arange(10_000) + 0.5) / 10_000 * days
    for h, half_life in enumerate((1.0, 7.0, 30.0)):
        expected = units * np.mean(0.5 ** (ages / half_life))
        assert float(memory.sums[0, h, 2]) == pytest.approx(expected, rel=1e-3)
        assert float(memory.sums[0, h, 5]) == pytest.approx(expected * math.log(1.1), rel=1e-3)
    assert float(memory.days_since_change[0]) == pytest.approx(days)


def test_what_a_merchant_does_not_publish_stays_unknown(shops):
    blind = shops._replace(
        merchant=shops.merchant._replace(
            shows_impressions=jnp.zeros(N), shows_rivals=jnp.zeros(N), shows_stock=jnp.zeros(N)
        )
    )
    _, outcome = step(blind.markets, blind.state, blind.memory.price, jax.random.key(1), blind.merchant.period_days)
    memory = remember(blind, blind.memory.price, outcome, jax.random.key(2))
    inputs, _ = observe(blind._replace(memory=memory))
    assert float(inputs.sums[:, :, :2].max()) == 0.0
    assert float(inputs.rival_known.max()) == 0.0
    assert float(inputs.on_hand.max()) == -1.0


def test_only_shops_that_reached_their_age_are_replaced(shops):
    age = jnp.where(jnp.arange(N) < 3, 1e3, 0.0)
    fresh = open_shops(jax.random.key(9), N, price_spread=0.1)
    mixed = replace_old(shops._replace(memory=shops.memory._replace(days_known=age)), fresh)
    replaced = np.asarray(mixed.markets.costs.unit_cost != shops.markets.costs.unit_cost)
    assert not replaced[3:].any()
    assert np.array_equal(mixed.memory.price[:3], fresh.memory.price[:3])


def test_the_reward_is_zero_at_the_optimum_and_below_elsewhere(shops):
    best = optimal_price(shops.markets, shops.state)[:, None]
    rewards = np.asarray(reward(shops, jnp.concatenate([best, best * 0.9, best * 1.1], axis=1)))
    np.testing.assert_allclose(rewards[:, 0], 0.0, atol=1e-6)
    assert (rewards[:, 1:] < 1e-4).all()


def digest(directory, seed):
    origin = Training(preset="tiny", seed=seed, backend="cpu", jax="0", score={})
    params = train(PRESETS["tiny"], seed)
    path = save_model(directory, params, name="m", version=1, epsilon=0.1, training=origin)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_training_gives_the_same_bytes_for_a_seed_and_others_for_another(tmp_path):
    first, again, other = (digest(tmp_path, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other
