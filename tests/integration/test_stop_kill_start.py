"""The main promise, end to end on a real Kafka: stopped, killed and started again, nothing is lost and nothing twice.

A market of 200,000 events, the worker and the catalog, each a process. In the end the log is checked by
`repricer verify`, which recomputes it by another way than the worker's.
"""

import contextlib
import signal

import pytest

from schemas.topics import CLICKS, COMPETITOR_PRICES, HOT_SOURCES, INVENTORY, ORDERS, PRICE_CHANGES
from streams.log_reader import Offsets
from streams.transport.partition import Partition
from tests.integration.recomputation import answered, check_catalog, check_log
from tests.integration.shop import new_settings
from tests.integration.worker_process import (
    WorkerProcess,
    consumer_lag,
    running_program,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

EVENTS = 200_000
SKUS = 400
SPEEDUP = 43_200


@pytest.fixture
def settings(kafka):
    # Simulated time is fast; nothing is to be sent again here.
    return new_settings(kafka, tick_interval_s=0, acknowledgement_timeout_s=2_592_000)


def published(settings):
    return sum(end for topic in (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY) for end in [len_of(settings, topic)])


def len_of(settings, topic):
    tps = [Partition(topic.full_name(settings.topic_prefix), p) for p in range(settings.partitions)]
    return sum(Offsets(settings.consumer_config()).end(tps, committed=True).values())


def test_totals_and_versions_survive_sigterm_and_sigkill_under_load(settings, tmp_path):
    database, worker = tmp_path / "catalog.sqlite", WorkerProcess(settings, tmp_path / "worker.log")
    market = ("simulate", "--events", EVENTS, "--rate", 5000, "--skus", SKUS, "--seed", 3, "--speedup", SPEEDUP)
    with (
        running_program(settings, tmp_path / "catalog.log", "catalog", "--database", database) as catalog,
        running_program(settings, tmp_path / "market.log", *market) as running_market,
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(worker.kill_if_running)
        worker.start()
        wait_for(lambda: len_of(settings, PRICE_CHANGES) > 50, 300, "price changes")
        wait_for(lambda: published(settings) > EVENTS // 3, 300, "a third of the events")
        assert worker.end(signal.SIGTERM) == 0
        worker.start()
        wait_for(lambda: published(settings) > 2 * EVENTS // 3, 300, "two thirds of the events")
        worker.require_running()
        worker.end(signal.SIGKILL)
        worker.start()
        assert running_market.wait(300) == 0
        for topic in HOT_SOURCES:
            wait_until_read(worker, settings, topic, deadline_s=120)
        wait_for(lambda: answered(settings, database), 60, "every price change is answered and the answer applied")
        for topic in HOT_SOURCES:
            wait_until_read(worker, settings, topic, deadline_s=60)
        assert worker.end(signal.SIGTERM) == 0
        catalog.send_signal(signal.SIGTERM)
        assert catalog.wait(30) == 0

    assert sum(consumer_lag(settings, topic) for topic in HOT_SOURCES) == 0
    check_log(settings)
    assert check_catalog(settings, database) > 100
