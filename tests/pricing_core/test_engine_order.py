from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.draws import uniform
from pricing_core.engine import Intervals, Moment
from pricing_core.features import HOLD
from pricing_core.run_modes import RunModes
from schemas import columns as c
from tests.pricing_core.engines import INTERVALS, UP, decide, engine, opinionated
from tests.pricing_core.events import DAY, EUR, HOUR, MINUTE, T0, USD, batch

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
    made.apply(0, batch(c.AppliedColumns, *({"key": key, "price": 1312} for key in first)))
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


def test_shards_that_decide_together_decide_what_each_would_have_decided_alone():
    together, alone = engine(0, 1, 2), engine(0, 1, 2)
    modes = {0: "ACTIVE", 1: "HALTED", 2: "ACTIVE"}
    moments = {shard: Moment(T0 + shard * HOUR, RunModes.everywhere(mode)) for shard, mode in modes.items()}
    for made in (together, alone):
        made.decide(2, T0, "ACTIVE")  # nothing yet
        for shard, n in {0: 5, 1: 3, 2: 9}.items():
            made.apply(shard, batch(c.PolicyColumns, *({"key": b"web:%d%d" % (shard, i)} for i in range(n))))
            made.apply(shard, batch(c.ClickColumns, {"key": b"web:%d0" % shard, "count": 7}))
    parts = [together.decide_together(moments, limit=6) for _ in range(4)]
    assert [part.sizes for part in parts] == [
        {0: 5, 1: 1},
        {1: 2, 2: 4},
        {2: 5},
        {},
    ]
    for shard, moment in moments.items():
        single = alone.decide(shard, moment.now, moment.run_modes.everything)
        found = [(part.decisions, part.rows[shard]) for part in parts if shard in part.rows]
        for f in fields(single):
            if f.name == "keys":
                assert [key for decisions, rows in found for key in decisions.keys.take(rows)] == list(single.keys)
                continue
            columns = [getattr(decisions, f.name)[rows] for decisions, rows in found]
            if f.name == "q":  # its last digits depend on how many are valued at once
                np.testing.assert_allclose(np.concatenate(columns), single.q, rtol=1e-5, atol=1e-5)
            else:
                np.testing.assert_array_equal(np.concatenate(columns), getattr(single, f.name), f.name)
        for made in (together, alone):
            assert made.sequence(shard) == len(single)
        for one, other in zip(together.snapshot(shard), alone.snapshot(shard), strict=True):
            assert list(one) == list(other)


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


# Together and alone


KINDS = (c.PolicyColumns, c.ClickColumns, c.OrderColumns, c.CompetitorColumns, c.InventoryColumns, c.AppliedColumns)


def drawn(random, kind, shard):
    """Events of a kind about the offers of a shard, some of them in a currency that is refused."""
    offers = random.integers(0, 6, random.integers(0, 12))
    times, prices = T0 + random.integers(0, DAY, len(offers)), random.integers(1000, 1600, len(offers))
    extra = {c.PolicyColumns: "list_price", c.OrderColumns: "amount", c.InventoryColumns: "on_hand"}.get(kind, "price")
    rows = [
        {"key": b"web:%d" % (10 * shard + offer), "time": int(time), extra: int(price)}
        for offer, time, price in zip(offers, times, prices, strict=True)
    ]
    if kind is c.OrderColumns:
        rows = [{**row, "currency": USD if random.random() < 0.2 else EUR} for row in rows]
    if kind is c.AppliedColumns:
        rows = [{**row, "version": int(random.integers(0, 4)), "status": int(random.integers(0, 3))} for row in rows]
    return batch(kind, *rows)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**32))
def test_events_of_several_shards_folded_together_leave_each_as_it_would_be_alone(seed):
    random = np.random.default_rng(seed)
    together, alone = engine(0, 1, 2, intervals=INTERVALS), engine(0, 1, 2, intervals=INTERVALS)
    for step in range(8):
        parts = {shard: drawn(random, KINDS[step % len(KINDS)], shard) for shard in range(3)}
        assert together.apply_together(parts) == {shard: alone.apply(shard, part) for shard, part in parts.items()}
        if step % 3 == 2:
            moment = Moment(T0 + step * 8 * HOUR)  # far enough apart for periods to end: tallies learn
            together.decide_together(dict.fromkeys(range(3), moment))
            for shard in range(3):
                alone.decide(shard, moment.now, moment.run_modes.everything)
    for shard in range(3):
        (keys, rows), (other_keys, other_rows) = (made.snapshot(shard) for made in (together, alone))
        assert list(keys) == list(other_keys)
        assert rows.tobytes() == other_rows.tobytes()
        assert together.pending_count(shard) == alone.pending_count(shard)
