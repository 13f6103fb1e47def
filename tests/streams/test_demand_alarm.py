"""A change that many offers of a shard share is an alarm; a change of a few is none, and it is over by itself."""

import numpy as np
import pytest

from pricing_core.trust import LATELY_MS
from schemas import columns as c
from streams.alarms.book import AlarmBook
from streams.alarms.demand import LEAST_OFFERS, DemandWatch
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, T0, batch


def restored(offers, changed, at=T0):
    """An engine whose offers have sold at T0, and the demand of some of which was found to have changed."""
    sold, made = engine(), engine()
    sold.apply(0, batch(c.OrderColumns, *({"key": b"web:%d" % i, "time": T0} for i in range(offers))))
    keys, rows = sold.snapshot(0)
    rows["demand_changed_at"][:changed] = at
    made.restore(0, keys, rows, sequence=0)
    return made


@pytest.mark.parametrize(
    ("offers", "changed", "later", "alarms", "why"),
    [
        (20, 4, 0, 1, "a fifth has changed"),
        (20, 3, 0, 0, "fewer have"),
        (LEAST_OFFERS - 1, LEAST_OFFERS - 1, 0, 0, "too few to say"),
        (20, 20, LATELY_MS, 0, "it is over"),
    ],
)
def test_an_alarm_is_raised_when(offers, changed, later, alarms, why):
    book = AlarmBook()
    DemandWatch(restored(offers, changed)).look(0, T0 + later, book)
    assert sum(standing.waiting for standing in book.standing.values()) == alarms, why


def test_a_shard_is_looked_at_once_a_minute():
    book, watch = AlarmBook(), DemandWatch(restored(20, 20))
    for milliseconds in (0, 1, 59_999, 60_000):
        watch.look(0, T0 - T0 % DAY + DAY + milliseconds, book)
    assert book.standing["demand_changed"].waiting == 2
    assert book.standing["demand_changed"].values == {"offers": 20, "changed": 20}


def test_what_is_counted_is_given_up_with_the_shard():
    made = restored(20, 20)
    made.drop_shard(0)
    made.open_shard(0)
    assert made.trust.changing(0, T0) == (0, 0)
    assert np.sum(list(made.trust.by_rung(0).values())) == 0
