"""The markets as a gymnasium vector environment: gymnasium's rules, and the numbers of the functional markets."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gymnasium.error import InvalidAction, ResetNeeded
from gymnasium.utils.passive_env_checker import check_obs, check_space
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from pricing_core.evaluation.bar import play
from pricing_core.simulator.bar.categories import TUNING as STEADY
from pricing_core.simulator.bar.categories import Categories
from pricing_core.simulator.bar.finite import TUNING, Finite
from pricing_core.simulator.bar.substitutes import Substitutes
from pricing_core.simulator.vector_env import PricingVectorEnv

N, PERIODS = 6, 5
MARKET = Finite(stock=5, ranges=TUNING._replace(deadline=PERIODS))
ACTIONS = np.random.default_rng(1).integers(12, size=(3 * (PERIODS + 1), N))


@pytest.fixture(scope="module")
def environment():
    return PricingVectorEnv(MARKET, N)


def steps(environment, seed):
    """First observations, then [steps, N] of everything."""
    first, _ = environment.reset(seed=seed)
    rest = zip(*(environment.step(actions) for actions in ACTIONS), strict=True)
    seen, rewards, terminated, truncated, infos = rest
    return np.stack([first, *seen]), np.stack(rewards), np.stack(terminated), np.stack(truncated), infos


def test_it_keeps_to_the_rules_of_vector_environments(environment):
    first, _ = environment.reset(seed=1)
    check_space(environment.observation_space, "observation", lambda _space: None)
    check_space(environment.action_space, "action", lambda _space: None)
    check_obs(first, environment.observation_space, "reset")
    seen, rewards, terminated, truncated, infos = environment.step(environment.action_space.sample())
    check_obs(seen, environment.observation_space, "step")
    assert environment.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP
    assert [a.shape for a in (rewards, terminated, truncated)] == [(N,)] * 3
    assert terminated.dtype == truncated.dtype == bool
    assert infos["action_mask"].shape == (N, 12)
    assert seen.flags.writeable


def test_a_season_ends_with_its_last_observation_and_the_next_step_begins_another_whatever_the_actions(environment):
    seen, rewards, terminated, truncated, infos = steps(environment, seed=3)
    last = np.arange(len(ACTIONS)) % (PERIODS + 1) == PERIODS - 1
    fresh = np.roll(last, 1)
    assert (terminated == last[:, None]).all()
    assert not truncated.any()
    assert (rewards[fresh] == 0.0).all()
    assert (rewards[~fresh] > 0.0).any()
    left = np.expm1(seen[1:, :, 2])
    assert left[last] == pytest.approx(0.0)
    assert left[fresh] == pytest.approx(PERIODS)
    assert all((info["profit"] >= 0.0).all() for info in infos)


def test_seeds_repeat_and_differ(environment):
    one, again, other = (steps(environment, seed)[1] for seed in (3, 3, 4))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    environment.reset(seed=3)
    unseeded = [environment.reset()[0] for _ in range(2)]
    environment.reset(seed=3)
    assert np.array_equal(environment.reset()[0], unseeded[0])
    assert not np.array_equal(*unseeded)


@dataclass(frozen=True)
class Recited:
    """Play what the test played."""

    def begin(self, _view, _history, _family):
        return jnp.zeros((), jnp.int32)

    def decide(self, period, _view, _key):
        return jnp.asarray(ACTIONS)[period]

    def learn(self, period, _view, _price, _outcome):
        return period + 1


def test_it_earns_what_the_bar_gives_for_the_same_key_and_actions(environment):
    _, _, _, _, infos = steps(environment, seed=9)
    _, k_params, k_play = jax.random.split(jax.random.key(9), 3)
    params = MARKET.sample(k_params, N)
    expected = play(MARKET, Recited(), params, k_play) * MARKET.optimum(params)
    earned = np.sum([info["profit"] for info in infos[:PERIODS]], axis=0)
    assert earned == pytest.approx(np.asarray(expected), rel=1e-5)


def test_wrappers_of_gymnasium_see_whole_seasons(environment):
    recorded = RecordEpisodeStatistics(environment)
    recorded.reset(seed=3)
    ends = [recorded.step(actions)[4].get("episode") for actions in ACTIONS[:PERIODS]]
    rewards = steps(environment, seed=3)[1][:PERIODS]
    assert all(end is None for end in ends[:-1])
    assert ends[-1]["l"].tolist() == [PERIODS] * N
    assert ends[-1]["r"] == pytest.approx(rewards.sum(axis=0), rel=1e-5)


def test_a_kind_without_a_deadline_is_truncated():
    environment = PricingVectorEnv(Categories(ranges=STEADY), 2)
    environment.reset(seed=1)
    for _ in range(Categories(ranges=STEADY).periods):
        _, _, terminated, truncated, _ = environment.step(np.zeros(2, int))
    assert truncated.all()
    assert not terminated.any()


@pytest.mark.parametrize(
    ("actions", "why"),
    [(np.full(N, 12), "no such price"), (np.full(N, -1), "below the first"), (np.zeros(N + 1, int), "one too many")],
)
def test_what_is_no_action_is_refused(environment, actions, why):
    environment.reset(seed=1)
    with pytest.raises(InvalidAction):
        environment.step(actions)
    assert why


def test_misuse_is_refused(environment):
    with pytest.raises(ResetNeeded):
        PricingVectorEnv(MARKET, N).step(ACTIONS[0])
    with pytest.raises(ValueError, match="options"):
        environment.reset(options={"reset_mask": np.ones(N, bool)})
    with pytest.raises(ValueError, match="independent offers"):
        PricingVectorEnv(Substitutes(), N)
