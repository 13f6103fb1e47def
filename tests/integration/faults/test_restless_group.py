"""A third worker joins and leaves again and again before the shards have found their owners."""

import signal

import pytest

from tests.integration.faults.scene import HeldWorker, Scene, fault_settings
from tests.integration.worker_process import wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.long, pytest.mark.timeout(400)]


def test_a_worker_that_leaves_while_it_takes_over_costs_time_and_nothing_else(kafka, tmp_path):
    scene = Scene(fault_settings(kafka), tmp_path)
    third = HeldWorker(scene.settings.model_copy(update={"instance": "c"}), tmp_path / "worker-c")
    with scene.running(rate=1500):
        for how in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
            third.start()
            wait_for(lambda: has_joined(third), 60, "the third worker is a member", third)
            assert third.end(how) == (0 if how is signal.SIGTERM else -how)
        scene.wait_until_shared()
    scene.check()


def has_joined(worker):
    status, page = worker.page("/readyz")
    return status == 200 or "taken over" in page
