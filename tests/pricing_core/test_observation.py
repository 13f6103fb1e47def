"""What a network sees of an offer: a log counts as if it had been lived through, and no number has a unit of money."""

import jax.numpy as jnp
import numpy as np

from pricing_core.simulator import observation
from pricing_core.simulator.bar.interface import History, View

PRICES = jnp.asarray([[80.0, 100.0, 125.0]])
VIEW = View(
    prices=PRICES,
    **{
        name: jnp.full(1, value)
        for name, value in {
            "unit_cost": 90.0,
            "stock": 7.0,
            "periods_left": 3.0,
            "exposure": 2.0,
            "list_price": 100.0,
            "prior_units": 4.0,
            "prior_elasticity": 2.0,
            "rival_price": 110.0,
        }.items()
    },
)
ASKED, SOLD = PRICES.T, jnp.asarray([[9.0], [4.0], [1.0]])


def lived_through(view, scale=1.0):
    sums = observation.begin(view, None)
    for price, units in zip(ASKED * scale, SOLD, strict=True):
        sums = observation.take_in(sums, view, price, units)
    return sums


def test_a_log_counts_as_if_it_had_been_lived_through():
    logged = History(ASKED, SOLD, jnp.full((3, 1), 2.0), jnp.full((3, 1), 90.0))
    for from_log, lived in zip(observation.begin(VIEW, logged), lived_through(VIEW), strict=True):
        np.testing.assert_allclose(from_log, lived, rtol=1e-5, atol=1e-5)


def test_a_period_that_began_without_stock_tells_nothing_but_its_price():
    before = lived_through(VIEW)
    empty = VIEW._replace(stock=jnp.zeros(1))
    after = observation.take_in(before, empty, PRICES[:, 0], jnp.zeros(1))
    np.testing.assert_allclose(after.totals[:, :, 0], before.totals[:, :, 0])


def test_the_unit_of_money_does_not_matter():
    scale = 37.0
    other = VIEW._replace(
        **{name: getattr(VIEW, name) * scale for name in ("prices", "unit_cost", "list_price", "rival_price")}
    )
    seen = observation.observe(VIEW, lived_through(VIEW))
    np.testing.assert_allclose(observation.observe(other, lived_through(other, scale)), seen, atol=1e-5)
    assert seen.shape == (1, len(observation.OBSERVATIONS))


def test_prices_below_cost_are_not_allowed_but_one_always_is():
    assert observation.allowed(VIEW).tolist() == [[False, True, True]]
    assert observation.allowed(VIEW._replace(unit_cost=jnp.full(1, 500.0))).tolist() == [[False, False, True]]
