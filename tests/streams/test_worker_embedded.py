"""The whole worker without Java, on the broker of the confluent-kafka wheel. What it keeps, a real Kafka must show."""

import signal

import pytest

from schemas.topics import PRICE_CHANGES, PRICE_DECISIONS
from streams.embedded_broker import PARTITIONS, EmbeddedBroker
from streams.settings import Settings
from tests.integration.shop import Publisher, impressions, order, policy, records_of
from tests.integration.worker_process import running_worker, wait_for


@pytest.fixture
def settings():
    with EmbeddedBroker("shop") as broker:
        servers = broker.bootstrap_servers
        yield Settings(bootstrap_servers=servers, topic_prefix="shop", group="shop", partitions=PARTITIONS)


def test_policies_and_orders_go_in_decisions_come_out_and_sigterm_ends_it(settings, tmp_path):
    publisher = Publisher(settings)
    publisher.tell(policy("priced", 1, ceiling=1199), impressions("priced"), order("priced"), order("bare"))
    with running_worker(settings, tmp_path / "log") as worker:
        wait_for(lambda: records_of(settings, PRICE_DECISIONS, "bare"), 120, "a decision", worker)
        wait_for(lambda: records_of(settings, PRICE_CHANGES, "priced"), 30, "a price change", worker)
        assert worker.wait_until_ready() == [200]
        assert worker.end(signal.SIGTERM) == 0
    (change,) = records_of(settings, PRICE_CHANGES, "priced")
    assert (change["version"], change["price"], change["previous_price"]) == (1, 1199, 1299)
    assert {d["reason"] for d in records_of(settings, PRICE_DECISIONS, "bare")} == {"no_policy"}
