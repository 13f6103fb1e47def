"""Periods at one price, from events to tallies: what each brought, where it begins, what is given to no price."""

import numpy as np
import pytest

from pricing_core.demand.belief import MEMORIES
from pricing_core.demand.knots import PLACES
from pricing_core.demand.packing import unpack
from schemas import columns as c
from tests.pricing_core.engines import UP, decide, engine, opinionated
from tests.pricing_core.events import DAY, HOUR, KEY, T0, applied, batch, click, manual, order, policy, stock


def opened():
    """An engine with one offer whose first period begins at T0. No move is legal: what is decided is to hold."""
    made = engine()
    made.apply(0, policy(cooldown_ms=0, max_step_bp=0))
    decide(made, T0)
    return made


def tally_of(made, key=KEY):
    """Exposure and units in an offer's row, under the memory that keeps all, and the mean ln(price / reference)."""
    made.apply(0, batch(c.CompetitorColumns, {"key": key}))  # its row is in the next snapshot
    keys, rows = made.snapshot(0)
    tally, _ = unpack(rows["tally"][list(keys).index(key)][None])
    exposure, units = np.asarray(tally.exposure[0, 0]), np.asarray(tally.units[0, 0])
    return exposure.sum(), units.sum(), (PLACES * units).sum() / max(units.sum(), 1)


def test_a_period_brings_the_differences_of_the_totals():
    made = opened()
    made.apply(0, click(count=40, time=T0 + HOUR))
    made.apply(0, batch(c.OrderColumns, {"quantity": 3}, {"quantity": 1, "kind": c.CANCELLED}))
    decide(made, T0 + DAY)
    made.apply(0, click(count=7, time=T0 + DAY + HOUR))
    assert tally_of(made) == pytest.approx((40, 2, 0))


def test_without_shoppers_the_exposure_is_days():
    made = opened()
    made.apply(0, order(quantity=3))
    decide(made, T0 + 36 * HOUR)
    assert tally_of(made) == pytest.approx((1.5, 3, 0))


def test_a_short_period_stays_open():
    made = opened()
    made.apply(0, click(count=40))
    made.apply(0, order())  # due again
    decide(made, T0 + HOUR)
    assert tally_of(made)[0] == 0
    decide(made, T0 + 7 * HOUR)
    assert tally_of(made)[0] == pytest.approx(40)


def test_when_shoppers_are_counted_from_a_day_on_the_tally_begins_anew():
    made = opened()
    made.apply(0, order(quantity=5))
    decide(made, T0 + DAY)
    made.apply(0, click(count=40, time=T0 + DAY))
    made.apply(0, order(quantity=2, time=T0 + DAY))
    decide(made, T0 + 2 * DAY)
    assert tally_of(made) == pytest.approx((40, 2, 0))


def test_a_decided_price_begins_a_period_at_that_price():
    made = engine()
    made.apply(0, policy(cooldown_ms=0))
    opinionated(made, UP)
    (price,) = decide(made, T0).price
    made.apply(0, click(count=40))  # until the catalog has answered: the new price's, too
    made.apply(0, applied(price=price, version=1))
    made.apply(0, click(count=60, price=price))
    made.apply(0, order(quantity=9, amount=9 * price))
    del made._ask  # the model is asked again
    decide(made, T0 + DAY)
    assert tally_of(made) == pytest.approx((100, 9, np.log(price / 1299)), rel=1e-4)


@pytest.mark.parametrize("answer", [applied(price=1169), manual(price=1169, time=T0 + 20 * HOUR)])
def test_a_price_that_nobody_decided_begins_a_period_with_the_next_decision(answer):
    made = opened()
    made.apply(0, click(count=40))
    made.apply(0, answer)
    decide(made, T0 + DAY)
    assert tally_of(made)[0] == 0
    made.apply(0, click(count=60, price=1169))
    made.apply(0, order(quantity=9, amount=9 * 1169))
    decide(made, T0 + 2 * DAY)
    assert tally_of(made) == pytest.approx((60, 9, np.log(1169 / 1299)))


def test_it_makes_no_difference_whether_counts_of_stock_come_one_by_one():
    counts = [{"on_hand": n, "time": T0 + n_hours * HOUR} for n_hours, n in ((2, 5), (4, 0), (6, 9), (8, 0), (9, 3))]
    rows = []
    for parts in ([counts], [[count] for count in counts], [[count] for count in reversed(counts)]):
        made = opened()
        for part in parts:
            made.apply(0, batch(c.InventoryColumns, *part))
        rows.append(made.snapshot(0)[1][["on_hand", "stock_at", "sold_out_at"]].tolist())
    assert rows[0] == rows[1] == rows[2] == [(3, T0 + 9 * HOUR, T0 + 4 * HOUR)]


def test_a_price_that_changed_unseen_teaches_nothing():
    made = opened()
    made.apply(0, click(count=40))
    made.apply(0, policy(version=2, list_price=1199, cooldown_ms=0, max_step_bp=0))  # no catalog has reported a price
    decide(made, T0 + DAY)
    assert tally_of(made)[0] == 0
    made.apply(0, click(count=5))
    decide(made, T0 + 2 * DAY)
    assert tally_of(made)[0] == pytest.approx(5)


def test_a_stock_that_ran_out_says_that_demand_was_at_least_that():
    sold = []
    for left in (0, 2):
        made = opened()
        made.apply(0, order(quantity=30))
        decide(made, T0 + DAY)  # thirty a day
        made.apply(0, order(quantity=8, time=T0 + DAY))
        made.apply(0, stock(on_hand=left, time=T0 + DAY + 12 * HOUR))
        made.apply(0, stock(on_hand=20, time=T0 + 2 * DAY))
        decide(made, T0 + 2 * DAY)
        sold.append(tally_of(made)[:2])
    assert sold[0][0] == pytest.approx(1.5)  # a day and the half until it ran out
    assert sold[0][1] > 41  # more than the eight that were there
    assert sold[1] == pytest.approx([2, 38])


def test_a_day_without_stock_teaches_nothing():
    made = opened()
    made.apply(0, stock(on_hand=0, time=T0))
    made.apply(0, stock(on_hand=20, time=T0 + DAY))
    decide(made, T0 + DAY)
    assert tally_of(made)[0] == 0


def test_decisions_that_ask_no_model_leave_the_period_open():
    made = opened()
    made.apply(0, click(count=40))
    decide(made, T0 + DAY, run_mode="HALTED")
    made.apply(0, click(count=20, time=T0 + DAY))
    decide(made, T0 + 2 * DAY)
    assert tally_of(made)[0] == pytest.approx(60)


def test_old_days_fade_by_the_days_that_have_passed():
    made = opened()
    for day in range(3):
        decide(made, T0 + 4 * day * DAY)
        made.apply(0, order(quantity=6, time=T0 + 4 * day * DAY))
    decide(made, T0 + 12 * DAY)
    made.apply(0, batch(c.CompetitorColumns, {}))
    tally, _ = unpack(made.snapshot(0)[1]["tally"])
    expected = [6 * (m**8 + m**4 + 1) for m in MEMORIES]
    assert np.asarray(tally.units[0].sum(axis=1)) == pytest.approx(expected, rel=1e-5)


def learned(offers, decided):
    """Tallies by key, as bytes: all offers are shown and sold at T0, those in ``decided`` are due a day later."""
    made = engine()
    names = [b"web:%d" % i for i in offers]
    made.apply(0, batch(c.PolicyColumns, *({"key": key, "cooldown_ms": 0, "max_step_bp": 0} for key in names)))
    decide(made, T0)
    for i, key in zip(offers, names, strict=True):
        made.apply(0, click(key=key, count=40 + i))
        made.apply(0, order(key=key, quantity=1 + i % 3))
    decide(made, T0 + HOUR)
    for i in decided:
        made.apply(0, stock(key=b"web:%d" % i, on_hand=9, time=T0 + DAY))
    made.decide(0, T0 + DAY, "ACTIVE", limit=len(decided))
    made.apply(0, batch(c.CompetitorColumns, *({"key": key} for key in names)))
    keys, rows = made.snapshot(0)
    return {key: row["tally"].tobytes() for key, row in zip(keys, rows, strict=True)}


def test_what_an_offer_learns_does_not_depend_on_who_is_decided_with_it():
    alone, among = learned([3], [3]), learned(range(20), range(20))
    assert alone[b"web:3"] == among[b"web:3"]
    assert any(np.frombuffer(alone[b"web:3"], np.float32))
