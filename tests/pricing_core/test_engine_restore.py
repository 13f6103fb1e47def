from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core import arena, rolling_sums, valuation
from pricing_core.decisions import CHANGED
from pricing_core.engine import CapacityExceeded, PricingEngine
from pricing_core.features import HOLD
from pricing_core.slots import NO_SLOT
from pricing_core.state import NEVER
from schemas import columns as c
from schemas.binary import BinaryArray
from schemas.compiled import compilations
from schemas.dead_letter import Reason
from tests.pricing_core.engines import CAPACITY, INTERVALS, MODEL, decide, engine, opinionated
from tests.pricing_core.events import (
    DAY,
    HOUR,
    KEY,
    T0,
    batch,
    policy,
    stock,
)


def same(left, right):
    """Whether two decisions, rows of decisions and the like are the same to the last bit."""
    for f in fields(left):
        a, b = getattr(left, f.name), getattr(right, f.name)
        a, b = (list(x) if isinstance(x, BinaryArray) else x for x in (a, b))
        assert (a.tobytes() == b.tobytes()) if isinstance(a, np.ndarray) else a == b, f.name
    return True


def test_nothing_compiles_after_the_warm_up():
    made = engine(0, 1)
    made.warm_up()
    compiled = (*arena.COMPILED, *rolling_sums.COMPILED, *valuation.COMPILED)
    before = compilations(), [function._cache_size() for function in compiled]
    for n in (1, 3, 40, CAPACITY):
        keys = [{"key": b"web:%d" % i} for i in range(n)]
        for kind in (c.PolicyColumns, c.OrderColumns, c.ClickColumns, c.CompetitorColumns, c.InventoryColumns):
            made.apply(0, batch(kind, *keys))
        decide(made, T0 + n * DAY)
        made.snapshot(0)
    keys, rows = made.snapshot(0)
    made.restore(1, keys, rows, sequence=0)
    made.drop_shard(0)
    assert (compilations(), [function._cache_size() for function in compiled]) == before


def test_more_rows_than_fit_are_refused_when_a_shard_is_restored():
    made = engine()
    made.apply(0, batch(c.InventoryColumns, *({"key": b"web:%d" % i} for i in range(CAPACITY))))
    keys, rows = made.snapshot(0)
    small = engine(0, 1)
    small.apply(1, stock(key=b"web:other"))
    with pytest.raises(CapacityExceeded, match=f"{CAPACITY} offers"):
        small.restore(0, keys, rows, sequence=0)
    assert [r.reason for r in made.apply(0, stock(key=b"web:new"))] == [Reason.SHARD_FULL]


# What was written down


EVENTS = st.tuples(
    st.sampled_from([c.OrderColumns, c.ClickColumns, c.CompetitorColumns, c.InventoryColumns, c.PolicyColumns]),
    st.lists(st.tuples(st.integers(0, 7), st.integers(0, 3 * HOUR)), min_size=1, max_size=6),
)


def play(made, steps, now, versions):
    """Apply, decide and let the catalog answer most of it."""
    for kind, rows in steps:
        now += HOUR
        extra = {}
        if kind is c.PolicyColumns:
            extra = {"version": next(versions)}
        made.apply(0, batch(kind, *({"key": b"web:%d" % i, "time": now - late, **extra} for i, late in rows)))
        yield (found := decide(made, now))
        changed = [i for i in range(len(found)) if found.outcome[i] == CHANGED and found.sequence[i] % 4]
        if changed:
            answers = ({"key": found.keys[i], "version": found.version[i], "price": found.price[i]} for i in changed)
            made.apply(0, batch(c.AppliedColumns, *answers))


@settings(deadline=None, max_examples=25)
@given(before=st.lists(EVENTS, max_size=12), after=st.lists(EVENTS, max_size=12), seed=st.integers(0, 9))
def test_a_restored_shard_decides_as_the_first_one_would_have_to_the_last_bit(before, after, seed):
    options = {"seed": seed, "intervals": INTERVALS}
    first = engine(**options)
    start = policy(key=b"web:0", version=1)
    first.apply(0, start)
    list(play(first, before, T0, iter(range(2, 99))))
    keys, rows = first.snapshot(0)
    second = engine(5, **options)  # other rows of the arena
    second.apply(5, stock(key=b"web:elsewhere"))
    second.open_shard(0)
    second.restore(0, keys, np.frombuffer(rows.tobytes(), rows.dtype), sequence=first.sequence(0))
    second.apply(0, start, due=False)
    versions = iter(range(2, 99))
    for kind, found in before:
        if kind is c.PolicyColumns:
            version = next(versions)
            second.apply(0, batch(kind, *({"key": b"web:%d" % i, "version": version} for i, _ in found)), due=False)
    assert second.dirty_count(0) == 0
    now = T0 + 40 * HOUR
    told = zip(
        play(first, after, now, iter(range(100, 199))), play(second, after, now, iter(range(100, 199))), strict=True
    )
    assert all(same(a, b) for a, b in told)
    assert first.totals(0) == second.totals(0)
    last = first.snapshot(0), second.snapshot(0)
    assert list(last[0][0]) == list(last[1][0])
    assert last[0][1].tobytes() == last[1][1].tobytes()


def test_a_row_that_the_log_has_lost_is_decided_again():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(), due=False)
    assert made.dirty_count(0) == 0
    assert len(decide(made)) == 1


def test_a_shard_that_was_never_written_is_restored_empty():
    made = engine()
    _, rows = made.snapshot(0)
    made.restore(0, BinaryArray.of([]), rows, sequence=0)
    assert made.sequence(0) == 0
    assert len(decide(made, NEVER - 1)) == 0


def test_shards_are_numbered_scheduled_and_forgotten_apart():
    made = engine(0, 1)
    assert made.shards == {0, 1}
    made.apply(0, policy())
    made.apply(1, policy())
    assert len(made.decide(1, T0, "ACTIVE")) == 1
    assert (made.sequence(0), made.sequence(1)) == (0, 1)
    made.drop_shard(1)
    assert made.shards == {0}
    assert len(decide(made)) == 1


def test_the_worker_can_ask_which_keys_are_known():
    made = engine()
    made.apply(0, stock())
    assert (made.known(0, BinaryArray.of([KEY, b"web:new"])) == NO_SLOT).tolist() == [False, True]


def test_events_of_no_known_kind_are_a_programming_error():
    with pytest.raises(TypeError, match="Columns are no events"):
        engine().apply(0, c.Columns(BinaryArray.of([KEY]), np.zeros(1, np.int64), np.zeros(1, np.int64)))


def test_an_engine_needs_nothing_but_a_model():
    assert PricingEngine(MODEL, capacity=CAPACITY).model is MODEL
