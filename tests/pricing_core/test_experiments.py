"""Experiments: arms that anybody can compute, and intervals that mean what they say."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_core.experiments import calibration, effect
from pricing_core.experiments.assignment import Experiment

DAY = 86_400_000
KEYS = [b"web:%d" % offer for offer in range(20_000)]
ALWAYS = np.zeros(len(KEYS), np.int64)


def offers(name="spring", share=0.5):
    return Experiment(name, "offers", 0, 28 * DAY, share)


def switchback(name="spring", days=28, block_ms=DAY):
    return Experiment(name, "switchback", 0, days * DAY, block_ms=block_ms)


# Arms


def test_arms_are_the_same_for_ever():
    """A report of next year computes them anew: these are written down from the first version."""
    assert offers().controls([b"web:1", b"web:2", b"web:3", b"shop:1", b"shop:2"], np.zeros(5, np.int64)).tolist() == [
        False, True, False, False, False,
    ]  # fmt: skip
    assert switchback().control_blocks(np.arange(8)).tolist() == [True, False, False, True, True, False, True, False]


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5])
def test_the_control_has_its_share(share):
    controls = offers(share=share).controls(KEYS, ALWAYS)

    assert effect.arms_are_uneven(int(controls.sum()), len(KEYS), share) > effect.SUSPICIOUS


def test_an_offer_stays_in_its_arm_whoever_else_is_asked_for():
    everyone = offers().controls(KEYS[:100], ALWAYS[:100])

    assert [bool(offers().controls([key], np.array([27 * DAY]))[0]) for key in KEYS[:100]] == everyone.tolist()


def test_arms_of_two_experiments_have_nothing_to_do_with_each_other():
    first, second = (offers(name).controls(KEYS, ALWAYS) for name in ("spring", "autumn"))

    assert abs(np.corrcoef(first, second)[0, 1]) < 0.03


@given(st.text(min_size=1, max_size=20), st.integers(0, 10_000))
def test_of_two_blocks_one_is_control(name, pair):
    assert switchback(name).control_blocks(np.array([2 * pair, 2 * pair + 1])).sum() == 1


def test_all_offers_switch_together():
    noon = np.full(50, DAY // 2)

    assert len(set(switchback().controls(KEYS[:50], noon).tolist())) == 1


def test_an_experiment_runs_from_its_start_until_its_end():
    experiment = Experiment("spring", "offers", 10, 20)

    assert [experiment.is_running(now) for now in (9, 10, 19, 20)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("experiment", "message"),
    [
        (lambda: Experiment("x", "offers", 5, 5), "ends before it starts"),
        (lambda: offers(share=0.0), "holds 0 of the offers out"),
        (lambda: offers(share=1.0), "holds 1 of the offers out"),
        (lambda: switchback(days=3), "1 pairs of blocks"),
    ],
)
def test_what_cannot_be_played_is_refused(experiment, message):
    with pytest.raises(ValueError, match=message):
        experiment()


# Effects


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_one_in_twenty_experiments_on_offers_without_effect_claims_one(share):
    assert 0.04 <= calibration.by_offers(2000, seed=1, control_share=share, offers=200).rate <= 0.06


def test_one_in_twenty_switchbacks_without_effect_claims_one():
    assert 0.04 <= calibration.by_switchback(10_000, seed=3).rate <= 0.06


def test_intervals_hold_the_true_effect_and_the_detectable_one_is_detected():
    rng, runs = np.random.default_rng(0), 400
    covered = found = 0
    for run in range(runs):
        shop = calibration.Shop.drawn(rng, 300)
        past, before, outcome = (shop.drifted(rng).profit(rng, 28) for _ in range(3))
        size = effect.detectable_by_offers(before, past, 0.5, power=0.8)
        treated = ~offers(f"run {run}").controls(KEYS[:300], ALWAYS[:300])
        seen = effect.of_offers(outcome + size * treated, before, treated, permutations=199)
        covered += seen.lower <= size <= seen.upper
        found += seen.p_value <= 0.05
    assert 0.92 <= covered / runs <= 0.98
    assert 0.7 <= found / runs <= 0.9


def test_what_was_earned_before_makes_the_estimate_sharper():
    rng = np.random.default_rng(1)
    shop = calibration.Shop.drawn(rng, 500)
    before, outcome = shop.profit(rng, 28), shop.drifted(rng).profit(rng, 28)
    treated = ~offers().controls(KEYS[:500], ALWAYS[:500])
    adjusted, plain = (effect.of_offers(outcome, known, treated) for known in (before, np.zeros(500)))

    assert adjusted.upper - adjusted.lower < 0.75 * (plain.upper - plain.lower)
    assert plain.difference == pytest.approx(outcome[treated].mean() - outcome[~treated].mean())


def test_the_adjustment_is_the_regression_of_each_arm():
    rng = np.random.default_rng(2)
    before, outcome = rng.normal(5.0, 2.0, 60), rng.normal(3.0, 1.0, 60)
    treated = np.arange(60) % 3 == 0
    seen = effect.of_offers(outcome + 2.0 * before * treated, before, treated)

    predicted = [
        np.polyval(np.polyfit(before[arm], (outcome + 2.0 * before * treated)[arm], 1), before.mean())
        for arm in (treated, ~treated)
    ]
    assert seen.difference == pytest.approx(predicted[0] - predicted[1])
    assert seen.control_mean == pytest.approx(predicted[1])


def test_pairs_are_compared_within_themselves():
    control = np.array([100.0, 900.0, 400.0, 250.0])
    seen = effect.of_pairs(control + np.array([9.0, 11.0, 10.0, 10.0]), control)

    assert seen.difference == 10.0
    assert seen.share == pytest.approx(10.0 / 412.5)
    assert 8.5 < seen.lower < 10.0 < seen.upper < 11.5
    assert seen.p_value < 0.001


def test_a_switchback_finds_what_it_says_it_can():
    rng, runs, pairs = np.random.default_rng(4), 1000, 14
    found = 0
    for run in range(runs):
        days = calibration.shop_days(rng, 4 * pairs)
        history, earned = days[: 2 * pairs], days[2 * pairs :]
        size = effect.detectable_by_pairs(history, pairs, power=0.8)
        control = switchback(f"run {run}").control_blocks(np.arange(2 * pairs))
        found += effect.of_pairs(earned[~control] + size, earned[control]).p_value < 0.05
    assert 0.7 <= found / runs <= 0.9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: effect.of_offers(np.ones(5), np.ones(5), np.arange(5) < 2), "treatment has 2 offers"),
        (lambda: effect.of_offers(np.ones(5), np.ones(5), np.arange(5) < 4), "control has 1 offers"),
        (lambda: effect.of_offers(np.full(8, np.nan), np.ones(8), np.arange(8) < 4), "not finite"),
        (lambda: effect.of_pairs(np.ones(1), np.ones(1)), "1 whole pair"),
        (lambda: effect.detectable_by_offers(np.ones(4), np.ones(4), 0.5), "4 offers are too few"),
    ],
)
def test_too_little_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_offers_that_all_earn_the_same_show_no_effect():
    seen = effect.of_offers(np.full(10, 3.0), np.full(10, 3.0), np.arange(10) < 5)

    assert (seen.difference, seen.lower, seen.upper, seen.p_value) == (0.0, 0.0, 0.0, 1.0)
