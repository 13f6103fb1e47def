import math

import jax
import numpy as np

from pricing_core.decayed_demand import HALF_LIVES_DAYS
from pricing_core.demand import belief
from pricing_core.demand.belief import Period
from pricing_core.features import HOLD, FeatureInputs, featurize
from pricing_core.outlook import prior_of
from schemas import columns as c
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, HOUR, T0, applied, batch, competitor, order, policy, stock
from tests.pricing_core.kinds import usual


def sums(*events):
    """Decayed sums [1, H, K] of (age in days, {column: value})."""
    total = np.zeros((1, len(HALF_LIVES_DAYS), 6), np.float32)
    for age, values in events:
        for column, value in values.items():
            total[0, :, column] += value * 2.0 ** (-age / np.array(HALF_LIVES_DAYS))
    return total


def test_the_network_sees_what_the_events_say():
    made = engine()
    made.apply(0, policy(tax_rate_bp=2500, commission_bp=1000, fixed_fee=50, list_price=1000, cooldown_ms=0))
    made.apply(0, batch(c.ClickColumns, {"time": T0, "count": 40, "price": 1100}))
    made.apply(0, batch(c.ClickColumns, {"time": T0 + DAY, "kind": c.CLICK, "count": 4, "price": 1100}))
    made.apply(0, order(time=T0 + DAY, quantity=3, amount=3 * 1100))
    made.apply(0, applied(version=0, price=1200))
    made.apply(0, stock(time=T0, on_hand=17))
    rivals = [
        {"competitor": 1, "price": 900, "time": T0, "in_stock": False},
        {"competitor": 2, "price": 950, "time": T0 - 13 * DAY},  # too long ago by the time of the decision
        {"competitor": 3, "price": 1140, "time": T0 + DAY},
        {"competitor": 4, "price": 1300, "time": T0 + 2 * DAY},
    ]
    made.apply(0, batch(c.CompetitorColumns, *rivals))
    made.decide(0, T0 + 2 * DAY, "HALTED")
    found = made.decide(0, T0 + 2 * DAY + 6 * HOUR, "ACTIVE")

    since_the_first_decision = Period(*(np.full(1, v, np.float32) for v in (1.2, 0.25, 0.0)), np.array([False]), 0.25)
    x = math.log(1100 / 1000)
    shown = {0: 40, 3: 40 * x, 4: 40 * x * x}
    kind = usual(1, rival_known=1.0)
    by_hand = FeatureInputs(
        sums=sums((2.25, shown), (1.25, {1: 4, 2: 3, 5: 3 * x})),
        log_price=np.array([math.log(1200 / 1000)]),
        profit_slope=np.array([1 / 1.25 - 0.1]),
        profit_offset=np.array([750 / 1200]),
        rival_log_gap=np.array([math.log(1140 / 1200)]),
        rival_known=np.ones(1),
        rival_age_days=np.array([1.25]),
        on_hand=np.array([17.0]),
        days_since_change=np.array([15.25]),  # never changed: since the first event
        days_known=np.array([15.25]),
        log_ratio=np.log(found.prices / 1200),
        legal=found.masked == 0,
        tally=belief.observe(belief.empty(1), prior_of(kind), since_the_first_decision),
        counts_shoppers=np.zeros(1),
        salvage_offset=np.array([750 / 1200]),
        days_left=np.array([np.inf]),
        expected_elasticity=kind.expected_elasticity,
        expected_units=kind.expected_units,
    )
    expected = featurize(jax.tree.map(lambda v: np.asarray(v, bool if v.dtype == bool else np.float32), by_hand)).state
    np.testing.assert_allclose(found.features, expected, rtol=1e-4, atol=1e-3)  # float32: a spread of 0 is 1e-5
    assert found.prices[0, HOLD] == 1200


def test_an_offer_is_valued_alike_alone_and_among_many():
    keys = [b"web:%d" % i for i in range(40)]  # more than the smallest bucket holds
    many, alone = engine(), engine()
    for made, found in ((many, keys), (alone, keys[:1])):
        made.apply(0, batch(c.PolicyColumns, *({"key": key} for key in found)))
        made.apply(0, batch(c.ClickColumns, *({"key": key, "count": 30} for key in found)))
    together, single = many.decide(0, T0, "ACTIVE"), alone.decide(0, T0, "ACTIVE")
    # Compiled for other sizes. The gain is a difference of profits: what float32 rounds is in proportion to these.
    np.testing.assert_allclose(together.q[list(together.keys).index(keys[0])], single.q[0], rtol=1e-5, atol=1e-5)


def test_an_event_ahead_of_the_watermark_is_not_blown_up():
    made = engine()
    made.apply(0, policy())
    made.apply(0, batch(c.ClickColumns, {"time": T0 + 300 * DAY, "count": 5}))
    made.apply(0, competitor(time=T0 + DAY))
    assert np.isfinite(made.decide(0, T0, "ACTIVE").q).all()
