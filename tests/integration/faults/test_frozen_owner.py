"""A worker that is frozen for longer than its session wakes up with records, rows and prices of shards that it lost."""

import signal
import time

import pytest

from tests.integration.faults.scene import SESSION_S, Scene, fault_settings
from tests.integration.worker_process import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

DEADLINE_S = 3 * (SESSION_S + 3)
RATE = 1500


def freeze_at(worker, point):
    """Stop the process at a point of its cut; returns when it was stopped, and the shards that it has."""
    worker.hold_at(point)
    shards = worker.shards()
    worker.signal(signal.SIGSTOP)
    worker.let_go()  # when it wakes up it goes on at once
    return time.time(), shards


def test_what_a_frozen_owner_has_produced_and_queued_stays_invisible_when_it_wakes_up(kafka, tmp_path):
    scene = Scene(fault_settings(kafka), tmp_path)
    frozen = scene.workers[0]
    with scene.running(rate=RATE):
        since, shards = freeze_at(frozen, "produced")
        scene.timeline.first_outputs(shards, since, DEADLINE_S)  # another owner works on them
        frozen.signal(signal.SIGCONT)
        wait_for(lambda: frozen.failed_cuts() == 1, 60, "the fenced cut", frozen)
        scene.wait_until_shared()
    scene.check()


def test_a_commit_that_slept_through_a_takeover_is_settled_before_the_next_owner_reads(kafka, tmp_path):
    """The broker checks the generation when offsets are added, not at the commit: only the takeover can see to it."""
    scene = Scene(fault_settings(kafka), tmp_path)
    frozen = scene.workers[0]
    with scene.running(rate=RATE):
        since, shards = freeze_at(frozen, "offsets_added")
        scene.timeline.first_outputs(shards, since, DEADLINE_S)
        frozen.signal(signal.SIGCONT)
        scene.wait_until_shared()
    scene.check()


@pytest.mark.long
def test_two_workers_that_were_both_taken_for_dead_share_the_shards_again(kafka, tmp_path):
    scene = Scene(fault_settings(kafka), tmp_path)
    with scene.running(rate=RATE):
        first, second = scene.workers
        since, _ = freeze_at(first, "offsets_added")
        second.signal(signal.SIGSTOP)
        time.sleep(SESSION_S + 2)  # the fault itself: nobody is there to watch
        for worker in scene.workers:
            worker.signal(signal.SIGCONT)
        scene.timeline.first_outputs(range(scene.settings.partitions), since + SESSION_S + 2, DEADLINE_S)
        scene.wait_until_shared()
    scene.check()
