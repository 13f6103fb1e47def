"""The simulated market: demand falls in price, the optimum is one, luck is shared between policies."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.simulator import market
from pricing_core.simulator.coupling import poisson_quantile

N = 256
STEP = jax.jit(market.step)


@pytest.fixture(scope="module")
def markets():
    return market.sample_markets(jax.random.key(1), N)


@pytest.fixture(scope="module")
def moved(markets):
    state = market.initial_state(markets)
    for _ in range(3):
        state, _ = STEP(markets, state, markets.start_price, jax.random.key(2), jnp.ones(N))
    return state


def test_demand_falls_in_the_own_price(markets, moved):
    grid = jnp.linspace(markets.floor, markets.ceiling, 50, axis=1)
    probability = np.asarray(market.purchase_probability(markets, moved, grid))
    assert (np.diff(probability, axis=1) < 0).all()
    assert ((probability > 0) & (probability < 1)).all()


def test_a_dearer_rival_sells_us_more(markets, moved):
    dearer = moved._replace(rivals=moved.rivals._replace(price=moved.rivals.price * 1.1))
    price = markets.start_price[:, None]
    before, after = (market.purchase_probability(markets, s, price)[:, 0] for s in (moved, dearer))
    rivalled = np.asarray(moved.rivals.in_stock.any(axis=1))
    assert (np.asarray(after > before) == rivalled).all()


def test_elasticity_at_the_cost_plus_price_lies_in_the_documented_range(markets):
    state = market.initial_state(markets)
    around = markets.reference_price[:, None] * jnp.asarray([[0.99, 1.01]])
    low, high = np.log(market.purchase_probability(markets, state, around)).T
    elasticity = (low - high) / np.log(1.01 / 0.99)
    assert elasticity.min() > 1.25
    assert elasticity.max() < 5.05
    assert 2.3 < elasticity.mean() < 3.0


def test_no_price_on_a_fine_grid_beats_the_optimum(markets, moved):
    moved = moved._replace(on_hand=jnp.ones(N))
    grid = jnp.linspace(markets.floor, markets.ceiling, 2000, axis=1)
    best_on_grid = market.expected_profit_rate(markets, moved, grid).max(axis=1)
    optimum = market.optimal_price(markets, moved)
    at_optimum = market.expected_profit_rate(markets, moved, optimum[:, None])[:, 0]
    assert np.asarray(at_optimum / best_on_grid).min() > 1 - 1e-5
    assert (np.asarray(optimum) >= np.asarray(markets.floor)).all()
    assert (np.asarray(optimum) <= np.asarray(markets.ceiling)).all()


def test_profit_of_sales_agrees_with_the_expectation_on_average(markets):
    state = market.initial_state(markets)._replace(on_hand=jnp.full(N, 1e6))
    expected = market.expected_profit_rate(markets, state, markets.start_price[:, None]).sum()
    step = jax.jit(lambda key: STEP(markets, state, markets.start_price, key, jnp.ones(N))[1].profit.sum())
    earned = [float(step(jax.random.key(i))) for i in range(300)]
    error = np.std(earned) / np.sqrt(len(earned))
    assert abs(np.mean(earned) - float(expected)) < 4 * error


def test_the_same_key_gives_the_same_outcome_and_another_key_another(markets, moved):
    first, again, other = (
        STEP(markets, moved, markets.start_price, jax.random.key(key), jnp.ones(N))[1] for key in (5, 5, 6)
    )
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.units, other.units)


def test_with_the_same_luck_a_lower_price_never_sells_less(markets, moved):
    moved = moved._replace(on_hand=jnp.full(N, 1e6))
    cheap, dear = (
        STEP(markets, moved, factor * markets.start_price, jax.random.key(5), jnp.ones(N))[1] for factor in (0.95, 1.05)
    )
    assert np.array_equal(cheap.impressions, dear.impressions)
    assert (np.asarray(cheap.units) >= np.asarray(dear.units)).all()


def test_nothing_is_sold_that_is_not_there(markets, moved):
    empty = moved._replace(on_hand=jnp.zeros(N))
    assert np.asarray(STEP(markets, empty, markets.start_price, jax.random.key(5), jnp.ones(N))[1].units).max() == 0


def test_rivals_never_go_below_their_floor_however_low_we_go(markets):
    state = market.initial_state(markets)
    for _ in range(30):
        state, _ = STEP(markets, state, markets.floor, jax.random.key(3), jnp.full(N, 2.0))
    margin = np.asarray(state.rivals.price - markets.rivals.floor)[np.asarray(markets.rivals.present)]
    assert margin.min() > -1.0


@pytest.mark.parametrize("mean", [0.05, 1.0, 11.9, 12.1, 40.0, 1000.0])
def test_the_coupled_counts_have_mean_and_spread_of_a_poisson_variable(mean):
    uniform = (jnp.arange(100_000) + 0.5) / 100_000
    counts = np.asarray(poisson_quantile(uniform, jnp.full_like(uniform, mean)))
    assert counts.mean() == pytest.approx(mean, rel=0.01)
    assert counts.var() == pytest.approx(mean, rel=0.03)


def test_the_coupled_count_never_falls_when_the_mean_rises():
    means = jnp.linspace(0.0, 60.0, 4001)[:, None]
    uniform = jnp.linspace(0.0, 0.999, 101)[None, :]
    counts = np.asarray(poisson_quantile(*jnp.broadcast_arrays(uniform, means)))
    assert (np.diff(counts, axis=0) >= 0).all()
    assert (np.diff(counts, axis=1) >= 0).all()
