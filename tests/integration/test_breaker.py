"""The breaker on a real Kafka: what is published of a move of all offers, what is said, and what a kill forgets."""

import signal
import subprocess
import sys

import orjson
import pytest
from msgspec.structs import replace

from schemas.examples import RIVAL
from schemas.topics import ALARMS, CHANGELOG, PRICE_APPLIED, PRICE_CHANGES, PRICE_DECISIONS
from streams.changelog import SHARD_KEY
from tests.integration.recomputation import check_log
from tests.integration.shop import Publisher, new_settings, now, policy
from tests.integration.worker_process import (
    ROOT,
    environment_of,
    read_committed,
    running_program,
    running_worker,
    wait_for,
)

pytestmark = pytest.mark.kafka

SKUS = [f"sku-{i}" for i in range(60)]
FREE = {"competitor_rule": "match", "min_change_bp": 0, "max_step_bp": 10_000, "max_daily_change_bp": 10_000}
ALLOWED = 4
"""Changes of a shard within five minutes: its offers are too few for the share to say anything."""


def values(settings, topic):
    """By partition and offset: between partitions, two readings differ in their order."""
    records = sorted(read_committed(settings, topic), key=lambda record: (record.partition(), record.offset()))
    return [orjson.loads(record.value()) for record in records]


def run(settings, *arguments):
    command = [sys.executable, "-m", "streams.cli", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment_of(settings), capture_output=True, timeout=60, check=True)
    return done.stdout.decode()


def market(price):
    """A competitor asks this for everything, all of a sudden."""
    return [
        replace(RIVAL, sku=sku, price=price, shipping=0, in_stock=True, event_id=f"{sku}-{price}", observed_at=now())
        for sku in SKUS
    ]


def test_a_move_of_all_offers_is_stopped_and_said_once_and_stays_so_until_a_person_resumes(kafka, tmp_path):
    settings = new_settings(
        kafka, decision_interval_s=1, tick_interval_s=1, breaker_least=ALLOWED, breaker_changed_bp=1000
    )
    publisher = Publisher(settings)
    catalog = running_program(settings, tmp_path / "catalog-log", "catalog", "--database", tmp_path / "catalog.sqlite")
    with running_worker(settings, tmp_path / "log") as worker, catalog:
        worker.wait_until_ready()
        publisher.tell(*[policy(sku, 1, ceiling=1999, **FREE) for sku in SKUS], *market(1250))
        wait_for(lambda: len(values(settings, PRICE_APPLIED)) == len(SKUS), 60, "the first change of each", worker)
        assert values(settings, ALARMS) == []

        publisher.tell(*market(1000))
        wait_for(lambda: len(values(settings, ALARMS)) >= settings.partitions, 60, "an alarm of each shard", worker)
        found = values(settings, ALARMS)
        assert {(a["severity"], a["scope"]) for a in found} == {("critical", f"shard/{p}") for p in range(4)}
        assert {a["code"] for a in found} <= {"breaker_many_changes", "breaker_fleet"}
        changes = values(settings, PRICE_CHANGES)
        assert len(SKUS) < len(changes) <= len(SKUS) + settings.partitions * ALLOWED
        held = [d for d in values(settings, PRICE_DECISIONS) if d["reason"] == "breaker"]
        assert len(held) > 0
        assert all(d["price"] == d["previous_price"] == 1250 for d in held)

        worker.end(signal.SIGKILL)
        worker.start()
        worker.wait_until_ready()
        publisher.tell(*market(950))
        wait_for(
            lambda: sum(d["reason"] == "halted" for d in values(settings, PRICE_DECISIONS)) >= 40,
            60,
            "decisions after the kill",
            worker,
        )
        assert values(settings, PRICE_CHANGES) == changes
        assert values(settings, ALARMS) == found
        standing = [orjson.loads(line)["stopped"] for line in run(settings, "breaker", "--json").splitlines()]
        assert [stopped["code"] for stopped in standing] == ["many_changes"] * settings.partitions
        assert "shard/3" in run(settings, "alarms", "--since", "1h", "--severity", "critical")

        assert worker.end(signal.SIGTERM) == 0
        for partition in range(settings.partitions):  # of records that cannot be read, summaries say who stood
            publisher.put(CHANGELOG, SHARD_KEY, b'{"format":99}', partition)
        run(settings, "state", "rebuild")
        worker.start()
        worker.wait_until_ready()
        halted = len(values(settings, PRICE_DECISIONS))
        publisher.tell(*market(955))
        wait_for(lambda: len(values(settings, PRICE_DECISIONS)) >= halted + 40, 60, "decisions after a rebuild", worker)
        assert values(settings, PRICE_CHANGES) == changes

        run(settings, "control", "resume", "--why", "the market is like that")
        publisher.tell(*market(960))
        wait_for(lambda: len(values(settings, PRICE_CHANGES)) > len(changes), 60, "changes after the resume", worker)
        assert worker.end(signal.SIGTERM) == 0
    check_log(settings)
