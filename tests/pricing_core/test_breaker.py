"""The budget of price changes: what exceeds it is held as if nothing had been decided, and everything else stands."""

from dataclasses import fields, replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_core.breaker import Excess, Limits, excess, spend, withhold
from pricing_core.decisions import CHANGED, HELD, RECOMMENDED, blank
from pricing_core.rules import BREAKER, CODE, FORCED
from pricing_core.tally import MINUTE_MS, Tally, Window
from schemas.binary import BinaryArray
from schemas.columns import NONE
from tests.pricing_core.events import T0

LIMITS = Limits(least=10)
OFFERS = 100


def decided(*prices, before=1000, first=False, code="demand", outcome=CHANGED):
    """Decisions that move each price from ``before``."""
    n = len(prices)
    d = blank(np.full(n, T0), BinaryArray.of(b"web:%d" % i for i in range(n)))
    d.previous_price[:], d.price[:], d.version[:] = before, prices, 7
    d.rows["decided_sequence"] = 0 if first else 5
    d.outcome[:], d.code[:] = outcome, CODE[code]
    d.considered[:], d.chosen[:] = True, 0
    return d


def moved_by(bp, n, **fields):
    """Moves of one size from prices that differ."""
    before = 10_000 + 100 * np.arange(n)
    return decided(*(before * (10_000 + bp) // 10_000).tolist(), before=before, **fields)


def spent(*steps, limits=LIMITS, offers=OFFERS, apart=0):
    """What the last of some steps meets."""
    window, found = Window(), None
    for i, step in enumerate(steps):
        assert found is None
        found = spend(window, limits, offers, step, T0 + i * apart)
    return found


CASES = [
    # a share of the offers that move notably
    (moved_by(-1000, 50), 100, None),
    (moved_by(-1000, 51), 100, (50, "many_changes")),
    (moved_by(-1000, 99), 1000, None),
    (moved_by(-600, 99), 1000, None),
    # a mean move of all offers
    (moved_by(500, 100), 100, None),
    (moved_by(501, 100), 100, (99, "mean_move")),
    (moved_by(-500, 10), 5, None),  # of so few changes nothing is concluded
    # single large moves
    (moved_by(6000, 1), 1000, None),
    (moved_by(6000, 2, first=True), 1000, (1, "large_moves")),
    # one price for many offers
    (decided(*[999] * 10, before=1000 + np.arange(10)), 1000, None),
    (decided(*[999] * 11, before=1000 + np.arange(11)), 1000, (10, "one_price")),
    (decided(*[999] * 30, before=1000), 1000, None),  # they had one price before
    # an offer's first change, and what a policy orders
    (moved_by(-1000, 100, first=True), 100, None),
    *[(moved_by(-2000, 100, code=code), 100, None) for code in ("bounds_repair", "promotion", "promotion_over")],
    (moved_by(-1000, 100, outcome=RECOMMENDED), 100, None),
    (moved_by(-1000, 100, outcome=HELD), 100, None),
]


@pytest.mark.parametrize(("step", "offers", "stop"), CASES)
def test_what_is_within_the_budget_passes_and_the_first_that_is_not_is_named(step, offers, stop):
    found = spent(step, offers=offers)
    assert (found if found is None else (found[0], found[1].code)) == stop


def test_a_stop_says_the_limit_and_what_was_found():
    assert spent(moved_by(-1000, 80))[1] == Excess("many_changes", 5000, 8000)
    assert spent(moved_by(550, 100))[1] == Excess("mean_move", 500, 550)
    assert spent(decided(*[999] * 20, before=1000 + np.arange(20)))[1] == Excess("one_price", 5000, 10_000)


def test_the_budget_is_one_of_five_minutes_whatever_the_steps():
    quarter = moved_by(-1000, 25)
    assert spent(quarter, quarter) is None
    assert spent(quarter, quarter, moved_by(-1000, 1)) == (0, Excess("many_changes", 5000, 5100))
    assert spent(quarter, quarter, quarter, apart=2 * MINUTE_MS + 30_000)[1].code == "many_changes"
    assert spent(quarter, quarter, quarter, apart=3 * MINUTE_MS) is None


def test_models_that_answer_nonsense_are_stopped():
    nonsense = decided(*[1000] * 3, code="non_finite", outcome=HELD)
    sense = decided(*[1000] * 9, code="model_holds", outcome=HELD)
    assert spent(sense, nonsense) == (0, Excess("model_anomalies", 2000, 2500))
    assert spent(sense, sense, nonsense) is None
    forbidden = decided(*[1000] * 10, code="floor", outcome=HELD)
    forbidden.masked[:, 0] = CODE["floor"]
    assert spent(forbidden) == (0, Excess("model_anomalies", 2000, 10_000))


def test_a_catalog_that_rejects_is_told_nothing_more():
    assert excess(Tally(answered=10, rejected=5), LIMITS, OFFERS) is None
    assert excess(Tally(answered=10, rejected=6), LIMITS, OFFERS) == Excess("catalog_rejects", 5000, 6000)
    assert excess(Tally(answered=9, rejected=9), LIMITS, OFFERS) is None


def test_all_shards_together_may_do_less_than_each():
    tally = Tally(moved=45, repeated=45, notable=45, distance_bp=45 * 700)
    assert excess(tally, LIMITS, OFFERS) is None
    assert excess(tally, LIMITS.lowered(8000), OFFERS) == Excess("many_changes", 4000, 4500)


def test_a_withheld_change_leaves_no_trace_of_itself():
    step = moved_by(-1000, 4)
    step.prior_price[:] = 5
    before = replace(step, **{f.name: getattr(step, f.name).copy() for f in fields(step) if f.name != "keys"})
    withhold(step, np.array([1, 3]), 5000, 8000)
    assert step.outcome.tolist() == [CHANGED, HELD, CHANGED, HELD]
    assert (step.code[[1, 3]] == BREAKER).all()
    assert (step.price[[1, 3]] == step.previous_price[[1, 3]]).all()
    assert (step.version[[1, 3]] == NONE).all()
    assert (step.prior_price[[1, 3]] == NONE).all()
    assert (step.limit[[1, 3]].tolist(), step.value[[1, 3]].tolist()) == ([5000] * 2, [8000] * 2)
    for name in ("outcome", "code", "price", "version", "prior_price", "limit", "value"):
        assert (getattr(step, name)[[0, 2]] == getattr(before, name)[[0, 2]]).all()
    assert (step.sequence == before.sequence).all()
    assert (step.q == before.q).all()


def test_a_decision_that_changes_no_price_is_not_withheld():
    step = decided(900, code="pending_acknowledgement", outcome=HELD)
    withhold(step, np.array([0]), 1, 2)
    assert step.code.tolist() == [CODE["pending_acknowledgement"]]


@given(
    sizes=st.lists(st.integers(-2000, 2000), min_size=1, max_size=80),
    firsts=st.lists(st.booleans(), min_size=80, max_size=80),
    codes=st.lists(st.sampled_from(["demand", "competitors", "promotion"]), min_size=80, max_size=80),
    cuts=st.lists(st.integers(0, 80), max_size=4),
)
def test_no_cut_into_steps_lets_more_through_than_the_limits_say(sizes, firsts, codes, cuts):
    n = len(sizes)
    whole = decided(*(10_000 + size for size in sizes), before=10_000)
    whole.rows["decided_sequence"] = ~np.array(firsts[:n])
    whole.code[:] = [CODE[code] for code in codes[:n]]
    window, let_through = Window(), np.zeros(n, np.bool_)
    for start, stop in zip([0, *sorted(cuts)], [*sorted(cuts), n], strict=True):
        part = whole.part(slice(start, min(stop, n)))
        found = spend(window, LIMITS, OFFERS, part, T0)
        passed = len(part) if found is None else found[0]
        let_through[start : start + passed] = True
        if found is not None:
            break
    counted = let_through & ~np.isin(whole.code, FORCED) & (whole.rows["decided_sequence"] > 0)
    size = abs(whole.price - 10_000)
    assert (counted & (size > LIMITS.routine_move_bp)).sum() <= max(10, OFFERS // 2)
    assert counted.sum() <= 10 or size[counted].sum() <= LIMITS.mean_move_bp * OFFERS
    again = msgspec.json.decode(msgspec.json.encode(window), type=Window)
    assert again == window
