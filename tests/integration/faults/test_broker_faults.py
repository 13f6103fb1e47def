"""The broker dies, comes back, dies again, or hangs, while two workers are busy."""

import time

import pytest

from tests.integration.faults.scene import Scene, fault_settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

RATE = 1500
BACK_S = 60.0


def test_a_broker_that_is_killed_twice_close_together_costs_time_and_nothing_else(own_kafka, tmp_path):
    scene = Scene(fault_settings(own_kafka.bootstrap_servers), tmp_path)
    with scene.running(rate=RATE):
        for _ in range(2):
            own_kafka.kill()
            own_kafka.start()
        scene.timeline.first_outputs(range(scene.settings.partitions), time.time(), BACK_S)
        scene.wait_until_shared()
    scene.check()


@pytest.mark.long
def test_a_broker_that_hangs_for_longer_than_sessions_and_transactions_last_costs_time_and_nothing_else(
    own_kafka, tmp_path
):
    scene = Scene(fault_settings(own_kafka.bootstrap_servers), tmp_path)
    with scene.running(rate=RATE):
        own_kafka.pause()
        time.sleep(20)  # the fault itself
        own_kafka.resume()
        scene.timeline.first_outputs(range(scene.settings.partitions), time.time(), BACK_S)
        scene.wait_until_shared()
    scene.check()
