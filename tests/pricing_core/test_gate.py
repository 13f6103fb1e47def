"""The gate refuses what is worse and lets what is better through, on a log of simulated shops."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from pricing_core.choose import choose
from pricing_core.evaluation.fitted_demand import LEAST, MOST, Sales, fit
from pricing_core.evaluation.gate import Evidence, GateLimits, Guarded, judge
from pricing_core.evaluation.intervals import Contributions
from pricing_core.evaluation.logged_prices import difference
from pricing_core.evaluation.reward_model import cross_fitted
from pricing_core.evaluation.roll_out import Offers, fitted_shops, paired_gains
from pricing_core.features import HOLD, featurize
from pricing_core.learning.shop import observe
from pricing_core.model_file import load_model
from pricing_core.q_function import q_values
from tests.pricing_core.simulated_log import SimulatedLog, values

pytestmark = pytest.mark.timeout(580)

EPSILON = 0.5
AS_GOOD = np.zeros(100)
FEW = Guarded(2000, 20, 20)
RUNNING = load_model().params
WORSE = {**RUNNING, "correction": {leaf: -1.5 * weights for leaf, weights in RUNNING["correction"].items()}}
"""What the network says against its planner is turned about."""


@pytest.fixture(scope="module")
def log():
    return SimulatedLog(values(RUNNING), EPSILON, 400, seed=3)


def judged(log, value, roll_out=AS_GOOD):
    return judge(Evidence(difference(log.logged, log.probabilities(value), seed=1), roll_out, FEW, FEW))


def cuts(inputs):
    """Values the lowest price most."""
    return -inputs.log_ratio


def flipped(inputs):
    return -values(RUNNING)(inputs)


def overfit(log, rows=200):
    """The running model, fitted to single transitions until it knows them by heart."""
    seen = featurize(jax.tree.map(lambda column: column[:rows], log.inputs))
    action, profit = jnp.asarray(log.logged.action[:rows]), log.logged.profit[:rows]
    reward = jnp.asarray(profit / profit.mean(), jnp.float32)
    optimiser = optax.adam(3e-3)

    def loss(params):
        return ((q_values(params, *seen)[jnp.arange(rows), action] - reward) ** 2).mean()

    def update(carried, _):
        params, state = carried
        change, state = optimiser.update(jax.grad(loss)(params), state, params)
        return (optax.apply_updates(params, change), state), None

    start = jax.tree.map(jnp.asarray, RUNNING)
    (params, _), _ = jax.jit(lambda p: jax.lax.scan(update, (p, optimiser.init(p)), None, length=1500))(start)
    assert loss(params) < 0.01 < loss(start)
    return params


@pytest.mark.parametrize("sabotage", ["cuts", "flipped", "overfit"])
def test_a_sabotaged_candidate_is_refused_by_the_log_alone(log, sabotage):
    value = {"cuts": cuts, "flipped": flipped}.get(sabotage) or values(overfit(log))
    judgement = judged(log, value)
    assert not judgement.passed
    assert judgement.reasons[0].startswith("off-policy: ")


def shops_of(log):
    """Shops of the demand that the log shows, where it ended."""
    markets, logged = log.start.markets, log.logged
    of = lambda column: np.asarray(column, np.float64)[log.shop]  # noqa: E731
    count = np.bincount(log.offer)
    last = np.zeros(len(count), np.int64)
    last[log.offer] = np.arange(len(logged))
    reference = of(markets.reference_price)
    offers = Offers(
        reference,
        logged.prices[last, HOLD],
        of(markets.costs.slope),
        of(markets.costs.offset),
        of(markets.floor),
        of(markets.ceiling),
        np.bincount(log.offer, logged.exposure) / count,
        of(log.start.merchant.shows_impressions),
    )
    return fitted_shops(offers, fit(logged.sales(reference), len(count)), seed=1)


def policy(value):
    def play(shop, luck):
        inputs, prices = observe(shop)
        chosen, _ = choose(value(inputs), inputs.legal, luck, EPSILON)
        return jnp.take_along_axis(prices, chosen[:, None], axis=1)[:, 0]

    return play


def test_a_better_candidate_passes():
    log, better = SimulatedLog(values(WORSE), EPSILON, 400, seed=3), values(RUNNING)
    shops = shops_of(log)
    judgement = judged(log, better, paired_gains(policy(better), policy(values(WORSE)), shops, seed=2))
    assert judgement.reasons == []
    assert judgement.figures["gain_value"] > 0.0
    assert judgement.figures["effective_sample_size"] > 0.1 * judgement.figures["decisions"]


def test_a_price_cutter_loses_in_the_roll_outs_too(log):
    gains = paired_gains(policy(cuts), policy(values(RUNNING)), shops_of(log), seed=2)
    cutter = judge(Evidence(None, gains, FEW, FEW))
    assert [reason.partition(":")[0] for reason in cutter.reasons] == ["off-policy", "roll-outs"]


def test_the_running_model_is_not_worse_than_itself(log):
    judgement = judged(log, values(RUNNING))
    assert judgement.passed
    assert judgement.figures["effective_sample_size"] == pytest.approx(judgement.figures["decisions"])
    assert abs(judgement.figures["gain_value"]) < 0.01


def weighted(n=2000, gain=0.0, weight=1.0):
    """Decisions that earn about 1, of which the candidate would have earned ``gain`` more."""
    reward = 1.0 + 0.1 * np.sin(np.arange(n))
    weights = np.where(np.arange(n) % 50, weight, 1.0)
    return Contributions(reward + gain, np.zeros(n), np.ones(n), weights, reward, np.arange(n), 0.0)


GOOD = Evidence(weighted(), AS_GOOD, FEW, FEW)


@pytest.mark.parametrize(
    ("evidence", "why"),
    [
        (GOOD, []),
        (GOOD._replace(off_policy=weighted(gain=-0.005)), []),
        (GOOD._replace(off_policy=weighted(gain=-0.02)), ["off-policy"]),
        (GOOD._replace(off_policy=weighted(n=900)), ["off-policy"]),
        (GOOD._replace(off_policy=weighted(gain=1.0, weight=0.0)), ["off-policy"]),
        (GOOD._replace(off_policy=None), ["off-policy"]),
        (GOOD._replace(roll_out=AS_GOOD - 0.02), ["roll-outs"]),
        (GOOD._replace(roll_out=np.where(np.arange(100) % 2, 0.5, -0.5)), ["roll-outs"]),
        (GOOD._replace(roll_out=AS_GOOD[:10]), ["roll-outs"]),
        (GOOD._replace(guarded=Guarded(2000, 20, 41)), ["guards"]),
        (GOOD._replace(guarded=Guarded(2000, 500, 510)), []),
        (GOOD._replace(shadow=Guarded(2000, 20, 41)), ["shadow"]),
        (GOOD._replace(shadow=Guarded(999, 0, 0)), ["shadow"]),
        (Evidence(None, None, None, None), ["off-policy", "roll-outs", "guards", "shadow"]),
    ],
)
def test_each_question_can_stop_a_candidate_and_what_is_not_known_does(evidence, why):
    judgement = judge(evidence, GateLimits())
    assert [reason.partition(":")[0] for reason in judgement.reasons] == why
    assert judgement.passed == (not why)


def test_a_log_that_earned_nothing_has_nothing_to_lose_and_is_no_evidence():
    reward = -np.ones(2000)
    nothing = Contributions(reward, 0 * reward, -reward, -reward, reward, np.arange(2000), 0.0)
    assert not judge(GOOD._replace(off_policy=nothing)).passed


def test_fitted_demand_finds_the_elasticity_that_made_the_sales():
    rng, offers = np.random.default_rng(1), 200
    offer = np.repeat(np.arange(offers), 60)
    elasticity, level = rng.uniform(1.5, 4.0, offers), rng.uniform(5.0, 200.0, offers)
    x, days = rng.uniform(-0.2, 0.2, len(offer)), rng.uniform(0.5, 2.0, len(offer))
    noise = rng.gamma(20.0, 1 / 20.0, len(offer))
    units = rng.poisson(days * level[offer] * np.exp(-elasticity[offer] * x) * noise)
    found = fit(Sales(offer, x, days, units.astype(np.float64)), offers + 1)
    assert np.corrcoef(found.elasticity[:offers], elasticity)[0, 1] > 0.8
    assert abs(found.elasticity[:offers].mean() - elasticity.mean()) < 0.15
    np.testing.assert_allclose(found.level[:offers], level, rtol=0.25)
    assert LEAST < found.elasticity[offers] < MOST  # one that never sold is as all are


def test_the_reward_model_is_never_asked_about_what_it_was_fitted_on():
    rng, n = np.random.default_rng(2), 600
    cluster, context = np.arange(n) // 6, rng.normal(size=(n, 3))
    ratio, action = np.tile([-0.1, 0.0, 0.1], (n, 1)), rng.integers(3, size=n)
    reward = 1.0 + context[:, 0] - 4.0 * ratio[np.arange(n), action] + rng.normal(size=n)
    expected = cross_fitted(context, ratio, action, reward, cluster, seed=1)
    assert np.corrcoef(expected[np.arange(n), action], reward)[0, 1] > 0.5
    assert (expected[:, 0] > expected[:, 2]).mean() > 0.95
    other = reward + np.where(cluster == 0, 1e6, 0.0)
    np.testing.assert_array_equal(cross_fitted(context, ratio, action, other, cluster, seed=1)[:6], expected[:6])
