"""The evidence ladder: up on an offer's own evidence, down without it, exact probabilities on every rung."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core import rungs
from pricing_core.choose import NO_CHOICE
from pricing_core.demand import belief
from pricing_core.demand.belief import Period
from pricing_core.features import HOLD, MOVES_BP, FeatureInputs
from pricing_core.outlook import Drawn, Outlook, prior_of
from pricing_core.q_function import RANGE
from pricing_core.rungs import Chance, climbed
from schemas import columns as c
from schemas.columns import BANDIT, Q_FUNCTION, RULES
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, T0, batch, policy
from tests.pricing_core.kinds import usual

A = len(MOVES_BP)
AMOUNT = st.floats(0, 100, width=32)
RUNG = st.sampled_from([RULES, BANDIT, Q_FUNCTION])
FAST = settings(deadline=None, max_examples=50)  # the first example compiles


def step(rung, sales, since=np.inf):
    """The rung after one look at evidence."""
    return int(climbed(*(jnp.asarray([v], jnp.float32) for v in (rung, sales, since)))[0])


@FAST
@given(rung=RUNG, sales=AMOUNT, more=AMOUNT)
def test_more_evidence_never_lowers_a_rung(rung, sales, more):
    assert step(rung, sales) <= step(rung, sales + more)


@FAST
@given(rung=RUNG, sales=AMOUNT)
def test_the_same_evidence_twice_moves_nothing_the_second_time(rung, sales):
    once = step(rung, sales)
    assert step(once, sales) == once


def test_an_offer_whose_demand_has_just_changed_is_not_left_to_the_network():
    assert step(Q_FUNCTION, 1000, since=rungs.DRIFT_DAYS - 0.1) == BANDIT
    assert step(BANDIT, 1000, since=rungs.DRIFT_DAYS) == Q_FUNCTION


@pytest.mark.parametrize("place", range(len(rungs.SALES)))
def test_a_rung_is_kept_on_less_than_it_takes_to_reach_it(place):
    reached, kept = rungs.SALES[place], rungs.KEPT * rungs.SALES[place]
    below, there = place, place + 1
    assert step(below, 0.99 * reached) == below
    assert step(below, reached) == there
    assert step(there, kept) == there
    assert step(there, 0.99 * kept) == below


def told(units, days=1.0, ratio=1.0, censored=False):
    """What a tally and its decayed sums hold after days on which so much was sold."""
    tally, prior = belief.empty(1), prior_of(usual(1))
    drift, sums = rungs.no_drift(1), np.zeros((1, 3, 6), np.float32)
    for sold in units:
        one = Period(*(np.full(1, v, np.float32) for v in (ratio, 1.0, sold)), np.array([censored]), days)
        learned = rungs.learn(tally, drift, prior, one)
        tally, drift = learned.tally, learned.drift
        sums = sums * 2.0 ** (-days / 30.0)
        sums[0, :, 2] += sold
    return tally, sums


def weighed(units):
    tally, sums = told(units)
    return float(rungs.effective_sales(tally, jnp.asarray(sums))[0])


def test_evidence_is_lost_when_nothing_is_sold_for_long():
    tally, sums = told([1] * 4)
    now, later = (float(rungs.effective_sales(tally, jnp.asarray(sums) * left)[0]) for left in (1.0, 2.0**-2))
    assert step(RULES, now) == Q_FUNCTION
    assert step(Q_FUNCTION, later) < Q_FUNCTION  # after two months


def test_sales_that_the_belief_does_not_explain_count_for_less():
    assert weighed([0, 20] * 20) < 0.5 * weighed([10] * 40)


def test_what_was_sold_before_a_change_of_demand_is_no_evidence():
    assert weighed([60] * 40 + [15] * 10) < 0.5 * weighed([60] * 40)


@FAST
@given(
    move=st.lists(st.floats(-0.2, 0.2), min_size=5, max_size=5),
    weight=st.lists(st.floats(0.01, 1), min_size=5, max_size=5),
    allowed=st.lists(st.booleans(), min_size=A, max_size=A).filter(any),
)
def test_a_draw_takes_the_allowed_candidate_nearest_to_the_best_move_of_its_curve(move, weight, allowed):
    candidates = np.log1p(np.array(MOVES_BP) / 10_000).astype(np.float32)
    share = np.array(weight) / np.sum(weight)
    drawn = Drawn(jnp.asarray(share, jnp.float32)[None], jnp.asarray(move, jnp.float32)[None])
    found = np.asarray(rungs.best_of_draws(drawn, jnp.asarray(candidates)[None], jnp.asarray(allowed)[None]))[0]
    by_hand, places = np.zeros(A), np.flatnonzero(allowed)
    distance = np.abs(np.array(move)[:, None] - candidates[places])
    for of_curve, each in zip(share, distance, strict=True):
        by_hand[places[each.argmin()]] += of_curve
    unclear = np.ptp(np.sort(distance, axis=1)[:, :2], axis=1).min() < 1e-5 if len(places) > 1 else False
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    assert (found[~np.array(allowed)] == 0).all()
    if not unclear:
        np.testing.assert_allclose(found, by_hand, atol=1e-5)


@FAST
@given(weight=st.lists(st.floats(0, 1), min_size=A, max_size=A).filter(lambda w: sum(w) > 0.1))
def test_what_is_drawn_is_as_frequent_as_its_probability(weight):
    n = 4000
    probability = jnp.asarray(np.array(weight) / np.sum(weight), jnp.float32)
    drawn = rungs.draw(jnp.tile(probability, (n, 1)), (jnp.arange(n) + 0.5) / n)
    np.testing.assert_allclose(np.bincount(np.asarray(drawn), minlength=A) / n, probability, atol=2e-3)


@pytest.fixture(scope="module")
def history():
    """Decisions of offers that may go to three rungs at most, day by day, on which all sell the same."""
    made = engine()
    keys = [b"web:rules", b"web:bandit", b"web:q"]
    made.apply(0, batch(c.PolicyColumns, *({"key": k, "max_rung": r, "cooldown_ms": 0} for r, k in enumerate(keys))))
    found = []
    for day in range(1, 15):
        now = T0 + day * DAY
        sales = [{"key": key, "time": now - 1, "quantity": 3, "amount": 3 * 1299} for key in keys]
        made.apply(0, batch(c.OrderColumns, *sales))
        found.append(made.decide(0, now, "ACTIVE"))
        changed = [
            {
                "key": found[-1].keys[i],
                "version": int(found[-1].version[i]),
                "price": int(found[-1].price[i]),
                "time": now,
            }
            for i in np.flatnonzero(found[-1].version != c.NONE)
        ]
        if changed:
            made.apply(0, batch(c.AppliedColumns, *changed))
    return made, found


def test_offers_climb_as_they_sell_and_no_higher_than_their_policy_allows(history):
    _, found = history
    first, last = ({key: int(rung) for key, rung in zip(d.keys, d.rung, strict=True)} for d in (found[0], found[-1]))
    assert set(first.values()) == {RULES}
    assert last == {b"web:rules": RULES, b"web:bandit": BANDIT, b"web:q": Q_FUNCTION}


def test_rungs_are_part_of_the_state_and_counted(history):
    made, found = history
    assert made.trust.by_rung(3) == {"rules": 1, "bandit": 1, "q_function": 1}
    keys, rows = made.snapshot(0)
    again = engine()
    again.restore(0, keys, rows, sequence=int(found[-1].sequence[-1]))
    assert again.trust.by_rung(3) == made.trust.by_rung(3)
    again.drop_shard(0)
    assert again.trust.by_rung(0) == {"rules": 0, "bandit": 0, "q_function": 0}


def test_probabilities_sum_to_one_over_what_is_legal_and_hold_the_propensity(history):
    _, found = history
    for decisions in found:
        rows = np.flatnonzero(decisions.chosen != c.NONE)
        each = decisions.probabilities[rows]
        np.testing.assert_allclose(each.sum(axis=1), 1.0, atol=1e-5)
        assert (each[decisions.masked[rows] != 0] == 0).all()
        np.testing.assert_array_equal(each[np.arange(len(rows)), decisions.chosen[rows]], decisions.propensity[rows])
        assert (decisions.propensity[rows] > 0).all()
        below = decisions.rung[rows] == RULES
        assert (decisions.propensity[rows][below] == 1).all()


def test_a_network_that_answers_with_no_number_chooses_nothing_on_any_rung():
    made = engine()
    layers = {**jax.tree.map(lambda leaf: leaf * jnp.nan, made.model.params), RANGE: made.model.params[RANGE]}
    made.model = replace(made.model, params=layers)
    made.apply(0, policy())
    found = made.decide(0, T0, "ACTIVE")
    assert int(found.chosen[0]) == c.NONE
    assert found.reasons == ["non_finite"]


def test_prices_of_the_lowest_rung_are_the_planners_before_anything_is_known():
    made = engine()
    made.apply(0, policy())
    lowest = made.decide(0, T0, "ACTIVE")
    assert int(lowest.rung[0]) == RULES
    assert lowest.q[0, HOLD] == pytest.approx(0.0, abs=1e-6)
    assert lowest.q[0, lowest.chosen[0]] == lowest.q[0][lowest.masked[0] == 0].max()


def test_the_choice_of_no_rung_is_taken_where_nothing_is_legal():
    q, none_legal = jnp.zeros((3, A)), jnp.zeros((3, A), bool)
    inputs = FeatureInputs(*(None,) * len(FeatureInputs._fields))._replace(
        legal=none_legal, log_ratio=jnp.tile(jnp.log1p(jnp.asarray(MOVES_BP) / 10_000), (3, 1))
    )
    drawn = Drawn(jnp.ones((3, 1)), jnp.zeros((3, 1)))
    expected = Outlook(*(q,) * 3, *(jnp.zeros(3),) * 6, usual=q, drawn=drawn)
    made = rungs.decide(jnp.arange(3.0), q, expected, inputs, Chance(jnp.full(3, 0.5), jnp.asarray(0.1)))
    assert (np.asarray(made.candidate) == NO_CHOICE).all()
    assert (np.asarray(made.probability) == 0).all()
