"""Learning from a log alone: what is learned of a market comes from its own steps, and doubt is taken off."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.evaluation.offline_deep_q import PLAIN, OfflineDeepQ, log_of
from pricing_core.learning import offline
from pricing_core.learning.offline import Log
from pricing_core.simulator import observation
from pricing_core.simulator.bar import logged
from pricing_core.simulator.bar.logged import Logged

QUICK = replace(PLAIN, updates=400, batch=64, width=16, learning_rate=3e-3, discount=0.0)
STEPS = 600


def bandit(worth, often):
    """A log of steady markets: action a is worth[n][a] on average, and taken with the probability often[a]."""
    random = np.random.default_rng(1)
    worth = np.array(worth)
    action = random.choice(len(often), (STEPS, len(worth)), p=often)
    reward = np.take_along_axis(worth, action.T, axis=1).T + random.normal(0.0, 0.3, action.shape)
    seen = np.ones((STEPS, len(worth), 1))
    return Log(jnp.asarray(seen), jnp.asarray(action), jnp.asarray(reward), jnp.ones(worth.shape, bool))


def values(log, recipe):
    params = offline.fit(log, recipe, jax.random.key(0))
    return np.asarray(offline.pessimistic_values(params, log.observation[-1], recipe.pessimism))


def test_each_market_is_learned_from_its_own_steps():
    worth = [[0.2, 0.8, 0.5], [0.9, 0.1, 0.4]]
    together = values(bandit(worth, [0.3, 0.3, 0.4]), QUICK)
    np.testing.assert_allclose(together, worth, atol=0.1)


def test_what_follows_counts_by_the_discount():
    """A reward of 1 in every step is worth 1 / (1 - discount)."""
    log = bandit([[1.0, 1.0]], [0.5, 0.5])
    recipe = replace(QUICK, updates=3_000, discount=0.5, target_every=20)
    np.testing.assert_allclose(values(log, recipe), 2.0, atol=0.15)


def test_the_conservative_term_thinks_little_of_what_the_log_hardly_shows():
    log = bandit([[0.5, 0.5, 0.5]], [0.66, 0.33, 0.01])
    plain, conservative = (values(log, replace(QUICK, conservative=weight))[0] for weight in (0.0, 0.3))
    assert conservative[2] < plain[2] - 0.3
    assert conservative[0] - conservative[2] > plain[0] - plain[2] + 0.3


def test_an_ensemble_takes_its_disagreement_off():
    log = bandit([[0.5, 0.5, 0.5]], [0.6, 0.39, 0.01])
    recipe = replace(QUICK, members=5)
    mean, doubtful = (values(log, replace(recipe, pessimism=k))[0] for k in (0.0, 2.0))
    taken_off = mean - doubtful
    assert (taken_off > 0.0).all()
    assert taken_off[2] > 2.0 * taken_off[:2].max()


def test_a_log_is_replayed_as_its_learner_would_have_seen_it():
    market = Logged(ranges=logged.TUNING._replace(log=5))
    params = market.sample(jax.random.key(1), 3)
    view = market.view(params, market.start(params, jax.random.key(2)))
    history = market.history(params, jax.random.key(3))
    log = log_of(view, history)
    taken = jnp.take_along_axis(view.prices, log.action.T, axis=1).T
    assert (taken == history.price).all()
    early = observation.observe(view, observation.begin(view, jax.tree.map(lambda part: part[:3], history)))
    np.testing.assert_allclose(log.observation[3], early, rtol=1e-4, atol=2e-4)
    profit = history.units * (history.price - history.cost)
    np.testing.assert_allclose(log.reward * view.list_price * view.prior_units, profit, rtol=1e-5)


def test_without_a_log_there_is_nothing_to_learn_from():
    view = None
    with pytest.raises(ValueError, match="expected a log"):
        OfflineDeepQ(QUICK).begin(view, None, 1)
