"""Off-policy estimators against a contextual bandit whose value is known, by hand, and by what must always hold."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pricing_core.evaluation import off_policy
from pricing_core.evaluation.intervals import Bootstrap, Contributions, Estimate, estimate, gain, require_gain
from pricing_core.evaluation.off_policy import logged_decisions
from pricing_core.evaluation.support import (
    GainNotShown,
    NotSupported,
    SupportLimits,
    effective_sample_size,
    unsupported,
)

# Four prices, three kinds of customers: the reward is the margin if the customer buys.
MARGIN = np.array([1.0, 2.0, 3.0, 4.0])
BUYS = np.array([[0.80, 0.55, 0.30, 0.10], [0.90, 0.80, 0.70, 0.55], [0.50, 0.20, 0.10, 0.05]])
CUSTOMERS = np.array([0.5, 0.3, 0.2])
LOGGING = np.array([[0.4, 0.3, 0.2, 0.1], [0.1, 0.4, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25]])
CANDIDATE = np.array([[0.1, 0.6, 0.2, 0.1], [0.1, 0.1, 0.3, 0.5], [0.7, 0.1, 0.1, 0.1]])
EXPECTED = MARGIN * BUYS
WRONG_MODEL = 0.75 * MARGIN * np.ones((3, 1))
TRUTH = float(CUSTOMERS @ (CANDIDATE * EXPECTED).sum(axis=1))
LOGGING_VALUE = float(CUSTOMERS @ (LOGGING * EXPECTED).sum(axis=1))
N, RUNS = 400, 400
ANY_SUPPORT = SupportLimits(min_share=0.0, min_size=0.0, max_unsupported=1.0)


def sampled(seed, n=N, propensity=LOGGING):
    """A log, and the customer of each decision; the propensities can be made to lie."""
    rng = np.random.default_rng(seed)
    customer = rng.choice(3, size=n, p=CUSTOMERS)
    action = (rng.random(n)[:, None] > LOGGING[customer].cumsum(axis=1)[:, :-1]).sum(axis=1)
    reward = MARGIN[action] * (rng.random(n) < BUYS[customer, action])
    return logged_decisions(action, propensity[customer, action], reward), customer


def contributions(name, seed, model=EXPECTED, **sampling):
    log, customer = sampled(seed, **sampling)
    models = () if name in {"ips", "snips"} else (model[customer],)
    return getattr(off_policy, name)(log, CANDIDATE[customer], *models)


def values(name, **options):
    return np.array([contributions(name, seed, **options).value for seed in range(RUNS)])


def bias_in_errors(found, truth):
    """Distance of the mean over the runs from the truth, in standard errors of that mean."""
    return abs(found.mean() - truth) / (found.std(ddof=1) / np.sqrt(len(found)))


ESTIMATORS = ["ips", "snips", "direct_method", "doubly_robust", "self_normalised_doubly_robust"]
WITH_MODEL = ESTIMATORS[2:]


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_mean_over_many_logs_is_the_true_value(name):
    assert bias_in_errors(values(name), TRUTH) < 4


def test_the_mean_reward_of_the_log_is_not_the_value_of_the_candidate():
    naive = np.array([sampled(seed)[0].reward.mean() for seed in range(RUNS)])
    assert bias_in_errors(naive, LOGGING_VALUE) < 4
    assert bias_in_errors(naive, TRUTH) > 20


@pytest.mark.parametrize("summed", [estimate, gain])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_19_of_20_normal_intervals_hold_the_truth(name, summed):
    truth = TRUTH - LOGGING_VALUE if summed is gain else TRUTH
    found = [summed(contributions(name, seed)) for seed in range(RUNS)]
    assert 0.91 <= np.mean([e.lower <= truth <= e.upper for e in found]) <= 0.985  # 400 runs: ± 3.5 sd


@pytest.mark.parametrize("name", ["ips", "snips", "doubly_robust"])
def test_the_bootstrap_agrees_with_the_normal_interval_on_a_large_log(name):
    c = contributions(name, seed=1, n=20_000)
    normal, drawn = estimate(c), estimate(c, bootstrap=Bootstrap(seed=3))
    width = normal.upper - normal.lower
    np.testing.assert_allclose([drawn.lower, drawn.upper], [normal.lower, normal.upper], atol=0.06 * width)


def test_a_seed_repeats_a_bootstrap_and_another_does_not():
    c = contributions("snips", seed=1)
    first, again, other = (estimate(c, bootstrap=Bootstrap(seed)) for seed in (1, 1, 2))
    assert first == again != other


def test_doubly_robust_has_less_variance_than_weighting_and_a_good_model_the_least():
    spread = {name: values(name).std() for name in ("ips", "snips", "doubly_robust")}
    assert spread["doubly_robust"] < spread["snips"] < spread["ips"]
    assert spread["doubly_robust"] < values("doubly_robust", model=WRONG_MODEL).std()


@pytest.mark.parametrize("name", ["doubly_robust", "self_normalised_doubly_robust"])
def test_doubly_robust_needs_a_right_model_or_right_propensities(name):
    lying = np.full_like(LOGGING, 0.25)
    assert bias_in_errors(values(name, model=WRONG_MODEL), TRUTH) < 4
    assert bias_in_errors(values(name, propensity=lying), TRUTH) < 4
    assert bias_in_errors(values(name, model=WRONG_MODEL, propensity=lying), TRUTH) > 8
    assert bias_in_errors(values("direct_method", model=WRONG_MODEL), TRUTH) > 8
    assert bias_in_errors(values("ips", propensity=lying), TRUTH) > 8


def test_decisions_of_one_offer_count_as_one_where_they_share_their_luck():
    def covered(seed, clustered):
        rng = np.random.default_rng(seed)
        offer = np.repeat(np.arange(50), 20)
        action = rng.integers(2, size=len(offer))
        reward = action + rng.normal(size=50)[offer] + rng.normal(size=len(offer))
        log = logged_decisions(action, np.full(len(offer), 0.5), reward, cluster=offer if clustered else None)
        found = estimate(off_policy.snips(log, np.tile([0.2, 0.8], (len(offer), 1))))
        return found.lower <= 0.8 <= found.upper

    assert np.mean([covered(seed, clustered=True) for seed in range(RUNS)]) > 0.91
    assert np.mean([covered(seed, clustered=False) for seed in range(RUNS)]) < 0.7


def test_a_bootstrap_of_offers_is_as_wide_as_their_normal_interval():
    rng = np.random.default_rng(1)
    offer = np.repeat(np.arange(400), 10)
    reward = rng.normal(size=400)[offer]
    log = logged_decisions(np.zeros(4000, int), np.ones(4000), reward, cluster=offer)
    c = off_policy.ips(log, np.ones((4000, 1)))
    normal, drawn = estimate(c), estimate(c, bootstrap=Bootstrap(seed=1))
    assert normal.upper - normal.value == pytest.approx(1.96 * reward[::10].std(ddof=1) / np.sqrt(400), rel=1e-3)
    assert drawn.upper - drawn.lower == pytest.approx(normal.upper - normal.lower, rel=0.1)


def test_every_estimator_by_hand():
    log = logged_decisions([0, 1], [0.5, 0.25], [2.0, 4.0])  # weights 0.5 and 2
    candidate, model = [[0.25, 0.75], [0.5, 0.5]], [[1.0, 2.0], [3.0, 5.0]]  # errors 1 and -1
    by_hand = {
        "ips": (0.5 * 2 + 2 * 4) / 2,
        "snips": (0.5 * 2 + 2 * 4) / 2.5,
        "direct_method": (1.75 + 4) / 2,
        "doubly_robust": (1.75 + 4) / 2 + (0.5 - 2) / 2,
        "self_normalised_doubly_robust": (1.75 + 4) / 2 + (0.5 - 2) / 2.5,
    }
    for name, expected in by_hand.items():
        found = getattr(off_policy, name)(log, candidate, *((model,) if name in WITH_MODEL else ()))
        assert found.value == pytest.approx(expected, rel=1e-15)
        assert found.effective_sample_size == pytest.approx(2.5**2 / (0.5**2 + 2**2), rel=1e-15)


def test_the_logging_policy_gains_nothing_over_itself_with_certainty():
    log, customer = sampled(seed=1)
    mean = log.reward.mean()
    assert estimate(off_policy.snips(log, LOGGING[customer])).value == pytest.approx(mean)
    zero = gain(off_policy.snips(log, LOGGING[customer]))
    np.testing.assert_allclose([zero.value, zero.lower, zero.upper], 0.0, atol=1e-15)
    assert zero.effective_sample_size == pytest.approx(len(log))


def test_the_paired_gain_of_a_near_candidate_is_known_better_than_its_value():
    log, customer = sampled(seed=1)
    c = off_policy.snips(log, (0.9 * LOGGING + 0.1 * CANDIDATE)[customer])
    value, paired = estimate(c), gain(c)
    assert paired.upper - paired.lower < (value.upper - value.lower) / 4


def test_a_handful_of_matching_decisions_is_refused_though_it_gives_a_number():
    log = logged_decisions(np.arange(4000) % 100, np.full(4000, 0.01), np.ones(4000))
    rare = np.eye(100)[np.zeros(4000, int)]  # 40 of 4000 decisions took this price
    with pytest.raises(NotSupported, match=r"40\.0 of 4000 decisions, at least 200\.0 are needed"):
        estimate(off_policy.snips(log, rare))
    assert estimate(off_policy.snips(log, rare), limits=ANY_SUPPORT).value == pytest.approx(1.0)


def test_a_small_log_is_refused_however_well_it_fits():
    log, customer = sampled(seed=1, n=99)
    with pytest.raises(NotSupported, match=r"at least 100\.0 are needed"):
        estimate(off_policy.ips(log, LOGGING[customer]))


def test_without_one_matching_decision_there_is_no_value_whatever_the_limits():
    log = logged_decisions([0, 0], [1.0, 1.0], [1.0, 2.0])
    for estimator in (off_policy.ips, off_policy.snips):
        with pytest.raises(NotSupported):
            estimate(estimator(log, [[0.0, 1.0]] * 2), limits=ANY_SUPPORT)
    with pytest.raises(NotSupported):
        _ = off_policy.snips(log, [[0.0, 1.0]] * 2).value


def test_actions_that_the_logging_policy_never_takes_are_counted_and_refused():
    never_dear = LOGGING.copy()
    never_dear[1] = [0.5, 0.5, 0.0, 0.0]
    action = np.zeros(N, int)
    customer = np.arange(N) % 4 % 3  # the second of the three has every fourth decision
    assert unsupported(never_dear[customer], CANDIDATE[customer]) == (N // 4, pytest.approx(0.8 / 4))
    log = logged_decisions(action, never_dear[customer, action], np.ones(N), logging=never_dear[customer])
    with pytest.raises(NotSupported, match=r"20\.0% of the candidate's actions"):
        estimate(off_policy.ips(log, CANDIDATE[customer]))


def test_a_gain_is_shown_only_if_its_lower_bound_clears_the_margin():
    shown = Estimate(value=0.1, lower=-0.02, upper=0.22, effective_sample_size=500.0, n=1000)
    require_gain(shown, margin=0.02)
    for refused, margin in ((shown, 0.01), (shown._replace(lower=float("nan")), 1.0)):
        with pytest.raises(GainNotShown):
            require_gain(refused, margin=margin)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reward": [1.0, np.nan, 1.0]}, r"reward\[1\] is not finite \(so are 1 of 3\)"),
        ({"propensity": [0.5, 0.0, 0.0]}, r"propensity\[1\] is outside \(0, 1\].*so are 2 of 3"),
        ({"propensity": [0.5, 1.5, 0.5]}, r"propensity\[1\] is outside \(0, 1\]"),
        ({"reward": [1.0, 1.0]}, r"reward has shape \(2,\), expected \(3,\)"),
        ({"action": [0, -1, 1]}, "leave out decisions that chose nothing"),
        ({"action": [0.0, 1.0, 1.0]}, "action is float64, expected integers"),
        ({"action": [], "propensity": [], "reward": []}, "expected one or more decisions"),
        ({"logging": [[0.5, 0.5]] * 2 + [[0.9, 0.1]]}, "propensity is not what logging says"),
        ({"candidate": [[0.5, 0.4]] * 3}, r"candidate\[0\] does not sum to 1"),
        ({"candidate": [[1.2, -0.2]] * 3}, r"candidate\[0, 0\] is outside \[0, 1\]"),
        ({"candidate": [0.5, 0.5, 0.5]}, r"candidate has shape \(3,\)"),
        ({"candidate": [[1.0]] * 3}, "the log holds action 1, the candidate knows 1 actions"),
        ({"model": [[1.0, np.inf]] * 3}, r"model\[0, 1\] is not finite"),
        ({"model": [[1.0]] * 3}, r"model has shape \(3, 1\), expected \(3, 2\)"),
    ],
)
def test_what_is_no_log_is_refused_by_name(change, message):
    good = {"action": [0, 1, 1], "propensity": [0.5] * 3, "reward": [1.0] * 3}
    good |= {"candidate": [[0.5, 0.5]] * 3, "model": [[1.0, 2.0]] * 3}
    given_ = good | change
    candidate, model = given_.pop("candidate"), given_.pop("model")
    with pytest.raises(ValueError, match=message):
        off_policy.doubly_robust(logged_decisions(**given_), candidate, model)


def test_one_cluster_has_no_interval():
    log = logged_decisions([0, 0], [1.0, 1.0], [1.0, 2.0], cluster=[7, 7])
    for bootstrap in (None, Bootstrap(1)):
        with pytest.raises(ValueError, match="1 cluster"):
            estimate(off_policy.ips(log, [[1.0]] * 2), bootstrap=bootstrap, limits=ANY_SUPPORT)


def test_per_decision_weighting_of_one_step_is_ips():
    log, customer = sampled(seed=1)
    one_step = CANDIDATE[customer, log.action][:, None]
    found = off_policy.per_decision_ips(log.propensity[:, None], one_step, log.reward[:, None])
    assert estimate(found) == estimate(off_policy.ips(log, CANDIDATE[customer]))


def test_per_decision_weighting_gives_each_reward_the_weights_up_to_it():
    found = off_policy.per_decision_ips([[0.5, 0.25]], [[1.0, 0.75]], [[10.0, 100.0]], discount=0.5)
    assert found.value == 2 * 10 + 0.5 * (2 * 3) * 100
    assert (found.weight, found.reward) == (6.0, 10 + 50)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propensity": [0.5]}, r"propensity has shape \(1,\), expected \[sequences, steps\]"),
        ({"candidate": [[1.5]]}, r"candidate holds values outside \[0, 1\]"),
        ({"reward": [[1.0, 1.0]]}, r"reward has shape \(1, 2\), expected \(1, 1\)"),
        ({"discount": 1.1}, "discount is 1.1"),
    ],
)
def test_what_is_no_sequence_is_refused_by_name(change, message):
    good = {"propensity": [[0.5]], "candidate": [[0.5]], "reward": [[1.0]], "discount": 1.0}
    with pytest.raises(ValueError, match=message):
        off_policy.per_decision_ips(**(good | change))


@pytest.mark.parametrize(("confidence", "resamples"), [(0.0, 10), (1.0, 10), (95.0, 10), (0.95, 0)])
def test_a_confidence_is_a_share_and_a_bootstrap_draws(confidence, resamples):
    with pytest.raises(ValueError, match=r"confidence is|resamples is"):
        estimate(contributions("ips", seed=1), confidence=confidence, bootstrap=Bootstrap(1, resamples))


@st.composite
def cases(draw):
    """A small log with support everywhere, a candidate and a model."""
    n, a = draw(st.integers(2, 12)), draw(st.integers(2, 4))
    share = st.floats(0.01, 1.0)
    rewards = st.floats(-100.0, 100.0)
    logging, candidate = (draw(arrays(float, (n, a), elements=share)) for _ in range(2))
    logging, candidate = (p / p.sum(axis=1, keepdims=True) for p in (logging, candidate))
    action = draw(arrays(np.int64, n, elements=st.integers(0, a - 1)))
    reward = draw(arrays(float, n, elements=rewards))
    return action, logging[np.arange(n), action], reward, candidate, draw(arrays(float, (n, a), elements=rewards))


close = partial(pytest.approx, rel=1e-9, abs=1e-9)


@given(cases(), st.floats(0.1, 10.0), st.floats(-50.0, 50.0))
def test_another_unit_or_zero_of_the_reward_changes_the_value_alike(case, scale, shift):
    action, propensity, reward, candidate, model = case
    log = logged_decisions(action, propensity, reward)
    moved = logged_decisions(action, propensity, scale * reward + shift)
    scaled = logged_decisions(action, propensity, scale * reward)
    assert off_policy.ips(scaled, candidate).value == close(scale * off_policy.ips(log, candidate).value, rel=1e-6)
    assert off_policy.snips(moved, candidate).value == close(
        scale * off_policy.snips(log, candidate).value + shift, abs=1e-6
    )
    for name in WITH_MODEL:
        estimator = getattr(off_policy, name)
        expected = scale * estimator(log, candidate, model).value + shift
        assert estimator(moved, candidate, scale * model + shift).value == close(expected, abs=1e-6), name


@given(cases())
def test_snips_stays_between_the_lowest_and_the_highest_reward(case):
    action, propensity, reward, candidate, _ = case
    found = off_policy.snips(logged_decisions(action, propensity, reward), candidate).value
    assert reward.min() - 1e-9 <= found <= reward.max() + 1e-9


@given(cases(), st.floats(0.01, 1.0))
def test_with_a_perfect_model_the_weights_do_not_matter(case, other):
    action, propensity, _, candidate, model = case
    reward = model[np.arange(len(action)), action]
    direct = off_policy.direct_method(logged_decisions(action, propensity, reward), candidate, model)
    for p in (propensity, propensity * other):
        log = logged_decisions(action, p, reward)
        for estimator in (off_policy.doubly_robust, off_policy.self_normalised_doubly_robust):
            found: Contributions = estimator(log, candidate, model)
            assert found.value == direct.value
            assert not found.numerator.any()


@given(arrays(float, st.integers(1, 30), elements=st.floats(0.0, 1e200)).filter(np.any))
def test_the_effective_sample_size_is_above_0_and_at_most_n(weights):
    assert 0.0 < effective_sample_size(weights) <= len(weights)


@given(st.integers(1, 100), st.integers(0, 100), st.floats(1e-200, 1e200))
def test_equal_weights_count_fully_and_zeros_not_at_all(n, zeros, weight):
    assert effective_sample_size([weight] * n + [0.0] * zeros) == pytest.approx(n)
