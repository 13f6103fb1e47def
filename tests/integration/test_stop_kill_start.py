"""The main promise, end to end on a real Kafka: stopped, killed and started again, nothing is lost and nothing twice.

A market of 200,000 events, the worker and the catalog, each a process. The totals are computed again here from the
raw topics with plain dictionaries, by another way than the worker's.
"""

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections import defaultdict

import numpy as np
import orjson
import pytest

from schemas.topics import (
    CHANGELOG,
    CLICKS,
    COMPETITOR_PRICES,
    DEAD_LETTERS,
    HOT_SOURCES,
    INVENTORY,
    ORDERS,
    PRICE_APPLIED,
    PRICE_CHANGES,
    PRICE_DECISIONS,
)
from streams.changelog import SHARD_KEY, latest
from streams.settings import PREFIX, Settings
from streams.topic_admin import TopicAdmin
from tests.integration.worker_process import ROOT, WorkerProcess, consumer_lag, read_committed, wait_until_read

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]

EVENTS = 200_000
SKUS = 400
SPEEDUP = 43_200
TOTALS = ("units_placed", "amount_placed", "units_cancelled", "units_returned", "impressions", "clicks")


@pytest.fixture
def settings(kafka):
    name = f"sks{uuid.uuid4().hex[:8]}"
    ours = Settings(
        bootstrap_servers=kafka,
        topic_prefix=name,
        group=name,
        instance="a",
        partitions=4,
        tick_interval_s=0,
        acknowledgement_timeout_s=2_592_000,  # simulated time is fast; nothing is to be sent again here
        session_timeout_s=6,
        heartbeat_interval_s=1,
    )
    TopicAdmin(ours).apply()
    return ours


@contextlib.contextmanager
def process(settings, log, *arguments):
    given = settings.model_dump(exclude_defaults=True, mode="json")
    environment = {**os.environ, **{PREFIX + name.upper(): str(value) for name, value in given.items()}}
    with log.open("wb") as out:
        command = [sys.executable, "-m", "streams.cli", *map(str, arguments)]
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(30)


def published(settings):
    return sum(end for topic in (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY) for end in [len_of(settings, topic)])


def len_of(settings, topic):
    from streams.log_reader import end_offsets
    from streams.transport.data_plane import Partition

    tps = [Partition(topic.full_name(settings.topic_prefix), p) for p in range(settings.partitions)]
    return sum(end_offsets(settings.consumer_config(), tps, committed=True).values())


def wait_for(condition, deadline_s, what):
    deadline = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        time.sleep(0.2)


def test_totals_and_versions_survive_sigterm_and_sigkill_under_load(settings, tmp_path):
    database, worker = tmp_path / "catalog.sqlite", WorkerProcess(settings, tmp_path / "worker.log")
    market = ("simulate", "--events", EVENTS, "--rate", 5000, "--skus", SKUS, "--seed", 3, "--speedup", SPEEDUP)
    with (
        process(settings, tmp_path / "catalog.log", "catalog", "--database", database) as catalog,
        process(settings, tmp_path / "market.log", *market) as running_market,
        contextlib.ExitStack() as at_end,
    ):
        at_end.callback(worker.kill_if_running)
        worker.start()
        wait_for(lambda: len_of(settings, PRICE_CHANGES) > 50, 90, "price changes")
        wait_for(lambda: published(settings) > EVENTS // 3, 120, "a third of the events")
        assert worker.end(signal.SIGTERM) == 0
        worker.start()
        wait_for(lambda: published(settings) > 2 * EVENTS // 3, 120, "two thirds of the events")
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
    assert totals_in_the_state(settings) == totals_in_the_topics(settings)
    check_outputs(settings, database)


def answered(settings, database):
    with contextlib.closing(sqlite3.connect(database)) as connection:
        (verdicts,) = connection.execute("SELECT count(*) FROM verdicts").fetchone()
        (outbox,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
    versions = {(r.key(), orjson.loads(r.value())["version"]) for r in read_committed(settings, PRICE_CHANGES)}
    return verdicts == len(versions) and outbox == 0


def totals_in_the_state(settings):
    from pricing_core.state import ROW
    from pricing_core.state import TOTALS as COLUMNS

    rows = latest((r.key(), r.value()) for r in read_committed(settings, CHANGELOG) if r.key() != SHARD_KEY)
    totals = np.frombuffer(b"".join(rows.values()), ROW)["totals"]
    wanted = totals[:, [COLUMNS.index(name) for name in TOTALS]].tolist()
    return {key: dict(zip(TOTALS, values, strict=True)) for key, values in zip(rows, wanted, strict=True)}


def totals_in_the_topics(settings):
    refused = {(letter["topic"], letter["partition"], letter["offset"]) for letter in dead_letters(settings)}
    totals = defaultdict(lambda: dict.fromkeys(TOTALS, 0))
    for topic in HOT_SOURCES:
        seen = {}
        for r in sorted(read_committed(settings, topic), key=lambda r: (r.partition(), r.offset())):
            if (r.topic(), r.partition(), r.offset()) in refused or r.key() is None:
                continue
            event = orjson.loads(r.value())
            last = seen.get((r.partition(), event.get("event_id")))
            if "event_id" in event:
                seen[r.partition(), event["event_id"]] = r.offset()
            if last is not None and r.offset() - last <= settings.duplicate_window:
                continue
            add(totals[r.key()], topic, event)
    return dict(totals)


def add(totals, topic, event):
    if topic is ORDERS:
        totals[f"units_{event['type']}"] += event["quantity"]
        totals["amount_placed"] += event["line_total"] if event["type"] == "placed" else 0
    elif topic is CLICKS and event["kind"] != "add_to_cart":
        totals[{"impression": "impressions", "click": "clicks"}[event["kind"]]] += event.get("count", 1)


def dead_letters(settings):
    return [orjson.loads(r.value()) for r in read_committed(settings, DEAD_LETTERS)]


def check_outputs(settings, database):
    """Every decision and version exactly once, versions without a hole, and the catalog has judged each once."""
    decisions = [orjson.loads(r.value()) for r in read_committed(settings, PRICE_DECISIONS)]
    assert len({d["decision_id"] for d in decisions}) == len(decisions)
    changed = {d["decision_id"]: (d["price"], d["version"]) for d in decisions if d["outcome"] == "changed"}
    versions = defaultdict(list)
    for r in read_committed(settings, PRICE_CHANGES):
        change = orjson.loads(r.value())
        assert changed[change["decision_id"]] == (change["price"], change["version"])
        versions[r.key()].append(change["version"])
    assert sum(map(len, versions.values())) == len(changed) > 100
    assert all(found == list(range(1, len(found) + 1)) for found in versions.values())
    with contextlib.closing(sqlite3.connect(database)) as connection:
        verdicts = connection.execute("SELECT offer, version, out_of_bounds FROM verdicts").fetchall()
    judged = {(offer.encode(), version) for offer, version, _ in verdicts}
    assert judged == {(key, version) for key, found in versions.items() for version in found}
    assert sum(out for _, _, out in verdicts) == 0
    answers = {(r.key(), orjson.loads(r.value())["version"]) for r in read_committed(settings, PRICE_APPLIED)}
    assert judged <= answers
