"""Workers come and go while events flow: shards move between them, and nothing is lost or done twice on the way."""

import contextlib
import re
import signal
import sqlite3

import pytest

from schemas.topics import HOT_SOURCES
from tests.integration.recomputation import answered, check_catalog, check_log
from tests.integration.shop import new_settings
from tests.integration.worker_process import consumer_lag, running_program, running_worker, wait_for, wait_until_read

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

EVENTS, RATE = 90_000, 1200
SPEEDUP = 43_200


@pytest.fixture
def settings(kafka):
    return new_settings(kafka, tick_interval_s=0, acknowledgement_timeout_s=2_592_000)


def ready_shards(worker):
    found = re.search(r"^repricer_ready_shards (\S+)$", worker.page("/metrics")[1], re.MULTILINE)
    return int(float(found[1])) if found else 0


def verdicts(database):
    with contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT count(*) FROM verdicts").fetchone()[0]


def test_shards_move_to_a_second_worker_and_back_with_exact_totals_and_every_version_once(settings, tmp_path):
    database = tmp_path / "catalog.sqlite"
    other = settings.model_copy(update={"instance": "b"})
    market = ("simulate", "--events", EVENTS, "--rate", RATE, "--skus", 200, "--seed", 5, "--speedup", SPEEDUP)
    with (
        running_program(settings, tmp_path / "catalog.log", "catalog", "--database", database),
        running_worker(settings, tmp_path / "first.log") as first,
    ):
        first.wait_until_ready()
        with running_program(settings, tmp_path / "market.log", *market) as running_market:
            wait_for(lambda: verdicts(database) > 10, 60, "price changes", first)
            for how in (signal.SIGTERM, signal.SIGKILL):
                with running_worker(other, tmp_path / f"{how.name}.log") as second:
                    wait_for(lambda: ready_shards(second) == ready_shards(first) == 2, 90, "two shards each", second)
                    assert second.page("/readyz")[0] == 200
                    more = verdicts(database) + 1
                    wait_for(lambda n=more: verdicts(database) >= n, 30, "price changes while both work", second)
                    assert running_market.poll() is None, "the market was to last longer than the moves"
                    second.end(how)
                wait_for(lambda: ready_shards(first) == 4, 60, "all shards back", first)
            assert running_market.wait(300) == 0
        for topic in HOT_SOURCES:
            wait_until_read(first, settings, topic, deadline_s=120)
        wait_for(lambda: answered(settings, database), 60, "every price change is answered", first)
        for topic in HOT_SOURCES:
            wait_until_read(first, settings, topic, deadline_s=60)
        assert first.end(signal.SIGTERM) == 0
    assert sum(consumer_lag(settings, topic) for topic in HOT_SOURCES) == 0
    check_log(settings)
    assert check_catalog(settings, database) > 50
