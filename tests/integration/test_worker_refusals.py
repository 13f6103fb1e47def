"""A worker that cannot work, or must not go on, says in one message what is wrong and how to fix it, and ends."""

import re
import socket
import uuid

import pytest
from confluent_kafka.admin import NewTopic

from schemas.codec import encode
from schemas.topics import ORDERS, offer_key
from streams.errors import BrokerUnreachable, OffsetGap, TopicMismatch
from streams.settings import PREFIX, Settings
from streams.topic_admin import TopicAdmin
from tests.integration.recomputation import totals_in_the_state
from tests.integration.shop import Publisher, new_settings, order
from tests.integration.worker_process import WorkerProcess, running_worker, wait_until_read

pytestmark = pytest.mark.kafka

WITHIN_S = 30
OUR_LINES = re.compile(r"^repricer: .*(?:\n  .*)*", re.MULTILINE)


def refusal(settings, tmp_path):
    """Exit code and message of a worker that is to end by itself; nothing else may be said."""
    worker = WorkerProcess(settings, tmp_path.with_suffix(".log"))
    worker.start()
    try:
        code, said = worker.outcome(WITHIN_S)
    finally:
        worker.kill_if_running()
    (message,) = OUR_LINES.findall(said)
    assert said.strip() == message.strip()
    return code, message


def test_missing_topics_are_named_with_the_command_that_creates_them(kafka, tmp_path):
    name = f"w{uuid.uuid4().hex[:8]}"
    code, message = refusal(Settings(bootstrap_servers=kafka, topic_prefix=name, group=name), tmp_path)
    assert code == TopicMismatch.exit_code
    assert f"{name}.orders" in message
    assert f"{name}.changelog" in message
    assert "create with `repricer topics apply`" in message


def test_a_wrong_number_of_partitions_is_named_with_both_numbers(kafka, tmp_path):
    name = f"w{uuid.uuid4().hex[:8]}"
    settings = Settings(bootstrap_servers=kafka, topic_prefix=name, group=name, partitions=4)
    admin = TopicAdmin(settings)
    admin.client.create_topics([NewTopic(f"{name}.orders", 3, 1)])[f"{name}.orders"].result(20)
    admin.apply()
    code, message = refusal(settings, tmp_path)
    assert code == TopicMismatch.exit_code
    assert f"{name}.orders: partitions is 3, must be 4" in message
    assert "clicks" not in message


def test_a_broker_that_refuses_or_is_silent_is_named_with_what_to_do(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        code, message = refusal(Settings(bootstrap_servers=address), tmp_path / "refusing")  # bound, not listening
        assert (code, address in message) == (BrokerUnreachable.exit_code, True)
        assert "set REPRICER_BOOTSTRAP_SERVERS" in message
        silent.listen(64)
        code, message = refusal(Settings(bootstrap_servers=address), tmp_path / "silent")
        assert (code, address in message) == (BrokerUnreachable.exit_code, True)


def test_a_hole_in_a_source_stops_the_worker_until_the_source_is_said_to_be_transactional(kafka, tmp_path):
    settings = new_settings(kafka, tick_interval_s=0)
    producer = Publisher(settings, **{"transactional.id": settings.topic_prefix}).producer
    producer.init_transactions(30)
    publish_in_transactions(producer, settings)
    with running_worker(settings, tmp_path / "stopped") as worker:
        code, said = worker.outcome(90)
    assert code == OffsetGap.exit_code
    assert "offsets are missing" in said
    assert "add 'orders' to REPRICER_TRANSACTIONAL_SOURCES" in said

    told = {PREFIX + "TRANSACTIONAL_SOURCES": "orders"}
    with running_worker(settings, tmp_path / "going", **told) as worker:
        wait_until_read(worker, settings, ORDERS, 90)
        publish_in_transactions(producer, settings)
        wait_until_read(worker, settings, ORDERS, 30)
    assert totals_in_the_state(settings)[b"web:a"]["units_placed"] == 6


def publish_in_transactions(producer, settings):
    """Two orders, one that is taken back, and another one."""
    for orders, end in ((2, "commit"), (1, "abort"), (1, "commit")):
        producer.begin_transaction()
        for _ in range(orders):
            producer.produce(ORDERS.full_name(settings.topic_prefix), encode(order("a")), offer_key("web", "a"))
        producer.flush(10)
        getattr(producer, f"{end}_transaction")(10)
