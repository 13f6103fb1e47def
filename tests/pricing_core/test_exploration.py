"""What trying a price teaches: the closed form where there is one, and nothing where nothing is to be learned."""

import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.planning.exploration import saved_by_trying

KNOWN_AT, CURVATURE, SOLD = 0.2, 4.0, 15.0
LOG_PRICE = jnp.linspace(-1.0, 1.0, 401)


def believed(spread, *, mean=2.5):
    """Slopes of log demand about a point at which demand is known; the best log price is linear in the slope."""
    z = np.linspace(-3.0, 3.0, 61)
    weight = np.exp(-0.5 * z**2)
    slope = mean + spread * z
    best = 0.1 - (slope - mean) / CURVATURE
    worth = 100.0 * (1.0 - CURVATURE / 2.0 * (LOG_PRICE[None] - best[:, None]) ** 2)
    units = SOLD * jnp.exp(-slope[:, None] * (LOG_PRICE[None] - KNOWN_AT))
    return jnp.asarray(weight / weight.sum(), jnp.float32), jnp.asarray(worth, jnp.float32), units


@pytest.mark.parametrize("away", [-0.2, -0.1, 0.1])
def test_a_try_saves_what_linear_regression_says(away):
    weight, worth, units = believed(0.4)
    at = int(jnp.abs(LOG_PRICE - KNOWN_AT - away).argmin())
    variance = float(weight @ (jnp.linspace(-3.0, 3.0, 61) * 0.4) ** 2)
    unknown = 100.0 * variance / (2.0 * CURVATURE)
    told = variance * float(weight @ units[:, at]) * away**2
    saved = saved_by_trying(weight, worth, units, LOG_PRICE)[at]
    assert float(saved) == pytest.approx(unknown * told / (1.0 + told), rel=0.03)


def test_where_demand_is_known_a_try_tells_nothing():
    saved = saved_by_trying(*believed(0.4), LOG_PRICE)
    assert float(saved[int(jnp.abs(LOG_PRICE - KNOWN_AT).argmin())]) == pytest.approx(0.0, abs=1e-3)


def test_nothing_is_saved_where_one_price_is_best_whatever_is_true():
    weight, _, units = believed(0.4)
    worth = jnp.broadcast_to(1.0 - (LOG_PRICE - 0.1) ** 2, units.shape)
    np.testing.assert_allclose(saved_by_trying(weight, worth, units, LOG_PRICE), 0.0, atol=1e-6)


def test_a_wider_belief_makes_a_try_worth_more():
    narrow, wide = (saved_by_trying(*believed(spread), LOG_PRICE) for spread in (0.2, 0.4))
    assert bool((wide[LOG_PRICE < 0.1] > narrow[LOG_PRICE < 0.1]).all())
