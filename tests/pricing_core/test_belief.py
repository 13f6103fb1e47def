"""The belief about an offer's demand: exact where the exact posterior is known, calibrated where it is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln

from pricing_core.demand import belief
from pricing_core.demand.belief import MEMORIES, Period, Prior
from pricing_core.demand.curves import ELASTICITY_OF_CURVE, FORM_OF_CURVE
from pricing_core.demand.forms import demand
from pricing_core.demand.knots import KNOT

ON_KNOTS = np.exp(KNOT * np.array([-8, -3, 0, 2, 7]))


def prior_of(n, *, shape=2.0, rate=0.5, elasticity=2.2, spread=0.35):
    return Prior(*(jnp.full(n, value, jnp.float32) for value in (shape, rate, elasticity, spread)))


def told(prior, ratios, units, exposure=1.0, *, censored=False):
    """Tally of offers that all sold the same: one period for each ratio."""
    n = len(prior.elasticity)
    tally = belief.empty(n)
    observe = jax.jit(belief.observe)
    for ratio, sold in zip(ratios, units, strict=True):
        columns = (jnp.full(n, value, jnp.float32) for value in (ratio, exposure, sold))
        tally = observe(tally, prior, Period(*columns, jnp.full(n, censored)))
    return tally


def test_the_posterior_is_the_exact_gamma_poisson_one():
    units, exposure = [31, 12, 9, 6, 2], 3.0
    prior = prior_of(1)
    held = belief.posterior(told(prior, ON_KNOTS, units, exposure), prior)
    g = np.maximum(demand(FORM_OF_CURVE[:, None], ELASTICITY_OF_CURVE[:, None], jnp.asarray(ON_KNOTS)), 0.01)
    g = np.asarray(g, np.float64)
    shape, rate = 2.0 + sum(units), 0.5 + exposure * g.sum(axis=1)
    # sum of y·ln(e·g), and the Gamma integral over the level
    log_evidence = (units * np.log(g)).sum(axis=1) + gammaln(shape) - shape * np.log(rate)
    log_evidence -= 0.5 * ((np.log(ELASTICITY_OF_CURVE) - np.log(2.2)) / 0.35) ** 2
    exact = np.exp(log_evidence - log_evidence.max())
    np.testing.assert_allclose(held.weight[0], exact / exact.sum(), atol=2e-4)
    np.testing.assert_allclose(held.shape[0], shape, rtol=1e-5)
    np.testing.assert_allclose(held.rate[0], rate, rtol=1e-5)


def test_between_two_knots_nothing_is_lost():
    prior = prior_of(1)
    tally = told(prior, [0.937, 1.111, 9.0], [4, 3, 2], 5.0)
    assert tally.units[0, 0].sum() == pytest.approx(9, rel=1e-6)
    assert tally.exposure[0, 0].sum() == pytest.approx(15, rel=1e-6)


def test_sales_at_one_price_between_two_knots_say_nothing_about_the_curve():
    prior = prior_of(1, shape=0.01, rate=1e-4)  # as good as nothing is known of the level
    held = belief.posterior(told(prior, [float(np.exp(1.5 * KNOT))] * 200, [20] * 200), prior)
    nothing = belief.posterior(belief.empty(1), prior)
    expected = [float((of.weight * ELASTICITY_OF_CURVE).sum()) for of in (held, nothing)]
    assert expected[0] == pytest.approx(expected[1], abs=0.1)  # linear shares: 1.1, cubic alone: 5.3


@pytest.mark.parametrize("log_ratio", np.linspace(-0.9, 0.9, 13))
def test_a_belief_stays_finite_at_any_price(log_ratio):
    prior = prior_of(1)
    held = belief.posterior(told(prior, [float(np.exp(log_ratio))] * 60, [25] * 60), prior)
    assert all(bool(jnp.isfinite(part).all()) for part in jax.tree.leaves(held))
    assert float(held.rate.min()) > 0.0


def test_a_period_without_exposure_changes_nothing():
    prior = prior_of(1)
    before = told(prior, [1.0, 1.1], [3, 2])
    after = belief.observe(before, prior, Period(*(jnp.ones(1) * v for v in (1.0, 0.0, 0.0)), jnp.zeros(1, bool)))
    jax.tree.map(np.testing.assert_array_equal, before, after)


def test_a_log_taken_in_at_once_is_the_same_as_period_by_period():
    prior = prior_of(1)
    ratios, units = [0.8, 0.9, 1.0, 1.1, 1.2], [8, 6, 5, 3, 2]
    columns = (jnp.asarray(values, jnp.float32)[:, None] for values in (ratios, [1.0] * 5, units))
    at_once = belief.absorb(belief.empty(1), prior, *columns, evidence=jnp.ones(1))
    one_by_one = told(prior, ratios, units)
    np.testing.assert_allclose(at_once.units, one_by_one.units, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(at_once.exposure, one_by_one.exposure, rtol=1e-5, atol=1e-6)


def test_the_prediction_of_a_period_is_a_distribution():
    prior, possible = prior_of(200, shape=8.0, rate=1.0), jnp.arange(200.0)
    tally = told(prior, [0.9, 1.1], [9, 6])
    period = Period(jnp.full(200, 1.2), jnp.ones(200), possible, jnp.zeros(200, bool))
    probability = jnp.exp(belief.log_predictive(tally, prior, period))
    assert float(probability.sum()) == pytest.approx(1.0, abs=1e-3)
    held = belief.posterior(tally, prior)
    curves = demand(FORM_OF_CURVE, ELASTICITY_OF_CURVE, jnp.float32(1.2))
    expected = float((held.weight * held.level * curves)[0].sum())
    assert float((probability * possible).sum()) == pytest.approx(expected, rel=0.01)


def test_a_stock_out_says_that_demand_was_more():
    prior = prior_of(1, shape=100.0, rate=10.0)
    taken_at_its_word = belief.posterior(told(prior, [1.0] * 8, [4] * 8), prior)
    censored = belief.posterior(told(prior, [1.0] * 8, [4] * 8, censored=True), prior)
    expected = [float((held.weight * held.level).sum()) for held in (taken_at_its_word, censored)]
    assert expected[0] < 8
    assert expected[1] == pytest.approx(10, abs=0.7)  # four of at least four say nothing about ten


def simulate(key, prior, periods, *, noise=0.0, change=1.0, believed=None):
    """Markets drawn from the prior, prices at random; demand changes by a factor half-way. Another may be believed."""
    believed = believed or prior
    n = len(prior.elasticity)
    k = jax.random.split(key, 6)
    form = jax.random.randint(k[0], (n,), 0, 4)
    elasticity = prior.elasticity * jnp.exp(prior.elasticity_spread * jax.random.normal(k[1], (n,)))
    level = jax.random.gamma(k[2], prior.level_shape, (n,)) / prior.level_rate
    ratio = jnp.exp(0.15 * jax.random.normal(k[3], (periods, n)))
    level = level * jnp.where(jnp.arange(periods) < periods // 2, 1.0, change)[:, None]
    mean = level * jnp.maximum(demand(form, elasticity, ratio), 0.01)
    if noise:
        mean *= jax.random.gamma(k[5], 1 / noise, mean.shape) * noise
    units = jax.random.poisson(k[4], mean).astype(jnp.float32)

    def period(tally, row):
        one = Period(row[0], jnp.ones(n), row[1], jnp.zeros(n, bool))
        return belief.observe(tally, believed, one), None

    tally, _ = jax.jit(lambda: jax.lax.scan(period, belief.empty(n), (ratio, units)))()
    return tally, elasticity, level


def test_the_90_percent_interval_of_the_elasticity_covers_as_often():
    prior = prior_of(600, shape=4.0, rate=0.4)
    tally, elasticity, _ = simulate(jax.random.key(11), prior, 60)
    held = belief.posterior(tally, prior)
    order = np.argsort(ELASTICITY_OF_CURVE, kind="stable")
    cumulated = np.cumsum(np.asarray(held.weight)[:, order], axis=1)
    low, high = (ELASTICITY_OF_CURVE[order][(cumulated < q).sum(axis=1).clip(max=len(order) - 1)] for q in (0.05, 0.95))
    covered = float(((elasticity >= low * 0.96) & (elasticity <= high * 1.04)).mean())  # half a step of the grid
    assert 0.85 <= covered <= 0.95


def test_dispersion_is_found_where_it_is_and_only_there():
    prior = prior_of(64, shape=400.0, rate=20.0)
    poisson, _, _ = simulate(jax.random.key(1), prior, 150)
    noisy, _, _ = simulate(jax.random.key(2), prior, 150, noise=0.1)
    assert float(jnp.median(belief.dispersion(poisson))) < 1.15
    assert float(jnp.median(belief.dispersion(noisy))) > 1.8  # variance 20 + 0.1·20² at the list price


@pytest.mark.parametrize("change", [0.4, 2.0])
def test_a_change_of_demand_is_followed(change):
    drawn, believed = prior_of(64, shape=400.0, rate=40.0), prior_of(64, shape=2.0, rate=0.2)
    tally, _, level = simulate(jax.random.key(3), drawn, 120, change=change, believed=believed)
    held = belief.posterior(tally, believed)
    error = (held.weight * held.level).sum(axis=1) / level[-1] - 1
    assert float(jnp.abs(jnp.median(error))) < 0.1
    for_ever = belief.posterior(tally._replace(score=jnp.zeros_like(tally.score)), believed)
    assert MEMORIES[0] == 1.0
    overwritten = np.isclose(for_ever.level, held.level, rtol=0.35, atol=0).all(axis=1)  # the memory that keeps all
    assert overwritten.mean() > 0.95
