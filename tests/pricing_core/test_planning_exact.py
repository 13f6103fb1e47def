"""The exact programme against a closed form and against arithmetic by hand; the fluid bound against both."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln, logsumexp

from pricing_core.planning.exact import bernoulli_tails, optimal_value, plan, poisson_tails
from pricing_core.planning.linear_program import best_mixture

FERREIRA_PRICES = jnp.asarray([29.9, 34.9, 39.9, 44.9])
FERREIRA_CHANCES = jnp.asarray([0.8, 0.6, 0.3, 0.1])


def test_one_period_one_unit_is_the_best_single_price():
    table = plan(FERREIRA_PRICES, bernoulli_tails(FERREIRA_CHANCES), stock=1, periods=1)
    assert table.value[1, 1] == pytest.approx(0.8 * 29.9)
    assert table.best[1, 1] == 0


def test_two_periods_one_unit_asks_more_first():
    table = plan(FERREIRA_PRICES, bernoulli_tails(FERREIRA_CHANCES), stock=1, periods=2)
    later = 0.8 * 29.9
    assert table.value[2, 1] == pytest.approx(max(p * q + (1 - q) * later for p, q in [(29.9, 0.8), (34.9, 0.6)]))
    assert table.best[2, 1] == 1


def test_demand_beyond_the_stock_sells_the_stock():
    table = plan(jnp.asarray([3.0]), poisson_tails(jnp.asarray([1.0]), 2), stock=2, periods=1)
    assert table.value[1] == pytest.approx([0.0, 3.0 * (1 - np.exp(-1)), 3.0 * (2 - 3 * np.exp(-1))], rel=1e-5)


def test_fine_periods_approach_the_closed_form_for_exponential_demand():
    """Gallego & van Ryzin 1994: λ(p) = a·exp(-p) gives J*(n, t) = log Σ_{i <= n} (a·t/e)^i / i!."""
    n, demanded = 10, 12.0  # a·t/e: what the best unconstrained price, 1, sells
    periods = 4000
    prices = jnp.linspace(0.9, 4.5, 361)
    mean = demanded * jnp.e / periods * jnp.exp(-prices)
    value = plan(prices, poisson_tails(mean, n), stock=n, periods=periods).value[-1]
    i = np.arange(n + 1)
    terms = i * np.log(demanded) - gammaln(i + 1)
    closed = [logsumexp(terms[: s + 1]) for s in range(n + 1)]
    assert np.asarray(value) == pytest.approx(np.asarray(closed), rel=5e-4)
    assert (np.asarray(value) <= np.asarray(closed) * (1 + 1e-5)).all()


def test_both_solvers_agree_and_value_grows_with_stock_and_time():
    tails = poisson_tails(jnp.asarray([2.0, 1.0, 0.5]), 12)
    margin = jnp.asarray([1.0, 1.5, 2.0])
    table = np.asarray(plan(margin, tails, stock=12, periods=9).value)
    assert optimal_value(margin, tails, stock=12, periods=9) == pytest.approx(table[-1])
    assert (np.diff(table, axis=0) >= -1e-5).all()
    assert (np.diff(table, axis=1) >= -1e-5).all()


@pytest.mark.parametrize(
    ("supply", "share", "value"),
    [
        (0.25, [0.0, 0.0, 0.75, 0.25], 0.75 * 0.3 * 39.9 + 0.25 * 0.1 * 44.9),
        (0.5, [0.0, 2 / 3, 1 / 3, 0.0], 0.6 * 34.9 * 2 / 3 + 0.3 * 39.9 / 3),
        (0.05, [0.0, 0.0, 0.0, 0.5], 0.05 * 44.9),
        (np.inf, [1.0, 0.0, 0.0, 0.0], 0.8 * 29.9),
    ],
    ids=["a quarter", "a half", "scarce: sell nothing half the time", "unlimited"],
)
def test_the_fluid_programme_mixes_the_prices_around_the_supply(supply, share, value):
    mixture = best_mixture(FERREIRA_PRICES, FERREIRA_CHANCES, jnp.asarray(supply))
    assert np.asarray(mixture.share) == pytest.approx(np.asarray(share), abs=1e-5)
    assert mixture.value == pytest.approx(value, rel=1e-5)


@pytest.mark.parametrize("supply", [0.05, 0.25, 0.5, 0.7, 0.9])
def test_the_bid_price_is_what_more_supply_would_earn(supply):
    less, more = (
        best_mixture(FERREIRA_PRICES, FERREIRA_CHANCES, jnp.asarray(units)) for units in (supply, supply + 0.01)
    )
    assert less.bid_price == pytest.approx(float(more.value - less.value) / 0.01, abs=0.02)


def test_the_fluid_bound_lies_above_the_exact_value_and_comes_close_in_a_long_season():
    exact = optimal_value(FERREIRA_PRICES, bernoulli_tails(FERREIRA_CHANCES), stock=500, periods=2000)[-1]
    bound = 2000 * best_mixture(FERREIRA_PRICES, FERREIRA_CHANCES, jnp.asarray(0.25)).value
    assert 0.99 < exact / bound < 1.0
