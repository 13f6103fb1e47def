"""The ground that a worker stands on gives way: it ends with the error's name, or goes on, and loses nothing."""

import signal
import subprocess
import sys

import numpy as np
import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions

from pricing_core.state import ROW
from schemas.topics import CHANGELOG, ORDERS, PRICE_CHANGES, PRICE_DECISIONS
from streams.changelog import FORMAT, SHARD_KEY
from streams.errors import ShardLost, TopicMismatch
from streams.partitioner import partition_of
from streams.topic_admin import TopicAdmin
from streams.verify import verify
from tests.integration.recomputation import dead_letters, totals_in_the_state
from tests.integration.shop import Publisher, new_settings, order, policy
from tests.integration.worker_process import (
    ROOT,
    consumer_lag,
    environment_of,
    read_committed,
    running_worker,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

WITHIN_S = 90


@pytest.fixture
def settings(kafka):
    return new_settings(kafka, tick_interval_s=0)


@pytest.fixture
def publisher(settings):
    return Publisher(settings)


def admin(settings):
    return TopicAdmin(settings).client


def settle(futures):
    for future in futures.values():
        future.result(20)


def bad_row(**given):
    row = np.zeros(1, ROW)
    for name, value in given.items():
        row[name] = value
    return row.tobytes()


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ((b"web:a", b"junk"), "another format, or damaged"),
        ((b"web:a", bad_row(format=FORMAT + 98)), "format"),
        ((SHARD_KEY, b'{"format":1'), "shard record of partition 0 is damaged"),
    ],
    ids=["short", "of-another-format", "shard-record"],
)
def test_a_poisoned_row_in_the_changelog_stops_whoever_takes_the_shard_over(settings, publisher, tmp_path, row, what):
    publisher.put(CHANGELOG, *row, 0)
    with running_worker(settings, tmp_path / "log") as worker:
        code, said = worker.outcome(WITHIN_S)
    assert code == ShardLost.exit_code
    assert what in said


def test_a_source_that_gets_more_partitions_stops_the_worker_and_keeps_it_from_starting_again(
    settings, publisher, tmp_path
):
    publisher.tell(order("a"))
    with running_worker(settings, tmp_path / "running") as worker:
        wait_until_read(worker, settings, ORDERS, WITHIN_S)
        name = ORDERS.full_name(settings.topic_prefix)
        settle(admin(settings).create_partitions([NewPartitions(name, settings.partitions + 1)]))
        code, said = worker.outcome(WITHIN_S)
    assert code == TopicMismatch.exit_code
    assert name in said
    with running_worker(settings, tmp_path / "again") as worker:
        code, said = worker.outcome(WITHIN_S)
    assert code == TopicMismatch.exit_code
    assert f"{name}: partitions is 5, must be 4" in said


def test_an_output_topic_that_is_deleted_stops_the_worker_and_keeps_it_from_starting_again(kafka, tmp_path):
    settings = new_settings(kafka, tick_interval_s=0, transaction_timeout_s=2)  # it tries five times
    publisher = Publisher(settings)
    name = PRICE_DECISIONS.full_name(settings.topic_prefix)
    with running_worker(settings, tmp_path / "running") as worker:
        worker.wait_until_ready()
        settle(admin(settings).delete_topics([name]))
        publisher.tell(policy("a", 1, ceiling=1199), order("a"))
        code, said = worker.outcome(WITHIN_S)
    assert code == TopicMismatch.exit_code
    assert f"{name}: missing; create with `repricer topics apply`" in said
    with running_worker(settings, tmp_path / "again") as worker:
        assert worker.outcome(WITHIN_S)[0] == TopicMismatch.exit_code
    TopicAdmin(settings).apply()
    with running_worker(settings, tmp_path / "repaired") as worker:
        wait_until_read(worker, settings, ORDERS, WITHIN_S)
    assert totals_in_the_state(settings)[b"web:a"]["units_placed"] == 1
    assert verify(settings).clean


def test_an_output_that_the_broker_finds_too_large_stops_the_worker_before_anything_of_its_cut_is_visible(
    settings, publisher, tmp_path
):
    with running_worker(settings, tmp_path / "running") as worker:
        worker.wait_until_ready()
        limit_messages(settings, PRICE_DECISIONS, "100")
        publisher.tell(policy("a", 1, ceiling=1199), order("a"))
        code, said = worker.outcome(WITHIN_S)
    name = PRICE_DECISIONS.full_name(settings.topic_prefix)
    assert f"undelivered to {name}: Broker: Message size too large" in said
    assert code == TopicMismatch.exit_code
    assert f"{name}: message size is 100 bytes, must be at least" in said
    assert read_committed(settings, PRICE_CHANGES) == []
    assert verify(settings).clean
    limit_messages(settings, PRICE_DECISIONS, "1048588")
    with running_worker(settings, tmp_path / "repaired") as worker:
        wait_until_read(worker, settings, ORDERS, WITHIN_S)
        wait_for(lambda: read_committed(settings, PRICE_CHANGES), 30, "the price change", worker)
    assert verify(settings).clean


def limit_messages(settings, topic, limit):
    entry = ConfigEntry("max.message.bytes", limit, incremental_operation=AlterConfigOpType.SET)
    name = topic.full_name(settings.topic_prefix)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
    settle(admin(settings).incremental_alter_configs([resource]))


def test_a_worker_that_can_write_no_file_works_all_the_same(settings, publisher, tmp_path):
    """State is in Kafka; local files are caches. What the worker says goes into a pipe."""
    publisher.tell(*[order("a") for _ in range(100)])
    no_files = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)); from streams import cli"
    worker = subprocess.Popen(
        [sys.executable, "-c", f"{no_files}; sys.argv[1:] = ['worker']; cli.main()"],
        cwd=ROOT,
        env=environment_of(settings.model_copy(update={"http_port": 0, "compilation_cache": tmp_path / "cache"})),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        wait_for(lambda: worker.poll() is not None or consumer_lag(settings, ORDERS) == 0, WITHIN_S, "orders are read")
    finally:
        worker.send_signal(signal.SIGTERM)
        said, _ = worker.communicate(timeout=60)
    assert worker.returncode == 0, said
    assert totals_in_the_state(settings)[b"web:a"]["units_placed"] == 100
    assert verify(settings).clean


def test_records_of_an_upstream_with_the_wrong_partitioner_are_applied_or_refused_by_name(settings, tmp_path):
    skus = [f"p-{number}" for number in range(50)]
    strange = Publisher(settings, partitioner="consistent_random")  # librdkafka's default
    strange.tell(*[order(sku) for sku in skus for _ in range(4)])
    with running_worker(settings, tmp_path / "log") as worker:
        wait_until_read(worker, settings, ORDERS, WITHIN_S)
    records = read_committed(settings, ORDERS)
    at_home = {r.key() for r in records if r.partition() == partition_of(r.key(), settings.partitions)}
    totals = totals_in_the_state(settings)
    assert {key: sums["units_placed"] for key, sums in totals.items()} == dict.fromkeys(at_home, 4)
    letters = dead_letters(settings)
    assert {letter["reason"] for letter in letters} == {"wrong_partition"}
    refused = {(letter["partition"], letter["offset"]) for letter in letters}
    assert refused == {(r.partition(), r.offset()) for r in records if r.key() not in at_home}
    assert 0 < len(at_home) < len(skus)
    assert verify(settings).clean
