import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.decayed_demand import HALF_LIVES_DAYS
from pricing_core.state import FORMAT, ROW, TOTALS, FormatError
from schemas import columns as c
from schemas.binary import BinaryArray
from schemas.codec import Reject
from schemas.dead_letter import Reason
from tests.pricing_core.engines import CAPACITY, engine, only
from tests.pricing_core.events import DAY, EUR, HOUR, KEY, T0, USD, batch, click, competitor, order, policy, stock

TIMES = st.integers(T0 - 40 * DAY, T0)
KEYS = st.sampled_from([b"web:a", b"web:b", b"web:c"])
ORDERS = st.fixed_dictionaries(
    {
        "key": KEYS,
        "time": TIMES,
        "kind": st.sampled_from([c.PLACED, c.CANCELLED, c.RETURNED]),
        "quantity": st.integers(1, 10**9),
        "amount": st.integers(0, 10**13),
    }
)
CLICKS = st.fixed_dictionaries(
    {
        "key": KEYS,
        "time": TIMES,
        "kind": st.sampled_from([c.IMPRESSION, c.CLICK, c.ADD_TO_CART]),
        "count": st.integers(1, 10**9),
        "price": st.integers(1, 10**13),
    }
)
COUNTS = st.fixed_dictionaries({"key": KEYS, "time": st.integers(T0, T0 + 5), "on_hand": st.integers(0, 9)})
RIVALS = st.fixed_dictionaries(
    {
        "key": KEYS,
        "competitor": st.integers(1, 12),
        "price": st.integers(1, 99),
        "in_stock": st.booleans(),
    }
)


def in_pieces(made, kind, rows, cuts):
    """Apply rows in batches that end at the given places."""
    bounds = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    for start, stop in pairwise(bounds):
        made.apply(0, batch(kind, *rows[start:stop]))


def row_of(made, key=KEY):
    """The row of one offer, as the changelog would get it."""
    keys, rows = made.snapshot(0)
    return rows[list(keys).index(key)]


cuts = st.lists(st.integers(0, 25), max_size=4)


@settings(deadline=None)
@given(orders=st.lists(ORDERS, max_size=25), clicks=st.lists(CLICKS, max_size=25), cuts=cuts)
def test_totals_equal_a_recomputation_whatever_the_batches(orders, clicks, cuts):
    made = engine()
    in_pieces(made, c.OrderColumns, orders, cuts)
    in_pieces(made, c.ClickColumns, clicks, cuts)
    expected = defaultdict(Counter)
    for row in orders:
        kind = ("placed", "cancelled", "returned")[row["kind"]]
        expected[row["key"]].update({f"units_{kind}": row["quantity"], f"amount_{kind}": row["amount"]})
        expected[row["key"]].update({"order_rows": 1, "orders": int(row["kind"] == c.PLACED)})
    for row in clicks:
        expected[row["key"]][("impressions", "clicks", "add_to_carts")[row["kind"]]] += row["count"]
    assert made.totals(0) == {key: {name: found[name] for name in TOTALS} for key, found in expected.items()}


@settings(deadline=None)
@given(rows=st.lists(COUNTS, min_size=1, max_size=25), cuts=cuts)
def test_stock_is_the_latest_count_by_event_time(rows, cuts):
    made = engine()
    in_pieces(made, c.InventoryColumns, rows, cuts)
    keys, found = made.snapshot(0)
    for key, row in zip(keys, found, strict=True):
        latest = max((r["time"], i, r["on_hand"]) for i, r in enumerate(rows) if r["key"] == key)
        assert (row["stock_at"], row["on_hand"]) == (latest[0], latest[2])


@settings(deadline=None)
@given(rows=st.lists(RIVALS, min_size=1, max_size=40), cuts=cuts, seed=st.randoms(use_true_random=False))
def test_of_the_competitors_the_eight_seen_last_are_kept_in_any_order_of_arrival(rows, cuts, seed):
    rows = [{**row, "time": T0 + i} for i, row in enumerate(rows)]
    expected = defaultdict(dict)
    for row in rows:
        expected[row["key"]][row["competitor"]] = (row["time"], row["price"], row["in_stock"])
    seed.shuffle(rows)
    made = engine()
    in_pieces(made, c.CompetitorColumns, rows, cuts)
    keys, found = made.snapshot(0)
    for key, row in zip(keys, found, strict=True):
        kept = zip(*(row[name].tolist() for name in ROW.names if name.startswith("rival")), strict=True)
        fields = [name for name in ROW.names if name.startswith("rival")]
        by_name = {
            entry["rival"]: (entry["rival_seen_at"], entry["rival_price"], bool(entry["rival_in_stock"]))
            for entry in (dict(zip(fields, values, strict=True)) for values in kept)
            if entry["rival_seen_at"]
        }
        newest = sorted(expected[key].items(), key=lambda item: item[1][0])[-8:]
        assert by_name == dict(newest)


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(RIVALS, st.integers(T0, T0 + 3)).map(lambda r: {**r[0], "time": r[1]}), max_size=60),
    cuts=cuts,
)
def test_how_batches_are_cut_leaves_no_trace_in_what_is_remembered_of_competitors(rows, cuts):
    whole, cut = engine(), engine()
    in_pieces(whole, c.CompetitorColumns, rows, [])
    in_pieces(cut, c.CompetitorColumns, rows, cuts)
    assert remembered(whole) == remembered(cut)


def remembered(made):
    """What each offer remembers of competitors, place by place."""
    keys, rows = made.snapshot(0)
    columns = [name for name in ROW.names if name.startswith("rival")]
    return {key: [row[name].tolist() for name in columns] for key, row in zip(keys, rows, strict=True)}


@settings(deadline=None)
@given(clicks=st.lists(CLICKS, min_size=1, max_size=15), cuts=cuts)
def test_sums_decay_as_the_formula_says_however_late_the_events(clicks, cuts):
    clicks = [{**row, "key": KEY, "kind": c.IMPRESSION, "count": row["count"] % 1000 + 1} for row in clicks]
    clicks = [{**row, "price": row["price"] % 3000 + 500} for row in clicks]
    made = engine()
    in_pieces(made, c.ClickColumns, clicks, cuts)
    row = row_of(made)
    landmark = max(click["time"] for click in clicks)
    assert row["landmark"] == landmark
    for half_life, sums in zip(HALF_LIVES_DAYS, row["sums"], strict=True):
        expected = np.zeros(3)
        for shown in clicks:
            weight = shown["count"] * 2 ** ((shown["time"] - landmark) / DAY / half_life)
            x = min(2.0, max(-2.0, math.log(shown["price"] / clicks[0]["price"])))
            expected += weight * np.array([1, x, x * x])
        np.testing.assert_allclose(sums[[0, 3, 4]], expected, rtol=1e-4, atol=1e-2)


def test_demand_counts_what_was_placed_at_the_price_that_was_paid():
    made = engine()
    made.apply(0, policy(list_price=1000))
    made.apply(0, batch(c.OrderColumns, {"quantity": 2, "amount": 2200}, {"kind": c.CANCELLED, "quantity": 2}))
    units, units_x = row_of(made)["sums"][:, 2], row_of_sums(made)[:, 5]
    assert units.tolist() == [2.0, 2.0, 2.0]
    np.testing.assert_allclose(units_x, 2 * math.log(1.1), rtol=1e-6)


def row_of_sums(made):
    return made._sums.take(made._slots.of(0))[0]


def test_a_row_is_copied_once_for_each_time_that_it_changes():
    made = engine()
    made.apply(0, order())
    made.apply(0, click())
    assert made.dirty_count(0) == 1
    assert len(made.snapshot(0)[0]) == 1
    assert made.dirty_count(0) == 0
    assert len(made.snapshot(0)[0]) == 0


def test_of_two_currencies_the_first_one_counts_and_the_other_is_refused():
    made = engine()
    refused = made.apply(0, batch(c.OrderColumns, {}, {"currency": USD}, {"amount": 1}))
    assert [(r.index, r.reason) for r in refused] == [(1, Reason.CURRENCY_MISMATCH)]
    assert refused[0].detail == "the offer is in EUR, this in USD"
    assert made.totals(0)[KEY]["orders"] == 2
    assert [r.reason for r in made.apply(0, competitor(currency=USD))] == [Reason.CURRENCY_MISMATCH]


def test_a_policy_overrules_the_currency_of_competitors_and_forgets_them():
    made = engine()
    made.apply(0, competitor(currency=USD))
    made.apply(0, policy())
    row = row_of(made)
    assert (row["currency"], row["rival_seen_at"].max()) == (EUR, 0)


def test_a_full_arena_refuses_new_offers_only():
    made = engine()
    keys = [b"web:%d" % i for i in range(CAPACITY + 1)]
    refused = made.apply(0, batch(c.InventoryColumns, *({"key": key} for key in (*keys, keys[0]))))
    assert [(r.index, r.reason) for r in refused] == [(CAPACITY, Reason.SHARD_FULL)]
    assert made.apply(0, order(key=keys[0])) == []
    assert all(isinstance(reject, Reject) for reject in made.apply(0, order(key=keys[-1])))


def test_the_rows_of_a_dropped_shard_start_blank_for_their_next_owner():
    made = engine(0, 1)
    made.apply(0, policy())
    made.apply(0, order(amount=500))
    made.drop_shard(0)
    made.apply(1, stock())
    assert made.totals(1)[KEY] == dict.fromkeys(TOTALS, 0)
    assert not made._sums.take(made._slots.of(1)).any()
    assert only(made.decide(1, T0 + HOUR, "ACTIVE")).code == "no_policy"


def test_a_row_of_another_format_is_refused():
    rows = np.zeros(1, ROW)
    rows["format"] = FORMAT + 1
    with pytest.raises(FormatError, match=f"a row has format {FORMAT + 1}, this program reads {FORMAT}"):
        engine().restore(0, BinaryArray.of([KEY]), rows, sequence=0)
    with pytest.raises(FormatError, match="rows of 8 bytes"):
        engine().restore(0, BinaryArray.of([KEY]), np.zeros(1, np.int64), sequence=0)
