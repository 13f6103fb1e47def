"""What the checker says of a log in which everything is right, and how much of it it could test."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.state import FORMAT, TOTALS
from pricing_core.state import ROW as WORKERS_ROW
from streams.changelog import READABLE
from streams.verify import verify_log
from streams.verify.changelog import RECORD_FORMATS, ROW, ROW_FORMAT, SALES, SHARD_KEY, SHOPPERS
from tests.streams.verify.synthetic_worker import SETTINGS, SyntheticWorker


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 150))
def test_a_right_log_is_clean_and_can_be_checked_completely(seed, events):
    report = verify_log(SyntheticWorker(seed, events).log, SETTINGS)
    assert (report.violated, report.complete) == ([], True), report


def test_every_check_had_something_to_check():
    report = verify_log(SyntheticWorker(1, 300).log, SETTINGS)
    assert [check.name for check in report.checks if not check.checked] == ["replays", "commands"]


def test_the_layout_of_a_row_is_that_of_the_worker():
    assert RECORD_FORMATS == READABLE
    assert (ROW.itemsize, ROW_FORMAT, SALES + SHOPPERS) == (WORKERS_ROW.itemsize, FORMAT, TOTALS)
    assert {name: ROW.fields[name] for name in ROW.names} == {name: WORKERS_ROW.fields[name] for name in ROW.names}


def test_outputs_of_a_cut_that_comes_while_it_reads_are_left_out():
    """The first cut line is read before the rest; here the log goes on between the two."""
    worker = SyntheticWorker(5, 100)
    read, grown = worker.log.read, []

    def read_and_grow(topic, ranges, *, replays=False):
        yield from read(topic, ranges, replays=replays)
        if topic.name == "changelog" and not grown:
            grown.append(True)
            for number in range(1000, 1050):
                worker._event(number)
                worker._decide("SKU-1")
            worker._cut()

    worker.log.read = read_and_grow
    report = verify_log(worker.log, SETTINGS)
    assert (grown, report.violated, report.complete) == ([True], [], True)


@pytest.mark.parametrize(
    "topic", ["orders", "clicks", "inventory", "price-applied", "price-decisions", "price-changes"]
)
def test_what_has_expired_is_named_and_not_called_wrong(topic):
    log = SyntheticWorker(3, 300).log
    start = random.Random(3).randrange(1, log.end(topic, 1))
    log.expire(topic, 1, start)
    report = verify_log(log, SETTINGS)
    assert (report.violated, report.complete) == ([], False)
    assert f"{topic}/1: records before {start} have expired" in {
        n for check in report.checks for n in check.not_checkable
    }


def test_a_damaged_shard_record_that_was_repaired_is_no_damage():
    worker = SyntheticWorker(3, 50)
    worker.log.append("changelog", 0, SHARD_KEY, b"{")
    worker._cut()
    assert not verify_log(worker.log, SETTINGS).violated


def test_a_policy_version_that_compaction_has_removed_is_not_called_fine():
    log = SyntheticWorker(3, 300).log
    for p in range(SETTINGS.partitions):
        log.topics["offer-policies", p][:-1] = []
    report = verify_log(log, SETTINGS)
    (check,) = (check for check in report.checks if check.name == "policy_bounds")
    assert (report.violated, report.complete) == ([], False)
    assert "gone" in check.not_checkable[0]
