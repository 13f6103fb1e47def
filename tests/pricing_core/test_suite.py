"""Suites of the bar: who plays where, that luck is shared, what a curve says, and by which bounds a row is judged."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.demand.forms import CONSTANT_ELASTICITY
from pricing_core.evaluation.bar import play, play_without_luck
from pricing_core.evaluation.baselines import Hold, KeepLogged
from pricing_core.evaluation.contestants import CONTESTANTS, DEEP_Q, SYSTEM, Contestant, with_deep_q
from pricing_core.evaluation.deep_q import RECIPE
from pricing_core.evaluation.estimate_then_dp import EstimateThenDP
from pricing_core.evaluation.standing import Mean, Verdict, judge, mean, stand
from pricing_core.evaluation.suite import GROUP, Played, groups_of, play_row
from pricing_core.learning import checkpoint, deep_q, targets
from pricing_core.simulator import observation
from pricing_core.simulator.bar import finite, logged
from pricing_core.simulator.bar.finite import Finite
from pricing_core.simulator.bar.interface import Outcome
from pricing_core.simulator.bar.lots import Remainder
from pricing_core.simulator.bar.offers import mean_units
from pricing_core.simulator.bar.rows import MARKS, Mark, Split, rows
from pricing_core.simulator.episodes import Episodes

STOCKED = Finite(stock=4, ranges=finite.TUNING)
STEADY = logged.Logged(ranges=logged.TUNING._replace(log=50, periods=8))
TWO = (
    Contestant(SYSTEM, "", "", lambda _market, _view: KeepLogged()),
    Contestant("hold", "", "", lambda _market, _view: Hold()),
)
MARK = Mark(must=0.9, goal=0.95)


def playing(market):
    params = market.sample(jax.random.key(1), 4)
    view = market.view(params, market.start(params, jax.random.key(2)))
    return {contestant.name for contestant in CONTESTANTS if contestant.policy(market, view)}


def test_every_row_has_a_mark_and_every_mark_a_row():
    assert {market.name for split in Split for market in rows(split)} == set(MARKS)


def test_who_makes_no_sense_in_a_row_does_not_play_in_it():
    everywhere = {SYSTEM, "hold", "greedy", "thompson"}
    others = {
        "finite_cold_10": {"estimate_then_dp"},  # no cost, no rivals
        "short": {"estimate_then_dp", "cost_plus"},
        "ferreira_500_0.5": {"estimate_then_dp"},
        "ferreira_5000_0.5": set(),  # its programme is too large to solve again and again
        "logged": {"cost_plus", "logged_rule", "offline_q", "conservative_q", "ensemble_q"},
        "rivals": {"cost_plus", "match_cheapest"},
    }
    named = [market for market in rows(Split.TUNING) if market.name in others]
    assert {market.name: playing(market) - everywhere for market in named} == others


def test_deep_q_learning_plays_where_it_was_trained_and_nowhere_else():
    learner = deep_q.start(Episodes(STOCKED), RECIPE, seed=0)
    learners = {STOCKED.name: checkpoint.to_bytes(learner)}
    (contestant,) = (c for c in with_deep_q(learners.get) if c.name == DEEP_Q)
    params = STOCKED.sample(jax.random.key(1), 8)
    view = STOCKED.view(params, STOCKED.start(params, jax.random.key(2)))
    policy = contestant.policy(STOCKED, view)
    seen = observation.observe(view, policy.begin(view, None, 1))
    best = targets.best_allowed(deep_q.action_values(learner.params, seen), observation.allowed(view))
    assert policy.decide(policy.begin(view, None, 1), view, jax.random.key(3)).tolist() == best.tolist()
    assert contestant.policy(STEADY, view) is None


@pytest.mark.parametrize(("market", "score"), [(STOCKED, play_without_luck), (STEADY, play)])
def test_a_row_gives_the_shares_of_the_bar_and_curves_that_end_at_their_mean(market, score):
    key = jax.random.key(3)
    played = play_row(market, TWO, key=key, markets=20)
    k_params, k_luck = jax.random.split(jax.random.fold_in(key, 0))
    expected = score(market, Hold(), market.sample(k_params, 20), k_luck)
    assert played.shares["hold"] == pytest.approx(np.asarray(expected), abs=1e-5)
    assert played.curves["hold"].shape == (market.periods,)
    assert played.curves["hold"][-1] == pytest.approx(played.shares["hold"].mean(), abs=0.1)


def test_the_curve_of_who_knows_demand_stays_at_the_optimum():
    best = logged.Logged(ranges=STEADY.ranges._replace(off=(0.0, 0.0)))  # the logged rule is the optimum
    played = play_row(best, TWO, key=jax.random.key(3), markets=20)
    assert played.curves[SYSTEM] == pytest.approx(np.ones(best.periods), abs=1e-5)
    assert played.curves["hold"].max() < 0.999


def test_contestants_share_their_luck_whoever_plays_beside_them():
    both, alone = (play_row(STEADY, who, key=jax.random.key(3), markets=20) for who in (TWO, TWO[1:]))
    assert np.array_equal(both.shares["hold"], alone.shares["hold"])
    other_seed = play_row(STEADY, TWO[1:], key=jax.random.key(4), markets=20)
    assert not np.array_equal(both.shares["hold"], other_seed.shares["hold"])


@pytest.mark.parametrize(
    ("markets", "groups"), [(1, (1, 1)), (GROUP, (1, GROUP)), (GROUP + 1, (2, GROUP // 2 + 1)), (200, (4, 50))]
)
def test_groups_are_even_and_none_is_larger_than_what_is_played_at_once(markets, groups):
    assert groups_of(markets) == groups


@pytest.mark.parametrize(
    ("share", "over_rule", "verdict", "why"),
    [
        (Mean(0.97, 0.96, 0.98), None, Verdict.GOAL, "all of it above the goal"),
        (Mean(0.97, 0.94, 0.99), None, Verdict.PASSED, "the mean is above the goal, the lower bound is not"),
        (Mean(0.92, 0.89, 0.95), None, Verdict.NOT_SHOWN, "the interval holds what must be"),
        (Mean(0.88, 0.87, 0.89), None, Verdict.MISSED, "all of it below"),
        (Mean(0.97, 0.96, 0.98), Mean(0.01, -0.01, 0.03), Verdict.MISSED, "may be below the rule that wrote the log"),
    ],
)
def test_a_row_is_judged_by_the_bounds_of_its_interval(share, over_rule, verdict, why):
    assert judge(share, MARK, over_rule) is verdict, why
    assert judge(share, Mark(must=0.99, goal=0.95), over_rule) is not Verdict.GOAL, "a floor may lie above the goal"
    assert verdict.passed == (verdict in {Verdict.GOAL, Verdict.PASSED})


def test_the_gain_is_paired_so_that_luck_which_all_share_cancels():
    luck = np.random.default_rng(1).normal(0.0, 0.2, 400)
    standing = stand(Played("row", {SYSTEM: 0.95 + luck, "hold": 0.94 + luck, "greedy": 0.5 + luck}, {}), MARK, seed=1)
    assert standing.best_baseline == "hold"
    assert standing.gain == pytest.approx((0.01, 0.01, 0.01))
    assert standing.shares[SYSTEM].upper - standing.shares[SYSTEM].lower > 0.03


def test_nineteen_intervals_of_twenty_hold_the_mean_of_skewed_shares():
    shares = 1.0 - np.random.default_rng(1).exponential(0.1, (200, 64))
    held = [lower <= 0.9 <= upper for _, lower, upper in (mean(row, seed=1) for row in shares)]
    assert 0.90 <= np.mean(held) <= 0.98


def test_estimate_then_dp_asks_what_the_optimum_asks_once_sales_have_told_it_the_demand():
    n, stock, periods_left = 100, jnp.full(100, 3.0), jnp.full(100, 20.0)
    params = STOCKED.sample(jax.random.key(1), n)
    params = params._replace(offers=params.offers._replace(form=jnp.full(n, CONSTANT_ELASTICITY)))
    seen = STOCKED.view(params, STOCKED.start(params, jax.random.key(2)))._replace(prior_elasticity=jnp.full(n, 1.0))
    policy = EstimateThenDP(stock=STOCKED.stock, periods=STOCKED.periods)
    learn = jax.jit(policy.learn)
    memory = policy.begin(seen, None, 1)
    before = policy.decide(memory, seen._replace(stock=stock, periods_left=periods_left), jax.random.key(3))
    for exposure in (1e6, 1.0):  # first much evidence, then a period like those that the plan is for
        for price in params.offers.prices.T:
            sold = Outcome(exposure * mean_units(params.offers, price), jnp.zeros(n, bool), jnp.zeros(n))
            memory = learn(memory, seen._replace(exposure=jnp.full(n, exposure)), price, sold)
    after = policy.decide(memory, seen._replace(stock=stock, periods_left=periods_left), jax.random.key(3))
    best = STOCKED.clairvoyant(params)(Remainder(jnp.asarray(STOCKED.periods - 20), stock))
    assert (before == best).mean() < 0.5
    assert (after == best).mean() > 0.98
