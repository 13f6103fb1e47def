"""The real Kafka: one for the whole run, `KAFKA_BOOTSTRAP_SERVERS` if that is set, else the jars from Maven."""

from __future__ import annotations

import contextlib
import os

import pytest

from tests.integration.kafka_server import KafkaServer, KafkaUnavailable
from tests.integration.shop import Publisher
from tests.integration.worker_process import running_program, running_worker


@pytest.fixture(scope="session")
def kafka(tmp_path_factory):
    """Bootstrap servers of a real Kafka. Skips where none can be had; in CI that is a failure."""
    given = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if given:
        yield given
        return
    with started(KafkaServer(tmp_path_factory.mktemp("kafka"))) as server:
        yield server.bootstrap_servers


def skip(reason):
    """Skip a test for want of a real Kafka; in CI, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"CI must not skip the real Kafka: {reason}")
    pytest.skip(f"no real Kafka: {reason}")


@contextlib.contextmanager
def started(server):
    """Run a server, a test's own too; skip where that is impossible, or fail in CI."""
    try:
        server.start()
    except KafkaUnavailable as error:
        skip(str(error))
    try:
        yield server
    finally:
        if server.running:
            server.stop()


@pytest.fixture
def own_kafka(tmp_path):
    """A `KafkaServer` of this test alone, which it may kill and start again."""
    with started(KafkaServer(tmp_path / "kafka")) as server:
        yield server


# A worker and its neighbours for the tests of a module, by the module's own ``settings``


@pytest.fixture(scope="module")
def publisher(settings):
    return Publisher(settings)


@pytest.fixture(scope="module")
def worker(settings, tmp_path_factory):
    with running_worker(settings, tmp_path_factory.mktemp("worker") / "log") as started:
        started.wait_until_ready()
        yield started


@pytest.fixture(scope="module")
def catalog(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("catalog")
    with running_program(settings, folder / "log", "catalog", "--database", folder / "catalog.sqlite") as started:
        yield
        assert started.poll() is None
