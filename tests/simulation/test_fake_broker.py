"""Kafka's rules on the fake broker: those that `tests/integration` has seen on the real one."""

import pytest

from tests.simulation.broker import Broker
from tests.simulation.fake_log import Record
from tests.simulation.group import Refused
from tests.simulation.network import Code
from tests.simulation.world import World

LOG, SOURCE = ("changelog", 0), ("orders", 0)


@pytest.fixture
def world():
    return World(0)


@pytest.fixture
def broker(world):
    return Broker(world)


@pytest.fixture
def member(world, broker):
    """Generation and member id of a group of one."""
    joined = []
    broker.group.join("", joined.append)
    world.run(world.now + 1)
    return joined[0]


def write(broker, name, member, offset):
    """A transaction up to its commit. Returns the epoch."""
    _, epoch = broker.start_producer(name, 10.0)
    broker.append(name, epoch, LOG, 0, [Record(b"k", b"%d" % offset)])
    broker.add_offsets(name, epoch)
    broker.commit_offsets(name, epoch, member, {SOURCE: offset})
    return epoch


def values(broker):
    return [record.value for _, record in broker.logs[LOG].committed()]


def refusal(code, ask, *arguments, **named):
    with pytest.raises(Refused) as refused:
        ask(*arguments, **named)
    assert refused.value.code == code


def test_records_and_offsets_become_visible_when_the_markers_are_written_and_not_when_the_commit_is_answered(
    world, broker, member
):
    broker.end("a", write(broker, "a", member, 7), commit=True)
    assert values(broker) == []
    refusal(Code.UNSTABLE_OFFSET_COMMIT, broker.stable_offsets, [SOURCE], stable=True)
    world.run(world.now + 10)
    assert (values(broker), broker.stable_offsets([SOURCE], stable=True)) == ([b"7"], {SOURCE: 7})


def test_readers_of_committed_records_wait_at_an_open_transaction(broker, member):
    write(broker, "a", member, 7)
    broker.logs[LOG].append([Record(b"other", b"8")])
    log = broker.logs[LOG]
    assert (log.end(committed=True), log.end(committed=False), values(broker)) == (0, 2, [])


def test_a_new_producer_aborts_what_the_last_one_left_open_and_fences_it(world, broker, member):
    epoch = write(broker, "a", member, 7)
    refusal(Code.CONCURRENT_TRANSACTIONS, broker.start_producer, "a", 10.0)
    world.run(world.now + 5)
    broker.start_producer("a", 10.0)
    refusal(Code._FENCED, broker.end, "a", epoch, commit=True)
    assert (values(broker), broker.stable_offsets([SOURCE], stable=True)) == ([], {SOURCE: -1001})


def test_a_new_producer_waits_for_a_commit_that_was_accepted(world, broker, member):
    broker.end("a", write(broker, "a", member, 7), commit=True)
    refusal(Code.CONCURRENT_TRANSACTIONS, broker.start_producer, "a", 10.0)
    world.run(world.now + 10)
    broker.start_producer("a", 10.0)
    assert values(broker) == [b"7"]


def test_membership_is_checked_when_offsets_are_added_and_not_at_the_commit(world, broker, member):
    epoch = write(broker, "a", member, 7)
    broker.group.leave(member[1])
    refusal(Code.UNKNOWN_MEMBER_ID, broker.commit_offsets, "a", epoch, member, {SOURCE: 8})
    broker.end("a", epoch, commit=True)
    world.run(world.now + 10)
    assert broker.stable_offsets([SOURCE], stable=True) == {SOURCE: 7}


def test_an_old_generation_is_refused_and_nobody_is_accepted(broker, member):
    _, epoch = broker.start_producer("a", 10.0)
    broker.add_offsets("a", epoch)
    refusal(Code.ILLEGAL_GENERATION, broker.commit_offsets, "a", epoch, (member[0] - 1, member[1]), {SOURCE: 7})
    broker.commit_offsets("a", epoch, (-1, ""), {SOURCE: 7})


def test_a_transaction_that_is_open_for_too_long_is_aborted(world, broker, member):
    epoch = write(broker, "a", member, 7)
    world.run(world.now + 25)
    refusal(Code._FENCED, broker.end, "a", epoch, commit=True)
    assert broker.logs[LOG].end(committed=True) == broker.logs[LOG].end(committed=False)


def test_a_batch_that_is_sent_again_is_there_once(broker):
    _, epoch = broker.start_producer("a", 10.0)
    for _ in range(2):
        broker.append("a", epoch, LOG, 0, [Record(b"k", b"1")])
    assert broker.logs[LOG].high_watermark == 1


def test_a_member_that_falls_silent_is_out_and_the_generation_rises(world, broker, member):
    world.run(world.now + 8)
    refusal(Code.UNKNOWN_MEMBER_ID, broker.group.heartbeat, *member)
    assert broker.group.generation == member[0] + 1
