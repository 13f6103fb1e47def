"""Demand of all offers together: categories are told apart, no curve ever rises, and prices that followed demand
mislead only where nothing moved them beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.demand.population import EFFECTS, HEADS, Known, curves, prior
from pricing_core.learning.population import Observed, Recipe, first_stage, fit

RECIPE = Recipe(updates=800, batch=512, learning_rate=1e-2)
ELASTICITY = np.array([1.6, 3.2])
"""Of two categories."""
NEW = Known(jnp.eye(2), jnp.full(2, -1))
"""An offer of each that was never met."""


def shop(offers=200, days=40, *, response=0.0, instrumented=True, seed=1):
    """Two categories of offers; prices follow cost, and with a response the demand of the day, too."""
    random = np.random.default_rng(seed)
    category = random.integers(0, 2, offers)
    log_level = np.log(4.0) + random.normal(0.0, 0.5, offers)
    log_cost = random.normal(0.0, 0.12, (offers, days))
    shock = random.normal(0.0, 0.4, (offers, days))
    x = log_cost + response * shock
    mean = np.exp(log_level[:, None] - ELASTICITY[category][:, None] * x + shock - 0.08)
    row = np.repeat(np.arange(offers), days)
    instrument = log_cost.reshape(-1, 1)
    return Observed(
        Known(jnp.eye(2)[category[row]], jnp.asarray(row)),
        *(jnp.asarray(column.ravel(), jnp.float32) for column in (x, np.ones_like(x), random.poisson(mean))),
        instrument=jnp.asarray(instrument if instrumented else instrument[:, :0], jnp.float32),
    )


def elasticities(params):
    return np.asarray(curves(params, NEW).elasticity.mean(axis=1))


@pytest.fixture(scope="module")
def fitted():
    return fit(shop(), RECIPE, seed=0)


def test_an_offer_never_met_has_the_elasticity_of_its_category(fitted):
    np.testing.assert_allclose(elasticities(fitted), ELASTICITY, atol=0.3)


def test_prices_that_followed_demand_mislead_without_an_instrument_and_not_with_one():
    logs = (shop(response=0.5, instrumented=known) for known in (False, True))
    misled, told = (elasticities(fit(log, RECIPE, seed=0)) for log in logs)
    assert (misled < ELASTICITY - 0.5).all()
    np.testing.assert_allclose(told, ELASTICITY, atol=0.35)


def test_the_first_stage_leaves_what_neither_instrument_nor_content_explains():
    seen = shop(response=0.5)
    residual = np.asarray(first_stage(seen))
    regressors = np.column_stack([seen.instrument, seen.known.content])
    assert abs(np.corrcoef(residual, seen.instrument[:, 0])[0, 1]) < 1e-4
    exact = np.linalg.lstsq(regressors, np.asarray(seen.x), rcond=None)[0]
    np.testing.assert_allclose(residual, seen.x - regressors @ exact, atol=1e-4)


def test_no_curve_rises_with_the_price():
    """Even where every rise in the data came with more sales."""
    x = np.linspace(-0.3, 0.3, 400)
    known = Known(jnp.ones((400, 1)), jnp.zeros(400, jnp.int32))
    seen = Observed(
        known, *(jnp.asarray(part, jnp.float32) for part in (x, np.ones(400), 50 + 100 * x, x[:, None] * 0))
    )
    assert (curves(fit(seen, RECIPE, seed=0), known).elasticity > 0).all()


def test_heads_agree_where_there_are_data_and_widen_the_prior_where_there_are_none(fitted):
    elsewhere = Known(jnp.array([[6.0, -6.0]]), jnp.array([-1]))
    here, there = (prior(fitted, known, level_spread=0.5, elasticity_spread=0.0) for known in (NEW, elsewhere))
    assert there.elasticity_spread[0] > 2.0 * here.elasticity_spread.max() > 0.0
    given = prior(fitted, NEW, level_spread=0.5, elasticity_spread=0.28)
    np.testing.assert_allclose(given.elasticity_spread**2, 0.28**2 + here.elasticity_spread**2, rtol=1e-4)
    level = np.asarray(given.level_shape / given.level_rate)
    np.testing.assert_allclose(level, 4.0 * np.exp(0.5 * 0.5**2), rtol=0.25)


def test_one_seed_repeats_itself_and_heads_differ():
    seen, recipe = shop(20, 10), Recipe(updates=20, batch=64)
    one, same, other = (fit(seen, recipe, seed) for seed in (1, 1, 2))
    assert jax.tree.all(jax.tree.map(lambda a, b: bool((a == b).all()), one, same))
    assert not bool((one["rho"] == other["rho"]).all())
    assert len(set(np.asarray(curves(one, NEW).elasticity[0]).tolist())) == HEADS


@pytest.mark.parametrize(("name", "value"), [("effect", EFFECTS), ("effect", -2), ("x", np.nan), ("units", np.inf)])
def test_what_cannot_be_is_refused(name, value):
    seen = shop(2, 3)
    if name == "effect":
        wrong = seen._replace(known=seen.known._replace(effect=seen.known.effect.at[0].set(value)))
    else:
        wrong = seen._replace(**{name: getattr(seen, name).at[0].set(value)})
    with pytest.raises(ValueError, match=name):
        fit(wrong, RECIPE, seed=0)
