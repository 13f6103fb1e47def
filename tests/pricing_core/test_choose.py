"""The choice: the mask inside the argmax, exact propensities, hold when in doubt."""

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.choose import NO_CHOICE, choose, nearly_best, probabilities
from pricing_core.features import HOLD, MOVES_BP

A = len(MOVES_BP)
FINITE = st.floats(-5, 5, width=32)


def test_the_best_legal_candidate_is_chosen_not_the_best():
    q = jnp.arange(A, dtype=jnp.float32)[None]
    legal = jnp.ones((1, A), bool).at[0, A - 1].set(False)
    chosen, propensity = choose(q, legal, jnp.asarray([0.5]), 0.0)
    assert (int(chosen[0]), float(propensity[0])) == (A - 2, 1.0)


def test_equal_values_hold_the_price():
    chosen, _ = choose(jnp.zeros((1, A)), jnp.ones((1, A), bool), jnp.asarray([0.5]), 0.0)
    assert int(chosen[0]) == HOLD


@pytest.mark.parametrize(
    ("q", "legal", "why"),
    [
        (0.0, False, "nothing is legal"),
        (np.nan, True, "a legal value is not a number"),
        (np.inf, True, "a legal value is infinite"),
    ],
)
def test_nothing_is_chosen_when(q, legal, why):
    chosen, propensity = choose(jnp.full((1, A), q), jnp.full((1, A), legal), jnp.asarray([0.0]), 0.5)
    assert (int(chosen[0]), float(propensity[0])) == (NO_CHOICE, 0.0), why


def test_a_bad_value_of_an_illegal_candidate_does_not_matter():
    q = jnp.zeros((1, A)).at[0, 0].set(jnp.nan)
    legal = jnp.ones((1, A), bool).at[0, 0].set(False)
    assert int(choose(q, legal, jnp.asarray([0.5]), 0.1)[0][0]) == HOLD


@settings(deadline=None)  # the first example compiles
@given(
    q=st.lists(FINITE, min_size=A, max_size=A),
    legal=st.lists(st.booleans(), min_size=A, max_size=A).filter(any),
    epsilon=st.sampled_from([0.0, 0.06, 0.5, 1.0]),
)
def test_propensities_are_the_frequencies_and_sum_to_one_over_the_legal(q, legal, epsilon):
    n = 4000
    uniform = (jnp.arange(n) + 0.5) / n
    rows = jnp.tile(jnp.asarray(q, jnp.float32), (n, 1)), jnp.tile(jnp.asarray(legal), (n, 1))
    chosen, propensity = (np.asarray(a) for a in choose(*rows, uniform, epsilon))
    stated = {int(c): float(p) for c, p in zip(chosen, propensity, strict=True)}
    assert all(legal[c] for c in stated)
    assert sum(stated.values()) == pytest.approx(1.0, abs=1e-5)
    every = np.asarray(probabilities(rows[0][:1], rows[1][:1], epsilon))[0]
    assert {c: p for c, p in enumerate(every.tolist()) if p} == pytest.approx({c: p for c, p in stated.items() if p})
    for candidate, probability in stated.items():
        assert (chosen == candidate).mean() == pytest.approx(probability, abs=2 / n + 1e-4)


def test_exploration_stays_among_the_nearly_best():
    q = jnp.asarray([[0.0, 0.5, 0.64, 0.66, 1.0, 0.99, 0.5, 0.2, 0.1]])
    near = nearly_best(q, jnp.ones((1, A), bool))
    assert np.flatnonzero(near[0]).tolist() == [3, 4, 5]
