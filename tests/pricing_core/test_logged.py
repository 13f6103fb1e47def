"""The terms of what is learned from logged transitions, by hand."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from pricing_core.features import CANDIDATE_FEATURES, FEATURES, HOLD, MOVES_BP
from pricing_core.learning import logged
from pricing_core.learning.logged import HEADS, Recipe, Transitions
from pricing_core.q_function import init_params, q_values

N, A = 64, len(MOVES_BP)
RECIPE = Recipe(batch=32)


def drawn(seed=0, **given):
    """N transitions that held the price for a day."""
    random = np.random.default_rng(seed)

    def seen():
        shapes = (N, len(FEATURES)), (N, A, len(CANDIDATE_FEATURES)), (N, A)
        return tuple(jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes)

    fields = {
        "seen": seen(),
        "log_ratio": jnp.tile(jnp.log1p(jnp.array(MOVES_BP) / 10_000), (N, 1)),
        "legal": jnp.ones((N, A), bool),
        "action": jnp.full(N, HOLD, jnp.int32),
        "days": jnp.ones(N),
        "units": jnp.full(N, 20.0),
        "profit": jnp.full(N, 8.0),
        "slope": jnp.full(N, 1.0),
        "offset": jnp.full(N, 0.6),
        "censored": jnp.zeros(N, bool),
        "copies": jnp.ones((N, HEADS)),
        "has_next": jnp.ones(N, bool),
        "next_seen": seen(),
        "next_legal": jnp.ones((N, A), bool),
    }
    return Transitions(**{**fields, **given})


@pytest.fixture(scope="module")
def learner():
    return logged.start(init_params(jax.random.key(1)), len(FEATURES), RECIPE, seed=0)


def test_a_candidate_earns_what_its_margin_and_demand_make_of_it():
    gains = logged.expected_gain(drawn(), jnp.full((N, HEADS), 3.0))

    price = np.exp(np.log1p(np.array(MOVES_BP) / 10_000))
    by_hand = (price - 0.6) * price**-3.0 / 0.4 - 1.0
    np.testing.assert_allclose(gains[0, :, 0], by_hand, atol=1e-5)


def test_a_reward_is_what_was_earned_as_a_share_of_what_was_expected(learner):
    """20 pieces of a margin of 0.4 are expected: 8 were earned where nothing is missing, 4 where a half is."""
    for profit, share in ((8.0, 0.0), (4.0, -0.5), (-100.0, -3.0)):
        one = drawn(profit=jnp.full(N, profit))
        earned = logged._earned(learner.params, learner, one, jnp.full(N, 20.0), RECIPE)
        np.testing.assert_allclose(earned, share, atol=1e-6)


def test_the_future_is_what_the_target_network_thinks_of_what_the_other_one_chooses(learner):
    far = replace(RECIPE, discount_half_life_days=1.0)
    target = jax.tree.map(lambda weights: weights * 1.5, learner.target)
    masked = jnp.ones((N, A), bool).at[:, 0].set(False)
    one = drawn(next_legal=masked, has_next=jnp.arange(N) % 2 == 0)

    earned = logged._earned(learner.params, learner._replace(target=target), one, jnp.full(N, 20.0), far)

    online, valued = q_values(learner.params, *one.next_seen), q_values(target, *one.next_seen)
    best = jnp.where(masked, online, -jnp.inf).argmax(axis=1)
    by_hand = 0.5 * valued[jnp.arange(N), best] * one.has_next  # a day is a half-life
    np.testing.assert_allclose(earned, by_hand, atol=1e-5)


def learned_rate(learner, *parts):
    """Median rate that is learned from parts of a log; they hold the price, and sell 20 pieces a day in truth."""
    memory = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
    copy = jax.tree.map(jnp.array, learner)
    after, _ = logged.learn(RECIPE, copy, memory, jnp.asarray(N * len(parts)), updates=1500)
    return float(jnp.median(logged.demand_of(after.demand, memory.seen[0])[0]))


def test_a_stock_out_that_sold_nothing_teaches_no_demand(learner):
    """Demand must not be taken for it."""
    nothing = drawn(units=jnp.zeros(N), censored=jnp.ones(N, bool))
    assert learned_rate(learner, drawn(), nothing) == pytest.approx(20.0, rel=0.2)


def test_the_true_demand_is_the_best_one_where_stock_runs_out_half_of_the_time(learner):
    """Without censored intervals those of low demand are left, and as counts they would be too few pieces."""
    random, n = np.random.default_rng(5), 64
    demand, stock = random.poisson(20.0, (n, N)), random.integers(12, 28, (n, N))
    sold, out = np.minimum(demand, stock), demand >= stock
    rate = {"kernel": jnp.zeros((len(FEATURES), HEADS)), "bias": jnp.full(HEADS, jnp.log(20.0))}

    def too_high(sold, censored):
        """Share by which the likelihood would have the true rate lower, by its gradient."""
        parts = [
            drawn(units=jnp.asarray(k, jnp.float32), censored=jnp.asarray(c))
            for k, c in zip(sold, censored, strict=True)
        ]
        log = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)
        gradient = jax.grad(logged._demand_loss)({**learner.demand, "rate": rate}, log, RECIPE)
        return float(gradient["rate"]["bias"].sum()) / 20.0

    assert abs(too_high(sold, out)) < 0.01
    assert too_high(sold, np.zeros_like(out)) > 0.08
    assert 20.0 - sold[~out].mean() > 2.0


@pytest.mark.parametrize("mean", [0.01, 0.7, 5.0, 60.0])
def test_what_was_demanded_at_least_is_the_mean_above_what_was_sold(mean):
    counts = np.arange(400)
    chance = scipy.stats.poisson.pmf(counts, mean)
    for sold in (0, 1, 2, 7, 90):
        above = chance * (counts >= sold)
        found = float(logged.demanded(jnp.array(float(sold)), jnp.array(mean)))
        assert found == pytest.approx(max((above * counts).sum() / above.sum(), sold), rel=2e-3)


def test_what_nobody_could_buy_counts_as_earned_by_its_price():
    """4 of 5 demanded pieces were sold at a margin of 0.4: the fifth would have left as much."""
    held = drawn(units=jnp.full(N, 4.0), profit=jnp.full(N, 1.6), censored=jnp.ones(N, bool))
    mean = jnp.full(N, 2.0)
    missed = logged.demanded(held.units, mean) - held.units

    np.testing.assert_allclose(logged._with_missed(held, mean).profit, 1.6 + 0.4 * missed, rtol=1e-5)
    open_ = held._replace(censored=jnp.zeros(N, bool))
    np.testing.assert_allclose(logged._with_missed(open_, mean).profit, 1.6, rtol=1e-6)


def test_the_same_seed_gives_the_same_bits_in_however_many_calls(learner):
    memory, filled = drawn(), jnp.asarray(N)
    compiled = logged.learn._cache_size()
    once, _ = logged.learn(RECIPE, jax.tree.map(jnp.array, learner), memory, filled, updates=8)
    half, _ = logged.learn(RECIPE, jax.tree.map(jnp.array, learner), memory, filled, updates=4)
    twice, _ = logged.learn(RECIPE, half, memory, filled, updates=4)

    assert all(jax.tree.leaves(jax.tree.map(np.array_equal, once.params, twice.params)))
    assert logged.learn._cache_size() == compiled + 2  # for 8 and for 4, whether a learner is new or has learned
