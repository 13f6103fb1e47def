"""The markets of the bar: their optimum is one, it can be earned, and luck is shared."""

import itertools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.evaluation.bar import play, play_clairvoyant, play_without_luck
from pricing_core.simulator.bar import reference, rivals
from pricing_core.simulator.bar.categories import Categories
from pricing_core.simulator.bar.drifting import Drifting
from pricing_core.simulator.bar.endogenous import Endogenous
from pricing_core.simulator.bar.ferreira import Ferreira
from pricing_core.simulator.bar.finite import Finite
from pricing_core.simulator.bar.logged import Logged
from pricing_core.simulator.bar.offers import at, mean_units, profit_table
from pricing_core.simulator.bar.reference import Reference
from pricing_core.simulator.bar.rivals import Rivals
from pricing_core.simulator.bar.rows import Split, key, rows
from pricing_core.simulator.bar.short import Short
from pricing_core.simulator.bar.substitutes import FAMILY, Substitutes, best_joint_prices

N = 240
SCORES = (play, play_without_luck)
FINITE = [Finite(stock=10), Ferreira(periods=200, supply=0.25), Short()]
UNLIMITED = [Drifting(regime=True), Drifting(regime=False), Logged(), Reference(), Substitutes(), Rivals()]
STEADY = [Endogenous(), Categories()]
KINDS = pytest.mark.parametrize("market", [*FINITE, *UNLIMITED, *STEADY], ids=lambda market: market.name)


@dataclass(frozen=True)
class Everything:
    """Half of the offers hold a price, each price of the set in turn; the others ask prices at random."""

    def begin(self, view, _history, _family):
        return jnp.arange(view.unit_cost.shape[0])

    def decide(self, offer, view, key):
        a = view.prices.shape[1]
        return jnp.where(offer % 2 == 0, offer // 2 % a, jax.random.randint(key, offer.shape, 0, a))

    def learn(self, memory, _view, _price, _outcome):
        return memory


def standard_error(values):
    return np.std(values, ddof=1) / np.sqrt(len(values))


@KINDS
def test_who_knows_the_demand_earns_the_optimum(market):
    share = np.asarray(play_clairvoyant(market, market.sample(jax.random.key(1), N), jax.random.key(2)))
    if market in FINITE:
        assert abs(share.mean() - 1.0) < 4 * standard_error(share)
    else:
        assert share == pytest.approx(1.0, abs=2e-3)


@KINDS
def test_neither_a_fixed_price_nor_random_ones_earn_more_than_the_optimum(market):
    score = play_without_luck if hasattr(market, "shortfall") else play
    share = np.asarray(score(market, Everything(), market.sample(jax.random.key(1), N), jax.random.key(2)))
    if isinstance(market, Ferreira):
        assert share.mean() < 1.0 + 4 * standard_error(share)
    else:
        assert share.max() < 1.0 + 1e-3
    assert share.mean() < 0.95


@KINDS
def test_a_view_shows_ascending_prices_around_the_list_price(market):
    params = market.sample(jax.random.key(1), 8)
    view = market.view(params, market.start(params, jax.random.key(2)))
    n = 8 * market.family
    assert all(np.shape(field) == (n,) for field in view._replace(prices=view.unit_cost))
    assert (np.diff(view.prices, axis=1) > 0).all()
    assert (np.asarray(view.prices[:, 0]) < np.asarray(view.list_price)).all()
    assert (np.asarray(view.prices[:, -1]) > np.asarray(view.list_price)).all()


@pytest.mark.parametrize("market", [*FINITE, Drifting()], ids=lambda market: market.name)
def test_with_the_same_luck_a_lower_price_never_sells_less_and_luck_changes_with_key_and_period(market):
    params = market.sample(jax.random.key(1), N)
    step, start = jax.jit(market.step), market.start(params, jax.random.key(2))
    prices = market.view(params, start).prices
    (_, cheap), (after, dear) = (step(params, start, prices[:, i], jax.random.key(3)) for i in (1, 2))
    _, next_period = step(params, after, prices[:, 2], jax.random.key(3))
    _, other_key = step(params, start, prices[:, 2], jax.random.key(4))
    assert (np.asarray(cheap.units) >= np.asarray(dear.units)).all()
    assert not np.array_equal(dear.units, next_period.units)
    assert not np.array_equal(dear.units, other_key.units)


def test_nothing_is_sold_that_is_not_there_nor_after_the_deadline():
    market = Short()
    params = market.sample(jax.random.key(1), N)
    state, step, units = market.start(params, jax.random.key(2)), jax.jit(market.step), []
    for _ in range(market.periods):
        view = market.view(params, state)
        state, outcome = step(params, state, view.prices[:, 0], jax.random.key(3))
        units.append(np.asarray(outcome.units))
        assert (np.asarray(outcome.stocked_out) == (np.asarray(state.stock) == 0)).all()
    sold = np.cumsum(units, axis=0)
    assert (sold[-1] <= np.asarray(params.stock)).all()
    assert (sold[np.asarray(params.deadline) - 1, np.arange(N)] == sold[-1]).all()


def test_a_lot_is_loaded_as_its_ranges_say():
    market = Finite(stock=20)
    offers, stock, deadline = market.sample(jax.random.key(1), N)
    mean = mean_units(offers, offers.prices.T).T
    unhurried = np.asarray((mean * offers.prices).argmax(axis=1))
    load = np.asarray(mean)[np.arange(N), unhurried] * np.asarray(deadline) / np.asarray(stock)
    low, high = market.ranges.load
    assert load.min() > low - 1e-3
    assert load.max() < high + 1e-3
    assert load.mean() == pytest.approx((low + high) / 2, abs=0.1)


def test_the_score_without_luck_has_the_mean_of_the_score_with_it_and_less_noise():
    market, n = Finite(stock=5), 2000
    params = market.sample(jax.random.key(1), n)
    with_luck, without = (np.asarray(f(market, Everything(), params, jax.random.key(2))) for f in SCORES)
    assert abs((with_luck - without).mean()) < 4 * standard_error(with_luck - without)
    assert standard_error(without) < 0.8 * standard_error(with_luck)
    assert without.max() <= 1.0 + 1e-5


def test_the_product_of_the_paper_is_worth_what_its_linear_programme_says_but_for_a_little():
    market = Ferreira(periods=2000, supply=0.25)
    params = market.sample(jax.random.key(1), 1)
    bound = market.fluid_bound(params)[0]
    assert bound == pytest.approx(2000 * (0.75 * 0.3 * 39.9 + 0.25 * 0.1 * 44.9), rel=1e-5)
    assert 0.999 < market.optimum(params)[0] / bound < 1.0


def test_joint_prices_are_the_best_of_all_combinations():
    families = 4
    params = Substitutes().sample(jax.random.key(1), families)
    claimed, _ = best_joint_prices(params)
    combinations = np.asarray(list(itertools.product(range(12), repeat=FAMILY)))
    appeal, sensitivity, listed, cost = (
        np.asarray(a).reshape(families, FAMILY, 1)
        for a in (params.appeal, params.sensitivity, params.list_price, params.unit_cost)
    )
    prices = np.asarray(params.prices).reshape(families, FAMILY, 12)
    weight = np.exp(appeal - sensitivity * (prices / listed - 1))
    for family in range(families):
        w = weight[family][np.arange(FAMILY), combinations]
        m = (prices - cost)[family][np.arange(FAMILY), combinations]
        assert claimed[family] == pytest.approx(((m * w).sum(axis=1) / (1 + w.sum(axis=1))).max(), rel=1e-5)


@pytest.mark.parametrize(
    "market",
    [Reference(reference.TEST._replace(periods=3)), Rivals(rivals.TEST._replace(periods=3))],
    ids=lambda market: market.name,
)
def test_the_programme_finds_the_best_of_all_sequences_of_three_prices(market):
    params = market.sample(jax.random.key(1), 40)
    sequences = np.asarray(list(itertools.product(range(12), repeat=3)))
    step, start = jax.jit(jax.vmap(market.step, (None, 0, 0, None))), market.start(params, jax.random.key(2))
    state = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], len(sequences), axis=0), start)
    prices, earned = market.view(params, start).prices.T, 0.0
    for asked in sequences.T:
        state, outcome = step(params, state, prices[asked], jax.random.key(3))
        earned = earned + np.asarray(outcome.profit)
    assert np.asarray(jax.jit(market.optimum)(params)) == pytest.approx(earned.max(axis=0), rel=1e-3)


def test_the_best_constant_price_against_rivals_is_what_playing_it_earns():
    market = Rivals(rivals.TEST._replace(periods=20))
    params = market.sample(jax.random.key(1), 30)
    state = market.start(params, jax.random.key(2))
    every = jax.jit(jax.vmap(market.step, (None, 0, 0, None)))
    state = jax.tree.map(lambda leaf: jnp.repeat(leaf[None], 12, axis=0), state)
    earned = 0.0
    for _ in range(20):
        state, outcome = every(params, state, params.prices.T, jax.random.key(3))
        earned = earned + np.asarray(outcome.profit)
    assert np.asarray(jax.jit(market.best_constant)(params)) == pytest.approx(earned.max(axis=0), rel=1e-4)


def test_demand_jumps_once_or_walks_with_the_documented_spread():
    jump, walk = (Drifting(regime=regime).sample(jax.random.key(1), N) for regime in (True, False))
    changes = np.diff(np.log(np.asarray(jump.level)), axis=0) != 0
    assert (changes.sum(axis=0) == 1).all()
    assert np.diff(np.log(np.asarray(walk.level)), axis=0).std() == pytest.approx(0.02, rel=0.02)
    assert np.diff(np.log(np.asarray(walk.elasticity)), axis=0).std() == pytest.approx(0.01, rel=0.02)


def test_the_logging_rule_is_off_the_best_price_and_explores_one_period_in_ten():
    market = Logged()
    params = market.sample(jax.random.key(1), 32)
    log = jax.jit(market.history)(params, jax.random.key(2))
    best = at(params.offers.prices, profit_table(params.offers).argmax(axis=1))
    off = np.abs(np.asarray(market.rule_price(params) / best) - 1)
    assert off.min() > 0.05
    assert off.max() < 0.25
    assert np.asarray(log.price != market.rule_price(params)).mean() == pytest.approx(0.1 * 11 / 12, abs=0.003)


def test_a_regression_on_the_endogenous_log_is_wrong_by_the_formula_and_the_instrument_is_not():
    market = Endogenous()
    params = market.sample(jax.random.key(1), N)
    log = jax.jit(market.history)(params, jax.random.key(2))
    x, z, y = (np.log(np.asarray(v)) for v in (log.price, log.cost, log.units + 0.5))
    x, z, y = (v - v.mean(axis=0) for v in (x, z, y))
    shock, response, spread = (np.asarray(v) for v in params[1:])
    formula = response * shock**2 / (response**2 * shock**2 + spread**2)
    truth = np.asarray(params.offers.elasticity)
    naive, instrumented = -(x * y).sum(axis=0) / (x * x).sum(axis=0), -(z * y).sum(axis=0) / (z * x).sum(axis=0)
    assert (truth - naive).mean() == pytest.approx(formula.mean(), rel=0.05)
    assert abs(np.median(instrumented - truth)) < 0.1


def test_elasticities_of_new_offers_lie_about_the_mean_of_their_category():
    offers = Categories().sample(jax.random.key(1), 2000)
    assert len(np.unique(offers.prior_elasticity)) == 8
    assert np.asarray(offers.elasticity - offers.prior_elasticity).std() == pytest.approx(0.5, rel=0.1)


def test_tuning_and_test_have_the_same_rows_of_other_markets():
    tuning, test = rows(Split.TUNING), rows(Split.TEST)
    assert [row.name for row in tuning] == [row.name for row in test]
    assert len({row.name for row in test}) == len(test) == 21
    assert set(tuning).isdisjoint(test)
    assert key(Split.TUNING, 1) != key(Split.TEST, 1)
