"""What a candidate would have earned in logged decisions: in any currency, and only where it might have been tried."""

from dataclasses import replace

import numpy as np
import pytest

from pricing_core.evaluation.intervals import gain
from pricing_core.evaluation.logged_prices import LoggedPrices, difference
from pricing_core.evaluation.support import NotSupported
from pricing_core.features import HOLD, MOVES_BP

OFFERS, DECISIONS, A = 60, 1_200, len(MOVES_BP)


def log(share_explored):
    """Half of the decisions hold, half raise; a share is drawn from all candidates."""
    random = np.random.default_rng(0)
    usual = np.where(np.arange(DECISIONS) % 2, HOLD, HOLD + 1)
    logging = (1.0 - share_explored) * np.eye(A)[usual] + share_explored / A
    action = np.array([random.choice(A, p=row) for row in logging])
    price = 1_000.0 * (1.0 + np.array(MOVES_BP) / 10_000)
    return LoggedPrices(
        offer=np.arange(DECISIONS) % OFFERS,
        context=random.normal(size=(DECISIONS, 3)),
        prices=np.tile(price, (DECISIONS, 1)),
        action=action,
        logging=logging,
        profit=random.poisson(8.0, DECISIONS) * (price[action] - 600.0),
        currency=np.zeros(DECISIONS, np.int64),
        units=np.full(DECISIONS, 8.0),
        exposure=np.ones(DECISIONS),
        censored=np.zeros(DECISIONS, bool),
    )


def test_a_candidate_that_does_what_was_never_tried_is_not_valued():
    logged = log(0.0)
    mostly = 0.8 * logged.logging + 0.2 * np.eye(A)[0]

    found = difference(logged, mostly, seed=1)

    assert found.unsupported == pytest.approx(0.2)
    with pytest.raises(NotSupported, match=r"20\.0% of the candidate's actions"):
        gain(found)
    assert difference(log(0.3), mostly, seed=1).unsupported == 0.0


def test_what_is_earned_in_two_currencies_is_compared_within_each():
    """The same decisions once more in a currency of a hundred times as many units: as if there were only one."""
    ours, candidate = log(0.3), np.tile(np.eye(A)[HOLD], (DECISIONS, 1))
    theirs = replace(ours, profit=ours.profit * 100, prices=ours.prices * 100, currency=ours.currency + 1)
    columns = {name: np.concatenate([getattr(one, name) for one in (ours, theirs)]) for name in LoggedPrices.__slots__}
    both = LoggedPrices(**columns | {"offer": np.concatenate([ours.offer, ours.offer + OFFERS])})

    mixed = difference(both, np.concatenate([candidate, candidate]), seed=1)

    np.testing.assert_allclose(mixed.reward[:DECISIONS], mixed.reward[DECISIONS:], rtol=1e-9)
    np.testing.assert_allclose(mixed.reward[:DECISIONS], difference(ours, candidate, seed=1).reward, rtol=1e-9)
