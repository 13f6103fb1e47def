"""Fitted Q evaluation against exact values: a small chain, and an offer with stock and a deadline."""

import numpy as np
import pytest

from pricing_core.evaluation.fitted_q import expected_features, fitted_q_evaluation, logged_transitions
from pricing_core.evaluation.intervals import Bootstrap, estimate
from pricing_core.evaluation.off_policy import per_decision_ips
from pricing_core.evaluation.support import Diverges, NotSupported, SupportLimits

ANY_SUPPORT = SupportLimits(min_share=0.0, min_size=0.0, max_unsupported=1.0)

# Three states, two actions: P[s, a, s'], the mean reward of each, and two policies.
P = np.array(
    [[[0.7, 0.3, 0.0], [0.1, 0.6, 0.3]], [[0.5, 0.5, 0.0], [0.0, 0.3, 0.7]], [[0.4, 0.4, 0.2], [0.0, 0.1, 0.9]]]
)
R = np.array([[1.0, 0.0], [0.5, -0.2], [2.0, 0.3]])
LOGGING = np.array([[0.5, 0.5], [0.7, 0.3], [0.4, 0.6]])
CANDIDATE = np.array([[0.1, 0.9], [0.4, 0.6], [0.9, 0.1]])
DISCOUNT, EPISODES, STEPS, RUNS = 0.9, 60, 20, 100
PHI = np.eye(6).reshape(3, 2, 6)


def exact(horizon=None):
    """Value of the candidate from state 0: Σ_k (discount · P_π)^k r_π."""
    step = DISCOUNT * np.einsum("sat,sa->st", P, CANDIDATE)
    reward = np.sum(CANDIDATE * R, axis=1)
    if horizon is None:
        return np.linalg.solve(np.eye(3) - step, reward)[0]
    return sum(np.linalg.matrix_power(step, k) @ reward for k in range(horizon))[0]


def drawn(rng, probabilities):
    """One index per row of probabilities."""
    return (rng.random(len(probabilities))[:, None] > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)


def episodes(seed, n=EPISODES, steps=STEPS):
    """States [n, steps + 1], actions and noisy rewards [n, steps] of the logging policy."""
    rng = np.random.default_rng(seed)
    state, action = np.zeros((n, steps + 1), int), np.zeros((n, steps), int)
    for t in range(steps):
        action[:, t] = drawn(rng, LOGGING[state[:, t]])
        state[:, t + 1] = drawn(rng, P[state[:, t], action[:, t]])
    return state, action, R[state[:, :-1], action] + rng.normal(size=action.shape)


def transitions(state, action, reward, *, phi=PHI, discount=DISCOUNT):
    now, then = state[:, :-1].ravel(), state[:, 1:].ravel()
    return logged_transitions(
        phi[now, action.ravel()],
        reward.ravel(),
        np.full(now.shape, discount),
        expected_features(phi, CANDIDATE)[then],
        np.repeat(np.arange(len(state)), action.shape[1]),
    )


def evaluated(seed, **options):
    return fitted_q_evaluation(transitions(*episodes(seed)), expected_features(PHI, CANDIDATE)[:1], **options)


@pytest.mark.parametrize("horizon", [None, 1, 5])
def test_the_mean_over_many_logs_is_the_exact_value_and_19_of_20_intervals_hold_it(horizon):
    found = [evaluated(seed, horizon=horizon) for seed in range(RUNS)]
    values = np.array([e.value for e in found])
    assert abs(values.mean() - exact(horizon)) < 4 * values.std(ddof=1) / np.sqrt(RUNS)
    assert np.mean([e.lower <= exact(horizon) <= e.upper for e in found]) >= 0.88
    assert np.mean([e.upper - e.lower for e in found]) == pytest.approx(2 * 1.96 * values.std(ddof=1), rel=0.2)


def test_the_value_of_the_logging_policy_is_another():
    values = np.array([evaluated(seed).value for seed in range(RUNS)])
    naive = np.array([episodes(seed, steps=100)[2] @ DISCOUNT ** np.arange(100) for seed in range(RUNS)]).mean(axis=1)
    assert abs(naive.mean() - exact()) > 10 * naive.std(ddof=1) / np.sqrt(RUNS)
    assert abs(values.mean() - exact()) < abs(naive.mean() - exact()) / 10


def test_a_bootstrap_of_episodes_agrees_with_the_normal_interval():
    normal, again = evaluated(1), evaluated(1, bootstrap=Bootstrap(seed=1, resamples=500))
    assert again == evaluated(1, bootstrap=Bootstrap(seed=1, resamples=500))
    width = normal.upper - normal.lower
    np.testing.assert_allclose([again.lower, again.upper], [normal.lower, normal.upper], atol=0.15 * width)


def test_seeing_every_day_of_an_episode_twice_makes_nothing_surer():
    log, start = transitions(*episodes(1)), expected_features(PHI, CANDIDATE)[:1]
    rows = np.tile(np.arange(len(log.reward)), 2)
    twice = logged_transitions(
        log.features[rows], log.reward[rows], log.discount[rows], log.next_features[rows], log.episode[rows]
    )
    np.testing.assert_allclose(fitted_q_evaluation(twice, start)[:3], fitted_q_evaluation(log, start)[:3], rtol=1e-9)


def test_rounds_go_to_the_fixed_point():
    assert evaluated(1, horizon=300).value == pytest.approx(evaluated(1).value, rel=1e-9)
    assert evaluated(1, horizon=300).lower == pytest.approx(evaluated(1).lower, rel=1e-9)


def test_without_consequences_it_is_the_direct_method_by_cell():
    log = transitions(*episodes(1), discount=0.0)
    found = fitted_q_evaluation(log, expected_features(PHI, CANDIDATE)[:1])
    cell = [log.reward[log.features[:, a] == 1].mean() for a in (0, 1)]
    assert found.value == pytest.approx(CANDIDATE[0] @ cell)


def test_per_decision_weighting_agrees_and_varies_more():
    def weighted(seed):
        state, action, reward = episodes(seed, n=200, steps=5)
        now = state[:, :-1]
        return estimate(
            per_decision_ips(LOGGING[now, action], CANDIDATE[now, action], reward, discount=DISCOUNT),
            limits=ANY_SUPPORT,
        )

    def fitted(seed):
        log = transitions(*episodes(seed, n=200, steps=5))
        return fitted_q_evaluation(log, expected_features(PHI, CANDIDATE)[:1], horizon=5)

    by_weights, by_fit = (np.array([method(seed).value for seed in range(RUNS)]) for method in (weighted, fitted))
    assert abs(by_weights.mean() - exact(5)) < 4 * by_weights.std(ddof=1) / np.sqrt(RUNS)
    assert by_fit.std() < by_weights.std() / 1.5


# An offer: STOCK pieces, PERIODS days, three prices; at most one piece a day is sold.
STOCK, PERIODS = 3, 6
PRICES = np.array([8.0, 10.0, 13.0])
SELLS = np.array([0.9, 0.65, 0.35])


def offer_value(policy):
    """Exact revenue from full stock on the first day, by backward induction; policy [PERIODS, STOCK + 1, A]."""
    value = np.zeros(STOCK + 1)
    for t in reversed(range(PERIODS)):
        sold = SELLS * (PRICES + np.r_[0.0, value[:-1]][:, None]) + (1 - SELLS) * value[:, None]
        value = np.where(np.arange(STOCK + 1) > 0, np.sum(policy[t] * sold, axis=1), 0.0)
    return value[STOCK]


def offer_log(seed, n, policy):
    """Days of n offers that start with STOCK pieces and take prices at random, for the value of the policy."""
    rng = np.random.default_rng(seed)
    size = PERIODS * (STOCK + 1) * 3
    phi = np.eye(size).reshape(PERIODS, STOCK + 1, 3, size)
    expected = expected_features(phi, policy)
    stock, rows = np.full(n, STOCK), []
    for t in range(PERIODS):
        action = rng.integers(3, size=n)
        sold = (rng.random(n) < SELLS[action]) & (stock > 0)
        last = np.full(n, t == PERIODS - 1) | (stock - sold == 0)
        open_ = stock > 0  # a day without stock is not logged
        then = expected[min(t + 1, PERIODS - 1), stock - sold]
        rows.append([v[open_] for v in (phi[t, stock, action], PRICES[action] * sold, 1.0 - last, then, np.arange(n))])
        stock = stock - sold
    columns = (np.concatenate(column) for column in zip(*rows, strict=True))
    return logged_transitions(*columns), expected[0, STOCK][None]


def dear_while_scarce():
    policy = np.zeros((PERIODS, STOCK + 1, 3))
    for t, left in np.ndindex(PERIODS, STOCK + 1):
        days = PERIODS - t
        policy[t, left, 2 if left <= days / 2 else 1 if left < days else 0] = 1.0
    return policy


def test_scarce_stock_and_a_deadline_are_valued_exactly():
    policy = dear_while_scarce()
    found = [fitted_q_evaluation(*offer_log(seed, 400, policy)) for seed in range(40)]
    values = np.array([e.value for e in found])
    assert abs(values.mean() - offer_value(policy)) < 4 * values.std(ddof=1) / np.sqrt(len(values))
    assert np.mean([e.lower <= offer_value(policy) <= e.upper for e in found]) >= 0.85
    at_random = offer_value(np.full_like(policy, 1 / 3))
    assert abs(offer_value(policy) - at_random) > 10 * values.std(ddof=1) / np.sqrt(len(values))


def test_in_a_world_without_chance_one_pass_over_all_prices_gives_the_exact_value():
    # Stock 2, two days, every sale certain: 3 x 3 sequences, each logged once.
    phi = np.eye(6).reshape(2, 3, 6)
    policy = np.array([[0.0, 0.0, 1.0], [0.2, 0.3, 0.5]])
    first, second = (a.ravel() for a in np.indices((3, 3)))
    then = np.tile(expected_features(phi, policy)[1], (9, 1))
    log = logged_transitions(
        np.concatenate([phi[0, first], phi[1, second]]),
        np.concatenate([PRICES[first], PRICES[second]]),
        np.repeat([1.0, 0.0], 9),
        np.concatenate([then, then]),
        np.tile(np.arange(9), 2),
    )
    found = fitted_q_evaluation(log, expected_features(phi, policy)[:1], limits=ANY_SUPPORT)
    np.testing.assert_allclose(found[:3], policy[0] @ PRICES + policy[1] @ PRICES, rtol=1e-12)


def test_prices_that_were_never_logged_are_refused():
    state, action, reward = episodes(1)
    log = transitions(state, np.zeros_like(action), reward)
    with pytest.raises(NotSupported, match="the logging policy cannot take"):
        fitted_q_evaluation(log, expected_features(PHI, CANDIDATE)[:1])


def test_a_log_that_hardly_meets_what_the_candidate_does_is_refused():
    state, action, reward = episodes(1)
    rare = np.where(np.arange(EPISODES)[:, None] < 2, action, 0)
    with pytest.raises(NotSupported, match="effective sample size"):
        fitted_q_evaluation(transitions(state, rare, reward), expected_features(PHI, CANDIDATE)[:1])


def test_features_that_blow_errors_up_are_refused_unless_the_horizon_ends_it():
    # Tsitsiklis & Van Roy 1996: one feature, 1 and 2 in two states, from both of which one goes to the second.
    log = logged_transitions([[1.0], [2.0]] * 100, [1.0, 0.0] * 100, [0.99] * 200, [[2.0]] * 200, np.arange(200))
    with pytest.raises(Diverges, match=r"multiplies errors by 1\.188"):
        fitted_q_evaluation(log, [[1.0]])
    assert fitted_q_evaluation(log, [[1.0]], horizon=2).value == pytest.approx(0.2 + 0.99 * 1.2 * 0.2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": [1.0, 2.0]}, r"features has shape \(2,\)"),
        ({"reward": [1.0, np.nan]}, r"reward\[1\] is not finite"),
        ({"discount": [0.5, 1.5]}, r"discount holds values outside \[0, 1\]"),
        ({"next_features": [[1.0, 2.0]] * 2}, r"next_features has shape \(2, 2\), expected \(2, 1\)"),
        ({"episode": [0]}, r"episode has shape \(1,\), expected \(2,\)"),
        ({"start": [1.0]}, r"start has shape \(1,\), expected \[states, 1\]"),
        ({"horizon": 0}, "horizon is 0"),
    ],
)
def test_what_is_no_log_is_refused_by_name(change, message):
    good = {"features": [[1.0], [2.0]], "reward": [1.0, 1.0], "discount": [0.5, 0.5], "next_features": [[1.0], [1.0]]}
    given = good | {"episode": [0, 1], "start": [[1.0]], "horizon": 1} | change
    start, horizon = given.pop("start"), given.pop("horizon")
    with pytest.raises(ValueError, match=message):
        fitted_q_evaluation(logged_transitions(**given), start, horizon=horizon, limits=ANY_SUPPORT)
