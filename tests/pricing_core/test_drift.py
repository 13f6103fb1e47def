"""The change detector: silent while demand stays, quick where it doubles or halves, never moved by a stock-out."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core import rungs
from pricing_core.demand import belief
from pricing_core.demand.belief import Period
from pricing_core.demand.drift import ALARM_NATS, Expected, watch
from pricing_core.outlook import prior_of
from tests.pricing_core.kinds import usual

OFFERS = 500
CHANGE_DAY = 60


class Series(NamedTuple):
    """Demand of offers whose prices wander by some steps of 3 %."""

    units_a_day: float
    dispersion: float = 1.0
    factor: float = 1.0
    """On demand from `CHANGE_DAY` on."""


@jax.jit
def changes(series, seed):
    """On which days a change is found, bool [100, OFFERS]."""
    k_elasticity, k_day = jax.random.split(jax.random.key(seed))
    elasticity = 2.5 * jnp.exp(0.28 * jax.random.normal(k_elasticity, (OFFERS,)))
    prior = prior_of(usual(OFFERS))

    def day(carry, today):
        tally, drift, x = carry
        k = jax.random.split(jax.random.fold_in(k_day, today), 3)
        x = jnp.clip(x + 0.03 * jax.random.choice(k[0], jnp.array([-1.0, 0, 0, 0, 1.0]), (OFFERS,)), -0.25, 0.25)
        mean = series.units_a_day * jnp.exp(-elasticity * x) * jnp.where(today >= CHANGE_DAY, series.factor, 1.0)
        wider = jnp.maximum(series.dispersion - 1.0, 1e-3)
        mean = jnp.where(series.dispersion > 1.0, jax.random.gamma(k[1], mean / wider) * wider, mean)
        units = jax.random.poisson(k[2], mean).astype(jnp.float32)
        learned = rungs.learn(tally, drift, prior, Period(jnp.exp(x), jnp.ones(OFFERS), units, units < 0))
        return (learned.tally, learned.drift, x), learned.changed

    start = belief.empty(OFFERS), rungs.no_drift(OFFERS), jnp.zeros(OFFERS)
    return jax.lax.scan(day, start, jnp.arange(100))[1]


def found(seed=1, **series):
    return np.asarray(changes(Series(**{k: jnp.float32(v) for k, v in Series(**series)._asdict().items()}), seed))


@pytest.mark.parametrize(("units_a_day", "dispersion"), [(1, 1), (10, 1), (30, 1), (3, 2), (30, 2)])
def test_demand_that_stays_raises_less_than_one_alarm_in_a_hundred_offers_in_a_hundred_days(units_a_day, dispersion):
    assert found(units_a_day=units_a_day, dispersion=dispersion).sum() / OFFERS < 0.01 + 0.009  # two deviations of luck


@pytest.mark.parametrize(("factor", "most_days"), [(0.5, 8), (2.0, 6)])
def test_a_change_of_a_good_seller_is_found_within_days(factor, most_days):
    after = found(units_a_day=30, factor=factor)[CHANGE_DAY:]
    days = np.where(after.any(axis=0), after.argmax(axis=0) + 1, len(after))
    assert np.median(days) <= most_days


def test_evidence_of_both_kinds_begins_anew_where_a_change_was_found():
    before = rungs.no_drift(1)._replace(rose=jnp.full(1, ALARM_NATS - 0.5))
    expected = Expected(*(jnp.full(1, v) for v in (10.0, 10.0, 1.0)))
    after, changed = watch(before, expected, jnp.full(1, 20.0), jnp.ones(1, bool))
    assert bool(changed[0])
    assert (float(after.rose[0]), float(after.fell[0])) == (0.0, 0.0)


def test_a_stock_out_is_no_evidence():
    expected = Expected(*(jnp.full(1, v) for v in (10.0, 10.0, 1.0)))
    after, changed = watch(rungs.no_drift(1), expected, jnp.zeros(1), jnp.zeros(1, bool))
    assert (float(after.rose[0]), float(after.fell[0]), bool(changed[0])) == (0.0, 0.0, False)


def test_after_a_change_the_slow_memory_holds_what_the_fast_one_does():
    tally = belief.empty(2)._replace(
        units=jnp.arange(2 * 2 * 21.0).reshape(2, 2, 21), score=jnp.array([[0.0, -1.0]] * 2)
    )
    after = belief.forget(tally, jnp.array([True, False]))
    np.testing.assert_array_equal(after.units[0, 0], tally.units[0, 1])
    np.testing.assert_array_equal(after.units[1], tally.units[1])
