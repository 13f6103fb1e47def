"""An experiment on a real Kafka: the worker holds out whom the name says, also after a kill, and a report finds it."""

import signal
import subprocess
import sys

import numpy as np
import orjson
import pytest

from pricing_core.experiments.assignment import Experiment
from schemas.events import InventoryCounted, PriceApplied
from schemas.timestamps import format_ms
from schemas.topics import PRICE_DECISIONS, offer_key
from streams.clock import wall_ms
from tests.integration.shop import Publisher, new_settings, now, policy
from tests.integration.worker_process import ROOT, WorkerProcess, environment_of, read_committed, wait_for

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SKUS = [f"sku-{number}" for number in range(30)]
DAY = 86_400_000


@pytest.fixture(scope="module")
def settings(kafka):
    return new_settings(kafka, partitions=2, tick_interval_s=0.2, decision_interval_s=0, max_offers=4096)


@pytest.fixture
def worker(settings, tmp_path):
    worker = WorkerProcess(settings, tmp_path / "worker.log")
    worker.start()
    yield worker
    worker.kill_if_running()


def test_the_arms_of_an_experiment_are_priced_apart_also_after_a_kill(settings, worker):
    publisher, start = Publisher(settings), wall_ms() - DAY
    worker.wait_until_ready()
    answer = run(settings, "begin", "spring", "--why", "a test", "--control-share", "0.4", "--start", format_ms(start))
    assert "2 partitions" in answer
    experiment = Experiment("spring", "offers", start, start + 14 * DAY, 0.4)
    keys = [offer_key("web", sku) for sku in SKUS]
    control = {
        sku for sku, is_control in zip(SKUS, experiment.controls(keys, np.full(30, start)), strict=True) if is_control
    }
    assert 0 < len(control) < 30

    publisher.tell(*(shown(sku, 1399) for sku in SKUS))
    publisher.tell(*(policy(sku, 1, 1999, min_change_bp=0) for sku in SKUS))
    publisher.tell(*(counted(sku, 1) for sku in SKUS))
    wait_for(lambda: held_out(settings) == control, 60, "the control arm to be held out", worker)
    moved = [record for record in decisions(settings) if record["reason"] == "held_out" and record["price"]]
    assert {record["price"] for record in moved if record["outcome"] == "changed"} == {1299}
    assert {record["run_mode_scope"] for record in moved} == {"experiment"}

    worker.end(signal.SIGKILL)
    worker.start()
    worker.wait_until_ready()
    before = known(settings)
    publisher.tell(*(policy(sku, 2, 1999, min_change_bp=0) for sku in SKUS))  # due at once
    wait_for(lambda: skus_of(decided_since(settings, before)) == set(SKUS), 60, "a decision about every offer", worker)
    later = decided_since(settings, before)
    assert {record["sku"] for record in later if record["run_mode"] == "HELD_OUT"} == control
    assert {record["sku"] for record in later if record["run_mode"] == "ACTIVE"} == set(SKUS) - control

    found = orjson.loads(run(settings, "report", "spring", "--json"))
    assert (found["offers"], found["controls"], found["suspicious"]) == (30, len(control), False)
    assert found["effect"]["difference"] == 0.0  # nothing was sold
    run(settings, "end", "spring", "--why", "enough")
    (listed,) = orjson.loads(run(settings, "list", "--json"))
    assert (listed["experiment"], listed["why"]) == ("spring", "enough")
    after = known(settings)
    publisher.tell(*(policy(sku, 3, 1999, min_change_bp=0) for sku in SKUS))  # due at once
    wait_for(lambda: skus_of(decided_since(settings, after)) == set(SKUS), 60, "a decision about every offer", worker)
    assert {record["run_mode"] for record in decided_since(settings, after)} == {"ACTIVE"}


def shown(sku, price):
    """The catalog shows another price than the list price."""
    return PriceApplied(
        sku=sku, channel="web", version=0, status="manual", price=price, currency="EUR", applied_at=now()
    )


def counted(sku, number):
    return InventoryCounted(event_id=f"{sku}-{number}", sku=sku, channel="web", on_hand=50 + number, occurred_at=now())


def decisions(settings):
    return [orjson.loads(record.value()) for record in read_committed(settings, PRICE_DECISIONS)]


def held_out(settings):
    return {record["sku"] for record in decisions(settings) if record["run_mode"] == "HELD_OUT"}


def known(settings):
    return {record["decision_id"] for record in decisions(settings)}


def decided_since(settings, known):
    return [record for record in decisions(settings) if record["decision_id"] not in known]


def skus_of(records):
    return {record["sku"] for record in records}


def run(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", "experiments", *arguments]
    environment = {**environment_of(settings), "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return done.stdout.decode()
