"""Families: the logit is learned as it sells, joint prices are the best, and substitution is found, not assumed."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.demand import belief, choice
from pricing_core.demand.belief import Period, Prior
from pricing_core.evaluation import family_pricing
from pricing_core.evaluation.family_pricing import Families
from pricing_core.planning import exploration
from pricing_core.planning.joint import best_joint_prices

FAMILIES, SIZE, PERIODS, SHOPPERS = 24, 3, 80, 300.0
SHARE = 0.2
SENSITIVITY = 2.5


def sales(seed, *, substitutes):
    """Prices / list prices and units [T, N] of families; demand of an offer falls in its own price alike."""
    k_price, k_units = jax.random.split(jax.random.key(seed))
    ratio = jnp.exp(0.2 * jax.random.normal(k_price, (PERIODS, FAMILIES, SIZE)))
    fall = jnp.exp(-SENSITIVITY * (ratio - 1.0))
    weight = SHARE / (1.0 - SIZE * SHARE) * fall
    share = weight / (1.0 + weight.sum(axis=2, keepdims=True)) if substitutes else SHARE * fall
    units = jax.random.poisson(k_units, SHOPPERS * share).astype(jnp.float32)
    return ratio.reshape(PERIODS, -1), units.reshape(PERIODS, -1)


@pytest.fixture(scope="module")
def told():
    """What is remembered after all periods, of families that substitute and of those that do not."""
    return {substitutes: remembered(substitutes=substitutes) for substitutes in (True, False)}


def remembered(*, substitutes):
    """Families that have sold for all periods."""
    n = FAMILIES * SIZE
    prior = Prior(jnp.full(n, 2.0), jnp.full(n, 2.0 / SHARE), jnp.full(n, 2.2), jnp.full(n, 0.3))
    guessed = jax.vmap(choice.guess, (0, 0, None))(
        jnp.full((FAMILIES, SIZE), 0.12), jnp.full((FAMILIES, SIZE), 2.2), True
    )

    def period(carry, row):
        families, tally = carry
        one = Period(row[0], jnp.full(n, SHOPPERS), row[1], jnp.zeros(n, bool))
        families = family_pricing.learn(families, one, belief.log_predictive(tally, prior, one))
        return (families, belief.observe(tally, prior, one)), None

    start = (Families(guessed, jnp.full(FAMILIES, family_pricing.LEAD)), belief.empty(n))
    (families, _), _ = jax.jit(lambda rows: jax.lax.scan(period, start, rows))(sales(5, substitutes=substitutes))
    return families


def test_offers_are_priced_jointly_where_they_take_shoppers_from_one_another_and_only_there(told):
    for substitutes, families in told.items():
        assert float((family_pricing.substitutes(families) == substitutes).mean()) > 0.95


def test_the_logit_finds_appeals_and_sensitivities_and_knows_how_well(told):
    families = told[True]
    truth = np.repeat(np.log([SHARE / (1.0 - SIZE * SHARE), SENSITIVITY]), SIZE)
    error = np.asarray(families.choice.mode) - truth
    claimed = np.sqrt(np.diagonal(np.linalg.inv(families.choice.precision), axis1=1, axis2=2))
    assert np.abs(error).max() < 0.25
    assert np.sqrt(((error / claimed) ** 2).mean()) == pytest.approx(1.0, abs=0.25)


def test_an_offer_that_is_not_on_sale_teaches_nothing_of_itself():
    before = choice.guess(jnp.full(3, 0.1), jnp.full(3, 2.0), counted=True)
    after = choice.observe(before, jnp.ones(3), jnp.array([100.0, 0.0, 100.0]), jnp.array([30.0, 0.0, 30.0]))
    assert float(after.mode[1]) == float(before.mode[1])
    assert float(after.mode[0]) > float(before.mode[0])


def test_shoppers_that_nobody_counts_are_guessed_so_that_shares_are_shares():
    held = choice.guess(jnp.array([20.0, 30.0]), jnp.full(2, 2.0), counted=False)
    units, _ = choice.predict(held, jnp.ones(2), jnp.ones(2))
    np.testing.assert_allclose(units, [20.0, 30.0], rtol=1e-4)


def test_joint_prices_are_the_best_of_all_combinations():
    k_weight, k_margin = jax.random.split(jax.random.key(7))
    weight = jnp.sort(jax.random.uniform(k_weight, (20, 3, 5)), axis=2, descending=True)
    margin = jnp.sort(jax.random.uniform(k_margin, (20, 3, 5)), axis=2)
    found = np.asarray(jax.vmap(best_joint_prices)(weight, margin))

    def profit(w, m, chosen):
        w, m = w[np.arange(3), chosen], m[np.arange(3), chosen]
        return (w * m).sum() / (1.0 + w.sum())

    for w, m, chosen in zip(np.asarray(weight), np.asarray(margin), found, strict=True):
        best = max(profit(w, m, list(combination)) for combination in itertools.product(range(5), repeat=3))
        assert profit(w, m, chosen) == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize(
    ("periods", "units", "variance", "explores"),
    [
        (0.0, 20.0, 0.5, False),  # nobody knows yet that there will be a tomorrow
        (50.0, 20.0, 0.5, True),  # 0.2·50·20·0.25 = 50 > (2.5·1.5)² = 14
        (50.0, 20.0, 0.25, False),  # a quarter of it: 12.5
        (50.0, 5.0, 0.5, False),  # few sales teach little: 12.5
    ],
)
def test_a_price_is_tried_while_it_teaches_enough(periods, units, variance, explores):
    values = (jnp.float32(value) for value in (periods, units, 2.5, variance))
    assert bool(exploration.pays(*values)) is explores
