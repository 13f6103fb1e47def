"""What a stock says about demand: exact where the exact posterior is known, nothing where no deadline is."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_core.demand.bought_stock import SPREAD, Start, counted_on, with_stock

PRICES = np.array([0.5, 0.7, 1.0, 1.4, 2.0], np.float32)
CURVES = np.stack([PRICES**-1.5, PRICES**-2.5, np.maximum(2.0 - PRICES, 0.01)])


def start_of(guess, spread, curves):
    """A guess at the level whose logarithm is off by a standard deviation of ``spread``."""
    shape = jnp.full((1, 1), 1.0 / np.expm1(spread**2), jnp.float32)
    return Start(shape, shape / guess, jnp.zeros((1, curves)))


@given(st.floats(1.0, 500.0), st.floats(2.0, 90.0), st.floats(0.0, 0.4))
def test_at_the_level_counted_on_the_best_price_sells_the_stock(stock, periods, cost):
    level = counted_on(CURVES[None], jnp.asarray(PRICES - cost)[None], jnp.array([stock]), jnp.array([periods]))[0]
    for curve, counted in zip(CURVES, level, strict=True):
        best = (curve * (PRICES - np.float32(cost))).argmax()
        assert float(counted) * periods * curve[best] == pytest.approx(stock, rel=1e-4)


@pytest.mark.parametrize(
    ("stock", "exposure", "why"),
    [
        (np.inf, 30.0, "never ends"),
        (20.0, np.inf, "no deadline"),
        (0.0, 30.0, "nothing to sell"),
        (20.0, 0.0, "over"),
    ],
)
def test_without_a_stock_to_be_sold_by_a_deadline_the_guess_stays(stock, exposure, why):
    before = start_of(3.0, 0.9, len(CURVES))
    level = counted_on(CURVES[None], jnp.asarray(PRICES)[None], jnp.array([stock]), jnp.array([exposure]))
    assert bool(jnp.isnan(level).all()), why
    after = with_stock(before, level)
    np.testing.assert_allclose(after.shape, before.shape, rtol=1e-5)
    np.testing.assert_allclose(after.rate, jnp.broadcast_to(before.rate, after.rate.shape), rtol=1e-5)
    np.testing.assert_allclose(after.log_weight - after.log_weight[0, 0], 0.0, atol=1e-4)


def test_the_two_opinions_are_weighed_as_bayes_would():
    guess, spread, counted = 3.0, 0.6, np.array([1.0, 3.0, 8.0])
    after = with_stock(start_of(guess, spread, 3), jnp.asarray(counted, jnp.float32)[None])
    x = np.linspace(-6.0, 8.0, 20001)  # log level
    guessed = np.exp(-0.5 * ((x - np.log(guess)) / spread) ** 2)
    product = guessed * np.exp(-0.5 * ((x - np.log(counted)[:, None]) / SPREAD) ** 2)
    evidence = product.sum(axis=1)
    mean = (product * x).sum(axis=1) / evidence
    variance = (product * (x - mean[:, None]) ** 2).sum(axis=1) / evidence
    shape, rate = np.asarray(after.shape, np.float64)[0], np.asarray(after.rate, np.float64)[0]
    np.testing.assert_allclose(np.log(shape / rate), mean, atol=1e-3)
    np.testing.assert_allclose(np.log1p(1.0 / shape), variance[:1], rtol=1e-3)
    found = np.asarray(after.log_weight, np.float64)[0] - shape * np.log(rate)
    np.testing.assert_allclose(found - found[1], np.log(evidence / evidence[1]), atol=1e-3)
