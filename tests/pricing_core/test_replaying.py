"""Decisions made again from what was recorded of them: the same bits, whoever else is decided beside them."""

from dataclasses import fields, replace

import numpy as np
import pytest

from pricing_core.recorded import Recorded, RecordedError
from pricing_core.replaying import Question, ReplayingEngine
from schemas import columns as c
from schemas.packing import pack
from tests.pricing_core.engines import CAPACITY, MODEL, engine
from tests.pricing_core.events import DAY, HOUR, T0, batch

OFFERS = 40


@pytest.fixture(scope="module")
def decided():
    """Decisions of all kinds: changes, recommendations, repairs, holds with and without candidates."""
    made, rng = engine(0), np.random.default_rng(5)
    keys = [b"web:%d" % i for i in range(OFFERS)]
    policies = ({"key": k, "mode": i % 5 == 1, "floor": 900 + 20 * i} for i, k in enumerate(keys[2:]))
    made.apply(0, batch(c.PolicyColumns, *policies))
    for hour in range(5):
        at = [{"key": k, "time": T0 + hour * HOUR} for k in keys]
        made.apply(0, batch(c.ClickColumns, *({"count": int(rng.integers(1, 90)), **a} for a in at)))
        made.apply(0, batch(c.OrderColumns, *({"quantity": int(rng.integers(1, 4)), **a} for a in at)))
        made.apply(0, batch(c.CompetitorColumns, *({"price": int(rng.integers(900, 1500)), **a} for a in at[::2])))
        made.apply(0, batch(c.InventoryColumns, *({"on_hand": int(rng.integers(0, 4)), **a} for a in at[::3])))
    first, second = made.decide(0, T0 + DAY, "ACTIVE"), made.decide(0, T0 + 2 * DAY, "ACTIVE")
    assert {"pending_acknowledgement"} < set(second.reasons)
    assert {"no_policy", "demand", "stock_out", "bounds_repair"} <= set(first.reasons)
    return first, second


@pytest.fixture(scope="module")
def replaying():
    return ReplayingEngine(MODEL, capacity=CAPACITY)


def asked(decisions):
    recorded = Recorded.unpacked(decisions.recorded.packed().present())
    batch = int(decisions.batch.max())
    return Question(
        recorded,
        decisions.now,
        decisions.run_mode,
        decisions.run_mode_scope,
        decisions.uniform,
        decisions.sequence,
        batch,
    )


def same(one, other):
    """Whether two columns of decisions are the same to the bit; NaN, too."""
    names = [f.name for f in fields(one) if f.name not in {"keys", "rows", "policies"}]
    return [n for n in names if getattr(one, n).tobytes() != getattr(other, n).tobytes()] == []


def test_every_decision_comes_out_again_to_the_bit(decided, replaying):
    for decisions in decided:
        assert same(decisions, replaying.decide_again(asked(decisions)))


@pytest.mark.parametrize("size", [1, 2, 31, CAPACITY])
def test_it_does_so_alone_and_several_times_beside_others(decided, replaying, size):
    rows = np.random.default_rng(size).integers(0, OFFERS, size)
    first, _ = decided
    question = asked(first)
    chosen = Question(
        Recorded(question.recorded.rows[rows], question.recorded.policies[rows]),
        *(getattr(question, name)[rows] for name in ("now", "mode", "scope", "uniform", "sequence")),
        question.batch,
    )
    again = replaying.decide_again(chosen)
    for name in ("outcome", "code", "price", "q", "features", "propensity", "chosen", "limit", "value"):
        assert getattr(again, name).tobytes() == getattr(first, name)[rows].tobytes(), name


def test_another_input_gives_another_decision(decided, replaying):
    first, _ = decided
    question = asked(first)
    assert not same(first, replaying.decide_again(replace(question, now=question.now + DAY)))
    assert not same(first, replaying.decide_again(replace(question, mode=2 - question.mode)))
    question.recorded.rows["sums"] *= 2
    assert not same(first, replaying.decide_again(question))


def test_nothing_is_left_behind_in_the_engine(decided, replaying):
    first, _ = decided
    for _ in range(3):
        replaying.decide_again(asked(first))
    assert replaying.shards == frozenset()


def test_inputs_of_another_layout_and_damaged_ones_are_refused(decided):
    first, _ = decided
    (raw,) = first.part(slice(0, 1)).recorded.packed()
    with pytest.raises(RecordedError, match="damaged"):
        Recorded.unpacked([raw[:-1]])
    with pytest.raises(RecordedError, match="damaged"):
        Recorded.unpacked(pack(np.zeros((1, 8), np.uint8)).present())
    other = bytes([raw[0], raw[1] ^ 1]) + raw[2:]
    with pytest.raises(RecordedError, match="layout"):
        Recorded.unpacked([other])
