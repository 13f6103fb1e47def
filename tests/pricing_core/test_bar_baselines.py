"""The baselines of the bar: rules do what they say, the plain belief is a posterior, the programme heeds the stock."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.evaluation import log_linear
from pricing_core.evaluation.bar import play_without_luck
from pricing_core.evaluation.baselines import CostPlus, Greedy, Hold, MatchCheapest, Thompson
from pricing_core.simulator.bar.finite import Finite
from pricing_core.simulator.bar.interface import Outcome, View

RATIOS = np.geomspace(0.65, 1.95, 12)


def view(n=1, **known):
    """Offers at a list price of 100, cost 60, without anything else."""
    plain = View(
        prices=jnp.broadcast_to(jnp.asarray(100.0 * RATIOS, jnp.float32), (n, 12)),
        unit_cost=60.0,
        stock=jnp.inf,
        periods_left=jnp.inf,
        exposure=1.0,
        list_price=100.0,
        prior_units=10.0,
        prior_elasticity=2.0,
        rival_price=jnp.nan,
    )
    rest = {**plain._asdict(), **known}
    return View(**{k: v if k == "prices" else jnp.full(n, v, jnp.float32) for k, v in rest.items()})


@pytest.mark.parametrize(
    ("policy", "known", "wanted", "why"),
    [
        (Hold(), {}, 100.0, "the list price"),
        (CostPlus(mark_up=0.5), {}, 90.0, "60 and half of it"),
        (CostPlus(mark_up=0.5), {"unit_cost": 0.0}, 100.0, "no cost to put a mark-up on"),
        (MatchCheapest(), {"rival_price": 118.0}, 118.0, "the rival's"),
        (MatchCheapest(), {"rival_price": 50.0}, 61.8, "3 % above cost"),
        (MatchCheapest(), {}, 100.0, "no rival"),
    ],
)
def test_a_rule_takes_the_price_of_the_set_nearest_to_what_it_wants(policy, known, wanted, why):
    chosen = policy.decide(policy.begin(view(**known), None, 1), view(**known), jax.random.key(1))
    assert chosen[0] == np.abs(np.log(100.0 * RATIOS / wanted)).argmin(), why


def sold_everywhere(belief, seen, level, elasticity):
    for price in 100.0 * RATIOS:
        units = level * (price / 100.0) ** -elasticity
        belief = log_linear.update(belief, seen, jnp.full(1, price), jnp.full(1, units))
    return belief


def test_much_evidence_leads_from_any_prior_to_the_truth():
    seen = view(prior_units=300.0, prior_elasticity=1.0)
    belief = sold_everywhere(log_linear.prior(seen, None), seen, 5000.0, 3.0)
    assert np.asarray(belief.mode[0]) == pytest.approx([np.log(5000.0), 3.0], abs=0.01)


def test_without_evidence_draws_have_mean_and_spread_of_the_prior():
    seen = view(n=20_000)
    drawn = np.asarray(log_linear.draw(log_linear.prior(seen, None), jax.random.key(1)))
    assert drawn.mean(axis=0) == pytest.approx([np.log(10.0), 2.0], abs=0.03)
    assert drawn.std(axis=0) == pytest.approx([0.85, 1.0], rel=0.03)


def test_with_evidence_draws_have_the_inverse_precision_as_covariance():
    seen = view(n=20_000)
    belief = log_linear.update(log_linear.prior(seen, None), seen, seen.prices[:, 0], jnp.full(20_000, 20.0))
    covariance = np.cov(np.asarray(log_linear.draw(belief, jax.random.key(1))).T)
    assert covariance == pytest.approx(np.linalg.inv(np.asarray(belief.precision[0])), rel=0.1)
    assert covariance[0, 1] < -0.2  # a low price sold 20: the level is high, or the elasticity


def test_greedy_prices_by_the_inverse_elasticity_rule():
    policy, seen = Greedy(), view()
    belief = sold_everywhere(policy.begin(seen, None, 1), seen, 5000.0, 3.0)
    assert policy.decide(belief, seen, jax.random.key(1))[0] == np.abs(100.0 * RATIOS - 60.0 * 3 / 2).argmin()


def test_thompson_sampling_sells_at_the_rate_that_the_stock_allows():
    policy, n = Thompson(), 4000
    seen = view(n=n, stock=220.0, periods_left=50.0, unit_cost=0.0)
    belief = jax.tree.map(
        lambda leaf: jnp.broadcast_to(leaf, (n, *leaf.shape[1:])),
        sold_everywhere(policy.begin(view(), None, 1), view(), 10_000.0, 2.0),
    )
    belief = belief._replace(mode=belief.mode - jnp.asarray([jnp.log(1000.0), 0.0]))  # 10 units a period, well known
    chosen = np.asarray(policy.decide(belief, seen, jax.random.key(1)))
    assert (10.0 * RATIOS[chosen] ** -2.0).mean() == pytest.approx(4.4, rel=0.02)
    assert len(np.unique(chosen)) == 2


def test_a_period_is_learned_with_the_exposure_it_had():
    few, many = view(exposure=1.0), view(exposure=1e4)
    outcome = Outcome(units=jnp.full(1, 700.0), stocked_out=jnp.zeros(1, bool), profit=jnp.zeros(1))
    belief = Greedy().learn(Greedy().begin(few, None, 1), many, many.prices[:, 5], outcome)
    assert log_linear.expected_units(belief.mode, many)[0, 5] == pytest.approx(700.0, rel=0.02)
    assert log_linear.expected_units(belief.mode, few)[0, 5] == pytest.approx(0.07, rel=0.02)


def test_with_a_stock_who_learns_and_heeds_it_beats_who_holds_and_who_does_not_heed_it():
    market = Finite(stock=20)
    params = market.sample(jax.random.key(1), 200)
    held, greedy, heeding = (
        play_without_luck(market, policy, params, jax.random.key(2)).mean() for policy in (Hold(), Greedy(), Thompson())
    )
    assert heeding > max(held, greedy) + 0.05
