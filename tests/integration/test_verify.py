"""`repricer verify` on a real Kafka: clean after a real run, and not after somebody forged a record."""

import json
import subprocess
import sys

import confluent_kafka as ck
import orjson
import pytest
from confluent_kafka.admin import AdminClient

from schemas.topics import HOT_SOURCES, ORDERS, PRICE_CHANGES, TICKS
from streams.verify import verify
from tests.integration.shop import Publisher, impressions, new_settings, order, policy, records_of
from tests.integration.worker_process import (
    ROOT,
    environment_of,
    read_committed,
    running_worker,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


def run_verify(settings):
    command = [sys.executable, "-m", "streams.cli", "verify", "--json"]
    answer = subprocess.run(
        command, cwd=ROOT, env=environment_of(settings), capture_output=True, text=True, timeout=120, check=False
    )
    return answer.returncode, json.loads(answer.stdout), answer.stderr


@pytest.fixture
def settings(kafka, tmp_path):
    """Topics that a worker has worked on: one offer with a changed price, and a bad record."""
    ours = new_settings(kafka, tick_interval_s=0)
    publisher = Publisher(ours)
    with running_worker(ours, tmp_path / "log") as worker:
        worker.wait_until_ready()
        publisher.tell(policy("priced", 1, ceiling=1199), impressions("priced"), order("priced"))
        publisher.put(ORDERS, b"web:priced", b"{", 0)
        wait_for(lambda: records_of(ours, PRICE_CHANGES, "priced"), 30, "a price change", worker)
        for topic in HOT_SOURCES:
            if topic is not TICKS:
                wait_until_read(worker, ours, topic, 30)
        assert verify(ours).clean  # beside the working worker
        worker.kill_if_running()
    return ours


def test_a_real_run_is_clean_and_a_forged_price_change_is_not(settings):
    code, report, _ = run_verify(settings)
    assert (code, report["clean"], report["complete"]) == (0, True, True)
    assert sum(check["checked"] for check in report["checks"]) > 20
    (change,) = (r for r in read_committed(settings, PRICE_CHANGES) if r.key() == b"web:priced")
    forged = orjson.loads(change.value()) | {"version": 2, "price": 1}
    place = Publisher(settings).put(PRICE_CHANGES, change.key(), orjson.dumps(forged), change.partition())
    code, report, said = run_verify(settings)
    assert (code, report["clean"]) == (20, False)
    assert "price_changes" in said
    violated = {check["name"]: check["examples"] for check in report["checks"] if check["violations"]}
    assert violated.keys() >= {"price_changes", "policy_bounds", "versions"}
    assert f"price-changes/{place.partition}/{place.offset}" in violated["price_changes"][0]


def test_a_group_that_somebody_reset_is_named_with_its_cure(settings):
    admin = AdminClient(settings.client_config())
    tp = ck.TopicPartition(ORDERS.full_name(settings.topic_prefix), 0, 0)
    moved = ck.ConsumerGroupTopicPartitions(settings.group, [tp])

    def reset():
        (future,) = admin.alter_consumer_group_offsets([moved]).values()
        return future.exception() is None and future.result().topic_partitions[0].error is None

    wait_for(reset, 30, "the dead worker's membership ends")  # until then the broker refuses
    (check,) = (check for check in verify(settings).checks if check.violations)
    assert check.name == "group_offsets"
    assert "delete the group's offsets" in check.examples[0]
