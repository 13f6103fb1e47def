"""The example that the project began with: a price of 10 sells 100, one of 8 sells 150, nothing costs anything."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.evaluation.estimate_then_plan import EstimateThenPlan
from pricing_core.simulator.bar.interface import History, View

PRICES = np.asarray([8.0, 8.8, 10.0, 11.0], np.float32)
"""10 and the 8 to which it may be cut, each with the price 10 % above."""
EACH = 100.0
"""Units of one: in hundreds, so that the luck of single shoppers does not decide between 150 x 8 and 130 x 8.8."""
POLICY = EstimateThenPlan()
ROWS = 16


def view(stock, left=1.0, cost=0.0):
    """Offers whose stocks, periods left and costs are given."""
    stock = EACH * stock
    stock, left, cost = (jnp.asarray(np.broadcast_to(value, ROWS), jnp.float32) for value in (stock, left, cost))
    every = jnp.ones(ROWS)
    return View(
        prices=jnp.broadcast_to(PRICES, (ROWS, len(PRICES))),
        unit_cost=cost,
        stock=stock,
        periods_left=left,
        exposure=every,
        list_price=10.0 * every,
        prior_units=100.0 * EACH * every,
        prior_elasticity=2.0 * every,
        rival_price=jnp.nan * every,
    )


def taught(prices, units):
    """A memory of twenty periods at each price."""
    price, sold = (
        np.repeat(np.asarray(values, np.float32), 20)[:, None] for values in (prices, EACH * np.asarray(units))
    )
    shape = (len(price), ROWS)
    price, sold = jnp.broadcast_to(price, shape), jnp.broadcast_to(sold, shape)
    log = History(price, sold, jnp.ones(shape), jnp.zeros(shape))
    return jax.jit(POLICY.begin, static_argnums=2)(view(200.0), log, 1)


DECIDE = jax.jit(lambda memory, seen: jnp.asarray(PRICES)[POLICY.decide(memory, seen, jax.random.key(0))])
TWO_PRICES = taught([10.0, 8.0], [100.0, 150.0])
LINEAR = taught([8.0, 9.0, 10.0, 11.0, 12.0], [150.0, 125.0, 100.0, 75.0, 50.0])


@pytest.mark.parametrize(
    ("memory", "stock", "cost", "expected", "why"),
    [
        (TWO_PRICES, 200.0, 0.0, 8.0, "150 x 8 is more than 100 x 10, and 200 are there"),
        (TWO_PRICES, 150.0, 0.0, 8.0, "all 150 go at 8"),
        (LINEAR, 150.0, 0.0, 8.0, "130 x 8.8 is less than 150 x 8"),
        (LINEAR, 150.0, 1.5, 8.0, "130 x 7.3 is less than 150 x 6.5"),
        (LINEAR, 150.0, 3.3, 8.8, "130 x 5.5 is more than 150 x 4.7"),
    ],
)
def test_it_cuts_holds_and_raises_as_the_example_says(memory, stock, cost, expected, why):
    assert float(DECIDE(memory, view(stock, cost=cost))[0]) == pytest.approx(expected), why


@settings(max_examples=25, deadline=None)
@given(stock=st.integers(1, 2_000), left=st.integers(1, 20))
def test_overstock_lowers_and_scarcity_raises(stock, left):
    by_stock = np.asarray(DECIDE(TWO_PRICES, view(stock * np.linspace(0.25, 4.0, ROWS), left)))
    by_time = np.asarray(DECIDE(TWO_PRICES, view(stock, left * np.linspace(1.0, 4.0, ROWS))))
    assert (np.diff(by_stock) <= 0.0).all()
    assert (np.diff(by_time) >= 0.0).all()


def test_there_are_stocks_at_which_it_lowers_and_at_which_it_raises():
    chosen = np.asarray(DECIDE(TWO_PRICES, view(np.geomspace(20.0, 2_000.0, ROWS), 4.0)))
    assert chosen[0] == PRICES[-1]
    assert chosen[-1] < 10.0
