"""What prices followed is taken out of a log; a log whose prices followed nothing stays as it is."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.demand.control_function import control

PERIODS, OFFERS, ELASTICITY = 300, 64, 2.5


def log_of(seed, *, response, cost_spread=0.1):
    """Logs whose price answered a hidden shock of demand, and the cost: log shock, and columns for `control`."""
    k = jax.random.split(jax.random.key(seed), 4)
    shape = (PERIODS, OFFERS)
    log_shock, log_cost = 0.35 * jax.random.normal(k[0], shape), cost_spread * jax.random.normal(k[1], shape)
    log_ratio = log_cost + response * log_shock + 0.1 * jax.random.normal(k[2], shape)
    hidden = log_shock if response else jnp.zeros(shape)
    units = jax.random.poisson(k[3], 20.0 * jnp.exp(hidden - ELASTICITY * log_ratio)).astype(jnp.float32)
    return log_shock, (log_ratio, 3.0 + log_cost, jnp.ones(shape), units)


def elasticities(log_ratio, factor, units):
    """Of each offer, by a log-linear regression of units on price, given a factor on demand."""
    x, y = np.asarray(log_ratio), np.log(np.asarray(units) + 0.5) - np.log(np.asarray(factor))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    return -(x * y).sum(axis=0) / (x * x).sum(axis=0)


def test_with_the_control_function_the_elasticity_is_right_and_without_it_too_small():
    _, (log_ratio, log_cost, exposure, units) = log_of(1, response=0.6)
    found = control(log_ratio, log_cost, exposure, units)
    naive = elasticities(log_ratio, jnp.ones_like(units), units)
    controlled = elasticities(log_ratio, found.demand, units)
    assert np.median(naive) < 1.6
    assert np.median(controlled) == pytest.approx(ELASTICITY, abs=0.2)
    assert float(found.weight.max()) < 0.5  # only what the cost moved tells of the elasticity


def test_the_demand_that_is_found_is_the_one_that_was_hidden():
    log_shock, columns = log_of(2, response=0.6)
    found = np.log(control(*columns).demand)
    assert np.corrcoef(found.ravel(), np.asarray(log_shock).ravel())[0, 1] > 0.8


def test_a_log_whose_prices_followed_nothing_is_left_alone():
    _, columns = log_of(3, response=0.0)
    found = control(*columns)
    untouched = np.abs(np.log(found.demand)).max(axis=0) < 0.05
    assert untouched.mean() > 0.9
    assert float(jnp.median(found.weight)) > 0.9


def test_without_an_instrument_nothing_is_done():
    _, (log_ratio, log_cost, exposure, units) = log_of(4, response=0.6)
    for cost in (jnp.full_like(log_cost, 3.0), jnp.full_like(log_cost, -jnp.inf)):
        found = control(log_ratio, cost, exposure, units)
        np.testing.assert_array_equal(found.demand, 1.0)
        np.testing.assert_array_equal(found.weight, 1.0)


@pytest.mark.parametrize("cost_spread", [0.0, 0.0015, 0.01])
def test_a_million_sales_at_a_cost_that_hardly_moved_leave_numbers(cost_spread):
    k_rule, k_price, k_cost, k_units = jax.random.split(jax.random.key(5), 4)
    shape = (10_000, 4)
    explored = jnp.log(jax.random.uniform(k_price, shape, minval=0.65, maxval=1.95))
    log_ratio = jnp.where(jax.random.bernoulli(k_rule, 0.1, shape), explored, jnp.log(0.72))
    log_cost = cost_spread * jax.random.normal(k_cost, shape)
    units = jax.random.poisson(k_units, 25.0 * jnp.exp(-4.0 * log_ratio)).astype(jnp.float32)
    found = control(log_ratio, log_cost, jnp.ones(shape), units)
    assert np.isfinite(found.demand).all()
    assert np.median(np.abs(np.log(found.demand))) < 0.05
    assert ((found.weight > 0.0) & (found.weight <= 1.0)).all()
