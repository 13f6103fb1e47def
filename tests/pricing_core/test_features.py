"""Features: the elasticity estimate by hand, finite numbers whatever comes, names that fit the columns."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.decayed_demand import PRIOR_ELASTICITY, PRIOR_INFORMATION, elasticity, planned_gain
from pricing_core.demand import belief
from pricing_core.features import CANDIDATE_FEATURES, CLIP, FEATURES, MOVES_BP, FeatureInputs, featurize
from pricing_core.outlook import NO_GUESS

LOOK = jax.jit(featurize)


def offers(**changes):
    """One offer with a history, as a batch of one; ``changes`` replace fields."""
    ratio = jnp.log1p(jnp.asarray(MOVES_BP, jnp.float32) / 10_000)
    plain = FeatureInputs(
        sums=jnp.tile(jnp.asarray([1000.0, 100.0, 30.0, -10.0, 4.0, -0.6]), (1, 3, 1)),
        log_price=jnp.asarray([0.05]),
        profit_slope=jnp.asarray([0.8]),
        profit_offset=jnp.asarray([0.6]),
        rival_log_gap=jnp.asarray([-0.02]),
        rival_known=jnp.asarray([1.0]),
        rival_age_days=jnp.asarray([0.5]),
        on_hand=jnp.asarray([40.0]),
        days_since_change=jnp.asarray([2.0]),
        days_known=jnp.asarray([20.0]),
        log_ratio=ratio[None],
        legal=jnp.ones((1, len(MOVES_BP)), bool),
        tally=belief.empty(1),
        counts_shoppers=jnp.asarray([1.0]),
        salvage_offset=jnp.asarray([0.6]),
        days_left=jnp.asarray([jnp.inf]),
        expected_elasticity=jnp.asarray([PRIOR_ELASTICITY]),
        expected_units=jnp.asarray([NO_GUESS]),
    )
    return plain._replace(**changes)


def state_of(inputs):
    state = LOOK(inputs).state
    return dict(zip((f.name for f in FEATURES), np.asarray(state[0]), strict=True))


def candidate_of(inputs, name):
    candidates = LOOK(inputs).candidates
    column = [f.name for f in CANDIDATE_FEATURES].index(name)
    return np.asarray(candidates[0, :, column]) * CANDIDATE_FEATURES[column].scale


def test_the_elasticity_of_two_prices_is_the_slope_between_them_shrunk_to_the_prior():
    # 1000 views at x = -0.1 sold 40, 1000 views at x = +0.1 sold 20. By hand: exposure mean 0, variance 0.01;
    # units 60, their sum of x -2. Without prior (0 + 2) / (60 · 0.01) = 3.33; with it
    # (2 + 1.5 · 2.5) / (0.6 + 1.5) = 2.738.
    sums = jnp.asarray([2000.0, 0.0, 60.0, 0.0, 20.0, -2.0])
    estimate = elasticity(sums)
    assert float(estimate.information) == pytest.approx(0.6)
    assert float(estimate.value) == pytest.approx(
        (2.0 + PRIOR_INFORMATION * PRIOR_ELASTICITY) / (0.6 + PRIOR_INFORMATION)
    )


def test_much_evidence_finds_the_true_elasticity():
    x = np.linspace(-0.1, 0.1, 21)
    units = 1e6 * np.exp(-4.0 * x)
    sums = jnp.asarray([21e6, 0, units.sum(), 0, 1e6 * (x**2).sum(), (units * x).sum()], jnp.float32)
    assert float(elasticity(sums).value) == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize(
    ("sums", "why"),
    [
        ([0.0, 0.0, 0.0, 0.0, 0.0, 0.0], "nothing happened"),
        ([0.0, 0.0, 50.0, 0.0, 0.0, 3.0], "sales without impressions: no exposure to compare with"),
        ([900.0, 90.0, 30.0, 45.0, 2.25, 1.5], "a price that never moved says nothing"),
    ],
)
def test_without_evidence_the_elasticity_is_the_prior(sums, why):
    assert float(elasticity(jnp.asarray(sums)).value) == pytest.approx(PRIOR_ELASTICITY, abs=1e-3), why


def test_the_planned_gain_by_hand():
    # Price 100, unit profit 20, elasticity 2; up 10 %: unit profit 30, demand 1.1 ** -2 → 24.79 / 20 - 1.
    gain = planned_gain(jnp.log(1.1), jnp.asarray(1.0), jnp.asarray(0.8), jnp.asarray(2.0))
    assert float(gain) == pytest.approx(30 / 1.1**2 / 20 - 1, rel=1e-5)


def test_below_cost_a_higher_price_is_a_gain_and_a_lower_one_a_loss():
    below = candidate_of(offers(profit_offset=jnp.asarray([0.85])), "plan_30d")
    assert below[-1] > 0 > below[0]


def test_a_price_above_all_rivals_and_one_below_have_gaps_of_opposite_sign():
    gap = candidate_of(offers(rival_log_gap=jnp.asarray([0.03])), "rival_gap_at")
    assert gap[0] > 0 > gap[-1]


def test_unknown_rivals_and_stock_are_flags_not_numbers():
    blind = state_of(
        offers(rival_known=jnp.asarray([0.0]), rival_log_gap=jnp.asarray([9.0]), on_hand=jnp.asarray([-1.0]))
    )
    assert blind["rival_known"] == blind["rival_gap"] == blind["rival_age"] == 0
    assert blind["stock_known"] == blind["stock"] == blind["cover"] == 0


@pytest.mark.parametrize("size", [0.0, 1e-30, 1.0, 1e12])
@pytest.mark.parametrize("price", [-20.0, 0.0, 20.0])
@pytest.mark.parametrize("offset", [0.0, 0.8, 1e6])
def test_features_are_finite_and_bounded_for_extreme_inputs(size, price, offset):
    extreme = offers(
        sums=jnp.full((1, 3, 6), size) * jnp.asarray([1, 1, 1, price, price**2, price]),
        log_price=jnp.asarray([price]),
        profit_slope=jnp.asarray([0.0]),
        profit_offset=jnp.asarray([offset]),
        rival_log_gap=jnp.asarray([price]),
        rival_age_days=jnp.asarray([1e6]),
        on_hand=jnp.asarray([size]),
        days_known=jnp.asarray([0.0]),
        log_ratio=jnp.linspace(-abs(price), abs(price), len(MOVES_BP))[None],
    )
    seen = LOOK(extreme)
    assert np.isfinite(seen.plan).all()
    for features in seen[:2]:
        assert np.isfinite(features).all()
        assert np.abs(features).max() <= CLIP


def test_an_offer_is_featurized_alike_alone_and_in_a_batch():
    batch = jax.tree.map(lambda a: jnp.concatenate([a, a * 0.5 if a.dtype != bool else a]), offers())
    for alone, together in zip(LOOK(offers()), LOOK(batch), strict=True):
        np.testing.assert_allclose(alone[0], together[0], rtol=1e-5)


def test_sums_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="sums: expected"):
        featurize(offers(sums=jnp.zeros((1, 2, 6))))
