"""Demand at a price that lies on no curve: believed where it was sold, open where it was not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.demand import belief, deviation
from pricing_core.demand.belief import Period, Prior
from pricing_core.demand.curves import ON_KNOTS
from pricing_core.demand.deviation import Sold
from pricing_core.demand.knots import KNOTS, nearness, shares_of

VARIANCE = 0.04
RATIOS = jnp.asarray([29.9, 34.9, 39.9, 44.9]) / 34.9
CHANCES = jnp.asarray([0.89, 0.37, 0.29, 0.23])
"""Steep, then flat: no curve of `demand.forms` falls so."""
HERE = jnp.log(RATIOS)[None]


def sold_at(ratio_index, units, expected, variance=VARIANCE):
    """One offer that was sold at one price; a flat curve of level 1 expected so much."""
    share = shares_of(HERE[0, ratio_index][None])
    return Sold(share * expected, share * units, jnp.full(1, variance))


def correction_of(sold):
    return deviation.correction(sold, nearness(HERE), jnp.ones((1, 1, KNOTS)), jnp.ones((1, 1)))[0, 0]


def test_where_nothing_deviates_nothing_is_touched():
    sold = sold_at(1, 40.0, 20.0, variance=0.0)
    assert correction_of(sold).tolist() == [1.0] * 4
    assert deviation.unknown(sold, nearness(HERE), 36).tolist() == np.ones((1, 36, 4)).tolist()
    assert deviation.counts(sold.units, sold.variance).tolist() == np.ones((1, KNOTS)).tolist()


@pytest.mark.parametrize(("units", "expected"), [(0.0, 30.0), (45.0, 30.0), (2000.0, 1000.0)])
def test_the_correction_is_the_mean_of_the_gamma_posterior_and_stays_where_it_was_sold(units, expected):
    found = correction_of(sold_at(1, units, expected))  # 34.9 lies on a knot
    assert found[1] == pytest.approx((1 / VARIANCE + units) / (1 / VARIANCE + expected), rel=1e-3)
    mean = (1 / VARIANCE + units) / (1 / VARIANCE + expected)
    assert abs(float(found[3]) - 1.0) < 0.05 * abs(mean - 1.0)


@pytest.mark.parametrize("index", range(4))
def test_sales_at_one_price_count_no_more_than_the_deviation_lets_them(index):
    sold = sold_at(index, 5000.0, 5000.0)
    counted = (sold.units * deviation.counts(sold.units, sold.variance)).sum()
    assert 0.7 / VARIANCE < float(counted) < 1.3 / VARIANCE


def test_scenarios_differ_by_what_is_not_known_yet_and_in_the_same_way_every_time():
    sold = sold_at(1, 400.0, 400.0)
    drawn = deviation.unknown(sold, nearness(HERE), 4000)[0]
    np.testing.assert_allclose(drawn.mean(axis=0), 1.0, atol=0.015)
    left = VARIANCE / (1.0 + VARIANCE * 400.0)
    assert float(jnp.log(drawn[:, 1]).var()) == pytest.approx(left, rel=0.1)
    assert float(jnp.log(drawn[:, 3]).var()) == pytest.approx(VARIANCE, rel=0.1)
    np.testing.assert_array_equal(drawn, deviation.unknown(sold, nearness(HERE), 4000)[0])


def believed(variance):
    """Expected demand at the four prices after 400 shoppers at each."""
    prior = Prior(*(jnp.full(1, value) for value in (0.1, 0.1, 2.6, 0.28)), deviation=jnp.full(1, variance))

    def shopper(tally, row):
        period = Period(row[0][None], jnp.ones(1), row[1][None], jnp.zeros(1, bool))
        return belief.observe(tally, prior, period), None

    luck = jax.random.uniform(jax.random.key(0), (400, 4))
    rows = jnp.tile(RATIOS, 400), (luck < CHANCES).astype(jnp.float32).ravel()
    tally, _ = jax.jit(lambda: jax.lax.scan(shopper, belief.empty(1), rows))()
    held = belief.posterior(tally, prior)
    on_curves = jnp.exp(shares_of(HERE[0]) @ jnp.log(ON_KNOTS).T).T[None] * held.level[..., None]
    factor = deviation.correction(held.sold, nearness(HERE), jnp.asarray(ON_KNOTS), held.level)
    return (held.weight[..., None] * on_curves * factor)[0].sum(axis=0), (luck < CHANCES).mean(axis=0)


def test_what_fits_no_curve_is_believed_all_the_same():
    expected, share = believed(VARIANCE)
    assert float(jnp.abs(expected / share - 1.0).max()) < 0.1
    expected, share = believed(0.0)
    assert float(jnp.abs(expected / share - 1.0).max()) > 0.15  # the best curve alone
