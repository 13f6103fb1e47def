"""The policy keeps on the bar's tuning markets what it has earned there."""

import jax
import numpy as np
import pytest

from pricing_core.evaluation.bar import play, play_without_luck
from pricing_core.evaluation.estimate_then_plan import EstimateThenPlan
from pricing_core.simulator.bar.rows import Split, key, rows


@pytest.mark.parametrize(
    ("row", "share"),
    [
        ("endogenous", 0.96),  # without the control function 0.89
        ("substitutes", 0.97),  # each offer for itself 0.945
    ],
)
def test_the_share_of_the_optimum(row, share):
    (market,) = (market for market in rows(Split.TUNING) if market.name == row)
    params = market.sample(key(Split.TUNING, 5), 96)
    assert np.mean(play(market, EstimateThenPlan(), params, jax.random.key(6))) > share


def test_what_a_stock_says_of_demand_helps_a_cold_start():
    (market,) = (market for market in rows(Split.TUNING) if market.name == "finite_cold_20")
    params = market.sample(key(Split.TUNING, 5), 96)
    share = play_without_luck(market, EstimateThenPlan(), params, jax.random.key(6))
    assert np.mean(share) > 0.96  # by the guess alone 0.954
