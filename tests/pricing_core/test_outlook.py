"""What the belief expects of the candidates: the truth where it is known, a plan where stock and time are short."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.demand import belief
from pricing_core.demand.belief import Period
from pricing_core.demand.forms import EXPONENTIAL, FORMS, demand
from pricing_core.features import MOVES_BP
from pricing_core.outlook import Standing, look_ahead, prior_of
from pricing_core.planning import exploration
from pricing_core.planning.under_belief import Situation, endless, of_season
from tests.pricing_core.kinds import usual

RATIO = jnp.log1p(jnp.asarray(MOVES_BP, jnp.float32) / 10_000)[None]
PRIOR = prior_of(usual(1, counts_shoppers=1.0))
OBSERVE = jax.jit(belief.observe)
LOOK = jax.jit(look_ahead, static_argnames="seasonal")


def taught(units_at, *, exposure=1000.0, ratios=(0.8, 0.9, 1.0, 1.1, 1.25), times=20):
    """A tally of periods at several prices, at each of which ``units_at`` were sold to a shopper."""
    tally = belief.empty(1)
    for ratio in np.repeat(np.asarray(ratios, np.float32), times):
        sold = exposure * float(units_at(ratio))
        tally = OBSERVE(tally, PRIOR, Period(*(jnp.full(1, v) for v in (ratio, exposure, sold)), jnp.zeros(1, bool)))
    return tally


def standing(**changes):
    plain = {
        "log_price": 0.0,
        "profit_slope": 0.8,
        "profit_offset": 0.5,
        "salvage_offset": 0.5,
        "exposure": 200.0,
        "stock": np.inf,
        "days_left": np.inf,
    }
    return Standing(**{name: jnp.full(1, value) for name, value in (plain | changes).items()})


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_with_much_evidence_the_gain_is_that_of_the_true_curve(form):
    e = 1.5
    expected = LOOK(taught(lambda r: 0.05 * demand(form, e, r)), PRIOR, standing(), RATIO, seasonal=False)
    ratio = np.exp(RATIO)
    profit = demand(form, jnp.float32(e), ratio) * (0.8 * ratio - 0.5)
    np.testing.assert_allclose(expected.gain, profit / 0.3 - 1.0, atol=0.012)
    assert float(expected.units[0]) == pytest.approx(10, rel=0.02)


def test_what_is_known_well_teaches_less_than_what_is_not():
    known = LOOK(taught(lambda r: 0.05 * r**-2.0), PRIOR, standing(), RATIO, seasonal=False)
    at_one_price = taught(lambda _: 0.05, ratios=(1.0,), times=100)
    unknown = LOOK(at_one_price, PRIOR, standing(), RATIO, seasonal=False)
    assert (unknown.lesson[0, [0, -1]] > 10 * known.lesson[0, [0, -1]]).all()
    assert unknown.lesson[0].argmin() == MIDDLE  # where it has always been it learns least
    assert (unknown.doubt[0, [0, -1]] > 3 * known.doubt[0, [0, -1]]).all()
    assert unknown.slope_spread[0] > 3 * known.slope_spread[0]


def test_a_price_far_from_the_reference_does_not_run_away():
    for log_price in (-9.0, 9.0):
        expected = LOOK(belief.empty(1), PRIOR, standing(log_price=log_price), RATIO, seasonal=False)
        assert np.isfinite(expected.gain).all()
    up = LOOK(
        taught(lambda r: 0.05 * r**-3.0), PRIOR, standing(log_price=3.0, profit_offset=0.1), RATIO, seasonal=False
    )
    assert up.gain[0, -1] < 0  # elastic demand, high margin


MIDDLE = len(MOVES_BP) // 2


def slope_of_two(ratio):
    return 0.05 * demand(EXPONENTIAL, 2.0, ratio)


TALLY = taught(slope_of_two)


def best(**changes):
    return int(LOOK(TALLY, PRIOR, standing(**changes), RATIO, seasonal=True).gain[0].argmax())


def test_overstock_lowers_the_price_and_scarcity_raises_it():
    assert best(stock=2000.0, days_left=5.0, salvage_offset=0.0) == 0
    assert best(stock=3.0, days_left=30.0) == len(MOVES_BP) - 1


@settings(deadline=None, max_examples=20)
@given(st.integers(1, 400), st.integers(1, 60), st.floats(-0.2, 0.2))
def test_the_planned_price_falls_with_the_stock_and_rises_with_the_time(stock, days, log_price):
    here = {"log_price": log_price, "salvage_offset": 0.2}
    plain = best(stock=float(stock), days_left=float(days), **here)
    assert best(stock=2.0 * stock + 5, days_left=float(days), **here) <= plain
    assert best(stock=float(stock), days_left=2.0 * days + 2, **here) >= plain


def test_plenty_of_stock_and_time_are_no_season_at_all():
    endless = LOOK(TALLY, PRIOR, standing(), RATIO, seasonal=True).gain
    plenty = LOOK(TALLY, PRIOR, standing(stock=50_000.0, days_left=20.0), RATIO, seasonal=True).gain
    np.testing.assert_allclose(plenty, endless, atol=0.01)


def test_who_has_no_season_is_planned_for_as_if_there_were_none_anywhere():
    alone = LOOK(TALLY, PRIOR, standing(), RATIO, seasonal=False)
    among = LOOK(TALLY, PRIOR, standing(), RATIO, seasonal=True)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), alone, among)


def test_in_a_season_the_worker_plans_by_what_the_policy_of_the_bar_plans_by():
    """In the unit of the bar, over the bar's horizon, candidates are worth what they are worth there."""
    season = {"stock": 60.0, "days_left": 20.0}
    tally, cost, exposure = taught(slope_of_two, times=1), jnp.full(1, 0.5 / 0.8), jnp.full(1, 200.0)
    limits = [jnp.full(1, v) for v in season.values()]
    made = of_season(belief.posterior(tally, PRIOR), Situation(jnp.ones(1), cost, exposure, *limits), jnp.exp(RATIO))
    horizon = exploration.horizon_of_season(limits[1])[:, None]
    there = made.worth + horizon * made.saved(RATIO)
    here = LOOK(tally, PRIOR, standing(**season), RATIO, seasonal=True)
    unit = float(here.units[0]) * 0.3 / 0.8
    np.testing.assert_allclose(
        (here.gain + horizon * here.lesson) * unit, there - there[:, MIDDLE], rtol=1e-3, atol=1e-3 * float(there.max())
    )


@pytest.mark.parametrize("times", [0, 1, 5])
@pytest.mark.parametrize("log_price", [-0.2, 0.0, 0.1])
def test_without_a_season_it_says_what_every_curve_at_every_price_would(times, log_price):
    """The second order about the present price against `endless`: gains within 1.2 % of profit, lessons about alike."""
    tally, offset = taught(slope_of_two, times=times), 0.5
    here = LOOK(tally, PRIOR, standing(log_price=log_price, profit_offset=offset), RATIO, seasonal=False)
    margin = (0.8 * jnp.exp(RATIO) - offset) / 0.3
    made = endless(belief.posterior(tally, PRIOR), jnp.full(1, 200.0), jnp.exp(log_price + RATIO), margin)
    worth, units = made.worth, float(here.units[0])
    np.testing.assert_allclose(here.gain * units, worth - worth[:, MIDDLE], atol=0.012 * units)
    saved = made.saved(RATIO)
    np.testing.assert_allclose(here.lesson * units, saved, rtol=0.35, atol=0.25 * float(saved.max()))


def test_thousands_of_offers_are_planned_for_as_one_is():
    """XLA has added up such plans wrongly, see `exploration.mean`."""
    tally = taught(slope_of_two, times=1)
    one = LOOK(tally, PRIOR, standing(), RATIO, seasonal=False)
    repeated = jax.tree.map(lambda part: jnp.repeat(part, 4096, axis=0), (tally, PRIOR, standing(), RATIO))
    many = LOOK(*repeated, seasonal=False)
    # A spread is the root of a difference: 3e-4 where it is 0.
    for found, expected in zip(*map(jax.tree.leaves, (many, one)), strict=True):
        np.testing.assert_allclose(found, jnp.broadcast_to(expected, found.shape), rtol=1e-4, atol=1e-3)
