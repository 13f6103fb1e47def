"""Event time, catching up, and duplicates of one shard."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.binary import BinaryArray
from schemas.topics import HOT_SOURCES
from streams.duplicate_window import DuplicateWindow
from streams.shard import Shard, new_windows

NAMES = [topic.name for topic in HOT_SOURCES]


def shard(ends=0):
    zeros = dict.fromkeys(NAMES, 0)
    return Shard(0, applied=dict(zeros), ends=dict.fromkeys(NAMES, ends), windows=new_windows(10))


def times(*ms):
    return np.array(ms, np.int64)


def admitted(window, ids, offsets):
    rows = window.admit(BinaryArray.of(name.encode() for name in ids), np.array(offsets))
    return list(range(len(ids))) if rows is None else rows.tolist()


@given(
    st.lists(st.integers(0, 30), max_size=120),
    st.integers(1, 20),
    st.lists(st.integers(1, 12), min_size=1, max_size=40),
)
def test_an_id_is_a_duplicate_exactly_if_one_of_the_last_n_records_had_it(numbers, size, batch_sizes):
    ids = [f"e{n}" for n in numbers]
    expected = [ids[i] not in ids[max(0, i - size) : i] for i in range(len(ids))]
    window, seen, at = DuplicateWindow(size), [], 0
    for length in batch_sizes * len(ids):
        if at >= len(ids):
            break
        part = ids[at : at + length]
        rows = admitted(window, part, range(at, at + len(part)))
        seen += [row in rows for row in range(len(part))]
        at += len(part)
    assert seen == expected


@given(st.lists(st.integers(0, 15), max_size=80), st.integers(1, 10), st.integers(0, 80))
def test_a_window_read_back_from_the_log_continues_like_the_one_that_was_lost(numbers, size, restart):
    ids = [f"e{n}" for n in numbers]
    restart = min(restart, len(ids))
    kept, back = DuplicateWindow(size), DuplicateWindow(size)
    admitted(kept, ids[:restart], range(restart))
    start = max(0, restart - size)
    admitted(back, ids[start:restart], range(start, restart))
    rest = range(restart, len(ids))
    assert admitted(kept, ids[restart:], rest) == admitted(back, ids[restart:], rest)


def test_event_time_is_held_back_by_the_source_that_lags_behind():
    s = shard()
    for name in NAMES:
        s.advance(name, 1, at_end=True, times=None)
    s.advance("orders", 10, at_end=False, times=times(2_000))
    s.advance("clicks", 10, at_end=False, times=times(9_000))
    assert s.now == 2_000


def test_event_time_is_not_held_back_by_a_source_that_has_nothing_more_to_say():
    s = shard()
    for name in NAMES:
        s.advance(name, 1, at_end=True, times=None)
    s.advance("orders", 10, at_end=True, times=times(2_000))
    s.advance("clicks", 10, at_end=False, times=times(9_000))
    assert s.now == 9_000


def test_event_time_never_goes_back():
    s = shard()
    for name in NAMES:
        s.advance(name, 1, at_end=True, times=times(5_000))
    s.advance("orders", 10, at_end=False, times=times(1_000))
    assert s.now == 5_000


def test_a_source_not_heard_of_yet_holds_event_time_back():
    s = shard()
    s.advance("clicks", 10, at_end=False, times=times(9_000))
    assert s.now == 0


@pytest.mark.parametrize("last", NAMES)
def test_a_shard_has_caught_up_when_every_source_is_past_its_end_at_takeover(last):
    s = shard(ends=5)
    for name in NAMES:
        if name != last:
            s.advance(name, 5, at_end=False, times=None)
    assert not s.caught_up
    s.advance(last, 5, at_end=False, times=None)
    assert s.caught_up


def test_an_earlier_record_does_not_overrule_the_run_mode():
    s = shard()
    s.set_run_mode("HALTED", offset=10)
    s.set_run_mode("ACTIVE", offset=9)
    assert s.run_mode == "HALTED"
