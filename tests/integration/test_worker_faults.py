"""What a running worker does when its outputs or its folders fail it: it goes on, or stops by the named error."""

import pytest
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource

from schemas.topics import ORDERS, PRICE_DECISIONS
from streams.errors import CutFailed, TopicMismatch
from streams.settings import PREFIX
from streams.topic_admin import TopicAdmin
from tests.integration.shop import Publisher, new_settings, order
from tests.integration.worker_process import running_worker, wait_until_read

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def settings(kafka):
    return new_settings(kafka, tick_interval_s=0)


def lower_the_limit(admin, name):
    entry = ConfigEntry("max.message.bytes", "200", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(20)


def delete(admin, name):
    admin.delete_topics([name])[name].result(20)


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        (lower_the_limit, CutFailed, "undelivered to {}: Broker: Message size too large (raise the topic's max."),
        (delete, TopicMismatch, "{}: missing; create with `repricer topics apply`"),
    ],
    ids=["record_too_large", "topic_deleted"],
)
def test_an_output_that_the_broker_does_not_take_stops_the_worker_and_is_named(settings, tmp_path, fault, error, says):
    name = PRICE_DECISIONS.full_name(settings.topic_prefix)
    with running_worker(settings, tmp_path / "log") as worker:
        worker.wait_until_ready()
        fault(TopicAdmin(settings).client, name)
        Publisher(settings).tell(order("a"))
        code, said = worker.outcome(150)
    assert code == error.exit_code
    assert says.format(name) in said


def test_a_folder_that_cannot_be_written_costs_the_cache_and_nothing_else(settings, tmp_path):
    (tmp_path / "file").touch()
    cache = {PREFIX + "COMPILATION_CACHE": str(tmp_path / "file" / "folder")}
    with running_worker(settings, tmp_path / "log", **cache) as worker:
        worker.wait_until_ready()
        Publisher(settings).tell(order("a"))
        wait_until_read(worker, settings, ORDERS, 30)
