"""Shards that stay with their worker over a rebalance stay in memory, if the log shows that nobody moved them."""

import contextlib
import itertools
import re
import signal
import threading
import time

import pytest

from schemas.topics import ORDERS
from tests.integration.recomputation import check_log, totals_in_the_state
from tests.integration.shop import Publisher, new_settings, order, skus_of_every_partition
from tests.integration.worker_process import running_worker, wait_for, wait_until_read

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]


@pytest.fixture
def settings(kafka):
    return new_settings(kafka, tick_interval_s=0)


def metric(worker, name):
    found = re.search(rf"^repricer_{name} (\S+)$", worker.page("/metrics")[1], re.MULTILINE)
    return int(float(found[1])) if found else 0


def shards(worker):
    return {name: metric(worker, f"{name}_shards_total") for name in ("kept", "rebuilt")}


def ready(worker, count):
    return lambda: metric(worker, "ready_shards") == count


@contextlib.contextmanager
def steady_orders(settings):
    """Orders in every partition, for as long as the block lasts."""
    over, publisher, skus = threading.Event(), Publisher(settings), skus_of_every_partition(settings, "steady")

    def publish():
        for sku in itertools.cycle(skus):
            if over.wait(0.005):
                return
            publisher.tell(order(sku))

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_shards_that_stay_are_kept_while_a_second_worker_joins_and_leaves(settings, tmp_path):
    other = settings.model_copy(update={"instance": "b"})
    with running_worker(settings, tmp_path / "first.log") as first:
        with steady_orders(settings):
            wait_for(ready(first, 4), 60, "all shards", first)
            assert shards(first) == {"kept": 0, "rebuilt": 4}
            with running_worker(other, tmp_path / "second.log") as second:
                wait_for(ready(second, 2), 60, "two shards", second)
                wait_for(ready(first, 2), 10, "two shards", first)
                assert shards(first) == {"kept": 2, "rebuilt": 4}
                time.sleep(1)  # both at work
                assert second.end(signal.SIGTERM) == 0
            wait_for(ready(first, 4), 30, "all shards again", first)
            assert shards(first) == {"kept": 4, "rebuilt": 6}
        wait_until_read(first, settings, ORDERS, 30)
        assert first.end(signal.SIGTERM) == 0
    check_log(settings)


def test_a_worker_that_was_frozen_while_others_moved_its_shards_does_not_keep_them(settings, tmp_path):
    skus, publisher = skus_of_every_partition(settings, "frozen"), Publisher(settings)
    other = settings.model_copy(update={"instance": "b"})
    with running_worker(settings, tmp_path / "frozen.log") as frozen:
        with running_worker(other, tmp_path / "other.log") as second:
            wait_for(lambda: ready(frozen, 2)() and ready(second, 2)(), 60, "two shards each", frozen)
            publisher.tell(*map(order, skus))
            wait_until_read(frozen, settings, ORDERS, 30)
            before = shards(frozen)
            frozen.signal(signal.SIGSTOP)
            wait_for(ready(second, 4), 60, "all shards with the other", second)
            publisher.tell(*map(order, skus))
            wait_until_read(second, settings, ORDERS, 30)
            assert second.end(signal.SIGTERM) == 0
        frozen.signal(signal.SIGCONT)
        wait_for(ready(frozen, 4), 60, "all shards back", frozen)
        assert shards(frozen) == {"kept": before["kept"], "rebuilt": before["rebuilt"] + 4}
        publisher.tell(*map(order, skus))
        wait_until_read(frozen, settings, ORDERS, 30)
        assert frozen.end(signal.SIGTERM) == 0
    check_log(settings)
    assert [row["units_placed"] for row in totals_in_the_state(settings).values()] == [3] * 4
