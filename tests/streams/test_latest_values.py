"""The last value of every key, found a page at a time without a Python object for a record."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.binary import BinaryArray
from schemas.compiled import compilations
from streams.latest_values import LatestValues

KEYS = st.one_of(st.none(), st.binary(max_size=2), st.integers(0, 2_000).map(lambda n: b"web:%d" % n))
PAGES = st.lists(st.lists(st.tuples(KEYS, st.one_of(st.none(), st.binary(max_size=9)))), max_size=8)


def read(table, *pages):
    for page in pages:
        table.update(BinaryArray.of(key for key, _ in page), BinaryArray.of(value for _, value in page))


@settings(deadline=None)
@given(PAGES)
def test_it_is_what_a_dictionary_makes_of_the_log(pages):
    table = LatestValues()
    read(table, *pages)
    keys, values = table.hand_over()
    last = dict(pair for page in pages for pair in page)
    expected = {key: value for key, value in last.items() if key is not None and value is not None}
    assert len(keys) == len(expected)
    assert dict(zip(keys, values, strict=True)) == expected


def test_many_keys_and_their_removal_do_not_disturb_one_another():
    first, second = ([(b"web:%d" % n, b"%d of %d" % (turn, n)) for n in range(20_000)] for turn in range(2))
    gone = [(key, None) for key, _ in first[::3]]
    table = LatestValues()
    read(table, first, gone, second[::2])
    keys, values = table.hand_over()
    assert dict(zip(keys, values, strict=True)) == dict(set(first) - set(first[::3])) | dict(second[::2])


def test_a_long_log_of_few_keys_takes_the_room_of_these_keys():
    table = LatestValues()
    for turn in range(50):
        read(table, [(b"web:%d" % (n % 10), bytes([turn]) * 100) for n in range(1_000)])
    keys, values = table.hand_over()
    assert len(keys) == 10
    assert len(values.data) < 2 * 100 * 1_000, "a page more at most"
    assert values.start.tolist() == list(range(0, 1_000, 100)), "one after the other"


def test_what_was_handed_over_stays_as_it_is_when_the_table_is_filled_again():
    table = LatestValues()
    read(table, [(b"a", b"1")])
    keys, values = table.hand_over()
    read(table, [(b"%d" % n, b"2") for n in range(5_000)])
    assert (list(keys), list(values)) == ([b"a"], [b"1"])
    assert len(table.hand_over()[0]) == 5_000
    assert np.array_equal(table.hand_over()[0].start, [])


def test_nothing_compiles_after_the_warm_up():
    LatestValues.warm_up()
    before = compilations()
    table = LatestValues()
    read(table, [(b"%d" % n, None if n % 3 else b"2") for n in range(5_000)])
    table.hand_over()
    assert compilations() == before
