"""Event time, catching up, and duplicates of one shard."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.experiments.assignment import Experiment
from pricing_core.run_modes import ALL, CHANNEL, HALTED, REDUCING, Scope
from schemas.binary import BinaryArray
from schemas.topics import HOT_SOURCES
from streams.duplicate_window import DuplicateWindow
from streams.refused_offsets import RefusedOffsets
from streams.shard import Shard, new_windows

NAMES = [topic.name for topic in HOT_SOURCES]


def shard(ends=0):
    zeros = dict.fromkeys(NAMES, 0)
    return Shard(0, applied=dict(zeros), ends=dict.fromkeys(NAMES, ends), windows=new_windows(10))


def times(*ms):
    return np.array(ms, np.int64)


def read(window, refused, ids, offsets, bad):
    """Offsets that are applied of a batch in which the records at ``bad`` are refused, unless they are duplicates."""
    applied, offsets = [], np.array(offsets, np.int64)
    names = BinaryArray.of(name.encode() for name in ids)
    for stretch in window.stretches(offsets):
        rows = stretch
        while len(rows):
            fresh = window.admit(names.take(rows), offsets[rows])
            kept = rows if fresh is None else rows[fresh]
            gone = [row for row in kept.tolist() if offsets[row] in bad]
            applied += [int(offsets[row]) for row in kept if row not in gone]
            refused += [int(offsets[row]) for row in gone]
            window.forget(names.take(np.array(gone, np.int64)))
            judged_by = {ids[row] for row in gone}
            rows = np.array([row for row in np.setdiff1d(rows, kept) if ids[row] in judged_by], np.int64)
    return applied


def by_definition(ids, bad, size):
    """Offsets that are applied and that are refused: an id that one of the last N had counts once."""
    applied, refused, last = [], [], {}
    for offset, name in enumerate(ids):
        if name in last and offset - last[name] <= size:
            last[name] = offset
        elif offset in bad:
            refused.append(offset)
        else:
            applied.append(offset)
            last[name] = offset
    return applied, refused


@settings(deadline=None)  # kernels compile in the first example
@given(
    st.lists(st.integers(0, 12), max_size=80),
    st.sets(st.integers(0, 79)),
    st.integers(1, 20),
    st.lists(st.integers(1, 12), min_size=1, max_size=40),
)
def test_an_id_is_a_duplicate_exactly_if_one_of_the_last_n_records_that_was_not_refused_had_it(
    numbers, bad, size, batch_sizes
):
    ids = [f"e{n}" for n in numbers]
    window, applied, refused, at = DuplicateWindow(size), [], [], 0
    for length in batch_sizes * len(ids):
        part = ids[at : at + length]
        applied += read(window, refused, part, range(at, at + len(part)), bad)
        at += len(part)
    assert (sorted(applied), sorted(refused)) == by_definition(ids, bad, size)


@settings(deadline=None)
@given(st.lists(st.integers(0, 9), max_size=80), st.sets(st.integers(0, 79)), st.integers(1, 10), st.integers(0, 80))
def test_a_window_read_back_from_the_log_continues_like_the_one_that_was_lost(numbers, bad, size, restart):
    ids = [f"e{n}" for n in numbers]
    restart = min(restart, len(ids))
    kept, back, noted, refused = DuplicateWindow(size), DuplicateWindow(size), RefusedOffsets(size), []
    read(kept, refused, ids[:restart], range(restart), bad)
    noted.add(sorted(refused))
    known = RefusedOffsets(size, noted.in_front_of(restart))
    window = np.arange(max(0, restart - size), restart)
    again = window[~known.among(window)].tolist()
    read(back, [], [ids[offset] for offset in again], again, bad=set())
    rest = range(restart, len(ids))
    assert read(kept, [], ids[restart:], rest, bad) == read(back, [], ids[restart:], rest, bad)


def test_refused_offsets_are_kept_as_runs_and_only_as_far_back_as_the_window_reaches():
    refused = RefusedOffsets(10)
    refused.add([3, 4, 5, 9])
    refused.add([10, 20])
    assert refused.in_front_of(15) == [(3, 3), (9, 2), (20, 1)]
    assert refused.in_front_of(16) == [(9, 2), (20, 1)]
    assert np.flatnonzero(refused.among(np.arange(30))).tolist() == [9, 10, 20]
    assert not RefusedOffsets(10).among(np.arange(30)).any()


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
    assert s.run_modes.everything == "HALTED"


def test_each_scope_has_a_run_mode_of_its_own():
    s, web = shard(), Scope(CHANNEL, "web")
    s.set_run_mode("HALTED", 3, web)
    s.set_run_mode("REDUCING", 4)
    s.set_run_mode("ACTIVE", 2, web)  # read once more by a takeover
    assert s.run_modes.of_scope == {web: HALTED, ALL: REDUCING}
    assert s.run_mode_offset == 4


def test_the_last_word_about_an_experiment_counts_by_its_place_in_the_log():
    s = shard()
    long, short = (Experiment("spring", "offers", 0, end) for end in (100, 50))
    s.set_experiment(short, offset=7)
    s.set_experiment(long, offset=6)  # read once more by a takeover
    assert s.run_modes.experiments == {"spring": short}
    assert s.run_mode_offset == 7
