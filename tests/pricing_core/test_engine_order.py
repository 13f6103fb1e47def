import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.draws import uniform
from pricing_core.engine import Intervals
from pricing_core.features import HOLD
from schemas import columns as c
from tests.pricing_core.engines import INTERVALS, UP, decide, engine, opinionated
from tests.pricing_core.events import DAY, HOUR, MINUTE, T0, batch

# Numbers, order, size


def test_decisions_are_numbered_without_gaps_over_calls_and_holds():
    made = engine()
    made.apply(0, batch(c.PolicyColumns, *({"key": b"web:%d" % i, "mode": i % 3} for i in range(10))))
    numbers = []
    while len(found := decide(made, limit=4)):
        numbers += found.sequence.tolist()
    assert numbers == list(range(1, 11))


def test_fewer_decisions_than_the_limit_mean_that_nothing_else_is_due():
    made = opinionated(engine(intervals=INTERVALS), UP)
    offers = [{"key": b"web:%d" % i, "cooldown_ms": DAY} for i in range(10)]
    made.apply(0, batch(c.PolicyColumns, *offers))
    first = decide(made, limit=6).keys
    made.apply(0, batch(c.AppliedColumns, *({"key": key} for key in first)))
    # By now the review has come for the six, which are in their cooldown: they do not use up the limit.
    rest = decide(made, T0 + 6 * HOUR, limit=5).keys
    assert len(rest) == 4
    assert not set(rest) & set(first)


@settings(deadline=None, max_examples=60)
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 90 * MINUTE), st.lists(st.integers(0, 5), max_size=4), st.integers(1, 3)), max_size=25
    )
)
def test_the_agenda_finds_what_a_search_of_all_rows_would_find(steps):
    made = opinionated(engine(intervals=Intervals(decision=20 * MINUTE, review=HOUR)), HOLD)
    now = T0
    for pause, names, limit in steps:
        now += pause
        made.apply(0, batch(c.OrderColumns, *({"key": b"web:%d" % i} for i in names)))
        due = {made._slots.keys(np.array([i]))[0] for i in made._slots.of(0) if made._state.due_at[i] <= now}
        found = decide(made, now, limit=limit)
        assert set(found.keys) <= due
        assert len(found) == min(limit, len(due))
        assert len(set(found.keys)) == len(found)


def test_two_seeds_draw_differently_and_one_repeats_itself():
    sequence = np.arange(1, 2001)
    draws = uniform(1, 0, sequence)
    assert (draws == uniform(1, 0, sequence)).all()
    for other in (uniform(2, 0, sequence), uniform(1, 1, sequence), uniform(1, 0, sequence + 2000)):
        assert (draws != other).mean() > 0.99
        assert abs(np.corrcoef(draws, other)[0, 1]) < 0.1
    assert draws.min() >= 0
    assert draws.max() < 1
    assert abs(draws.mean() - 0.5) < 0.03
    assert abs(np.corrcoef(draws[:-1], draws[1:])[0, 1]) < 0.1
