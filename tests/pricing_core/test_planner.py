"""The closed-form planner, against formulas and against the exact programme."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import poisson

from pricing_core.demand.forms import CONSTANT_ELASTICITY, EXPONENTIAL, FORMS
from pricing_core.demand.forms import demand as demand_of
from pricing_core.planning import exact
from pricing_core.planning.planner import Curve, bid_price, expected_sales, sensitivity


@pytest.mark.parametrize("stock", [0, 1, 2, 7, 40, 200])
@pytest.mark.parametrize("mean", [0.05, 1.0, 6.5, 30.0, 180.0])
def test_expected_sales_are_those_of_the_truncated_poisson(stock, mean):
    units = np.arange(2000)
    by_sum = (np.minimum(units, stock) * poisson.pmf(units, mean)).sum()
    assert float(expected_sales(jnp.float32(mean), jnp.float32(stock))) == pytest.approx(by_sum, rel=2e-3, abs=2e-4)


def test_without_a_limit_all_of_the_demand_is_sold():
    assert float(expected_sales(jnp.float32(3.5), jnp.float32(jnp.inf))) == 3.5


@pytest.mark.parametrize("stock", [1, 3, 10, 40])
def test_the_bid_price_of_exponential_demand_is_that_of_gallego_and_van_ryzin(stock):
    level, elasticity, left = 4.0, 2.0, 5.0
    curve = Curve(jnp.int32(EXPONENTIAL), *(jnp.float32(value) for value in (elasticity, level, 1.0)))
    load = level * np.exp(elasticity - 1.0) * left  # of a·exp(-2p) at p = 1/2
    terms = np.cumsum(load ** np.arange(stock + 1) / np.cumprod([1.0, *range(1, stock + 1)]))
    exact_bid = (np.log(terms[stock]) - np.log(terms[stock - 1])) / elasticity
    bid = bid_price(curve, jnp.float32(0.0), jnp.float32(stock), jnp.float32(left))
    assert float(bid) == pytest.approx(exact_bid, rel=2e-3)


@pytest.mark.parametrize("form", range(len(FORMS)), ids=FORMS)
def test_sensitivity_is_the_slope_of_log_demand(form):
    price = jnp.linspace(7.0, 12.0, 6)
    curve = Curve(jnp.int32(form), *(jnp.float32(value) for value in (2.5, 3.0, 10.0)))
    slope = jax.vmap(jax.grad(lambda p: -jnp.log(demand_of(curve.form, curve.elasticity, p / curve.list_price))))(price)
    np.testing.assert_allclose(sensitivity(curve, price), slope, rtol=1e-4)


def test_scarcity_and_time_raise_the_bid_price_and_nothing_limited_has_none():
    curve = Curve(jnp.int32(CONSTANT_ELASTICITY), *(jnp.float32(value) for value in (2.0, 1.0, 1.0)))
    stock, left = jnp.arange(1.0, 30.0), jnp.arange(1.0, 60.0)
    bid = np.asarray(bid_price(curve, jnp.float32(0.4), stock[:, None], left[None, :]))
    assert (np.diff(bid, axis=0) <= 1e-3).all()
    assert (np.diff(bid, axis=1) >= -1e-3).all()
    inf = jnp.float32(jnp.inf)
    assert float(bid_price(curve, jnp.float32(0.4), inf, jnp.float32(9.0))) == 0.0
    assert float(bid_price(curve, jnp.float32(0.4), jnp.float32(9.0), inf)) == 0.0


@jax.jit
def share_of_the_exact_plan(form, elasticity, load, cost):
    """What the planner earns of the exact programme's value: demand known, 20 units, 40 periods, 12 prices."""
    units, periods = 20, 40
    prices = jnp.geomspace(0.5, 2.0, 12)
    relative = demand_of(form, elasticity, prices)
    level = load * units / periods / relative[jnp.argmax((prices - cost) * relative)]
    margin, tails = prices - cost, exact.poisson_tails(level * relative, units)
    stock = jnp.arange(units + 1.0)
    curve = Curve(form, elasticity, level, jnp.float32(1.0))

    def period(value, left):
        bid = bid_price(curve, cost, stock, left)
        chosen = (expected_sales((level * relative)[:, None], stock) * (margin[:, None] - bid)).argmax(axis=0)
        gain = exact.expected_gain(margin, tails, value)
        return value + jnp.take_along_axis(gain, chosen[None], axis=0)[0], None

    earned, _ = jax.lax.scan(period, jnp.zeros(units + 1), jnp.arange(1.0, periods + 1))
    return earned[-1] / exact.optimal_value(margin, tails, stock=units, periods=periods)[-1]


def test_where_demand_is_known_hardly_anything_is_lost_to_the_exact_programme():
    draw = np.random.default_rng(5)
    shares = [
        float(share_of_the_exact_plan(jnp.int32(form), *map(jnp.float32, (draw.uniform(1.3, 4), load, cost))))
        for form in range(len(FORMS))
        for load in (0.6, 1.0, 1.4, 2.0)
        for cost in (0.0, 0.3)
    ]
    assert np.mean(shares) > 0.998
    assert min(shares) > 0.993
