"""A state that no worker can read is made again from the sources; versions and decision numbers go on."""

import signal
import subprocess
import sys

import confluent_kafka as ck
import orjson
import pytest

from schemas.topics import CHANGELOG, CLICKS, HOT_SOURCES, ORDERS, PRICE_CHANGES
from streams.changelog import SHARD_KEY
from streams.errors import ShardLost, TopicRecreated, WorkersRunning
from streams.topic_admin import TopicAdmin
from streams.verify import verify
from tests.integration.cuts import recreate
from tests.integration.recomputation import answered, check_catalog, check_log, latest, totals_in_the_state
from tests.integration.shop import Publisher, impressions, new_settings, order, skus_of_every_partition
from tests.integration.worker_process import (
    ROOT,
    environment_of,
    read_committed,
    running_program,
    running_worker,
    wait_for,
    wait_until_read,
)

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(400)]


@pytest.fixture
def settings(kafka):
    return new_settings(kafka, tick_interval_s=0, acknowledgement_timeout_s=2_592_000)


def rebuild(settings):
    command = [sys.executable, "-m", "streams.cli", "state", "rebuild"]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(settings), check=False, capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def trade(settings, tmp_path, seed):
    """A market for some seconds; the worker and the catalog work it off."""
    database, log = tmp_path / "catalog.sqlite", tmp_path / f"worker-{seed}.log"
    market = ("simulate", "--events", 6000, "--rate", 3000, "--skus", 60, "--seed", seed, "--speedup", 43_200)
    with (
        running_program(settings, tmp_path / "catalog.log", "catalog", "--database", database),
        running_worker(settings, log) as worker,
    ):
        with running_program(settings, tmp_path / "market.log", *market) as running_market:
            assert running_market.wait(120) == 0
        for wait in (lambda: None, lambda: wait_for(lambda: answered(settings, database), 60, "answers", worker)):
            wait()
            for topic in HOT_SOURCES:
                wait_until_read(worker, settings, topic, 60)
        assert worker.end(signal.SIGTERM) == 0


def changelog(settings):
    return {
        (record.partition(), key): value
        for partition in range(settings.partitions)
        for record in read_committed(settings, CHANGELOG)
        if record.partition() == partition
        for key, value in latest([(record.key(), record.value())]).items()
    }


def damage(settings):
    """Another format in one shard's record, and a third of the rows of all shards."""
    publisher, found = Publisher(settings), changelog(settings)
    rows = [place for place in found if place[1] != SHARD_KEY]
    for partition, key in rows[::3]:
        publisher.put(CHANGELOG, key, b"poison", partition)
    record = orjson.loads(found[0, SHARD_KEY])
    publisher.put(CHANGELOG, SHARD_KEY, orjson.dumps(record | {"format": 99}), 0)
    return len(rows[::3])


def refusal(settings, log):
    with running_worker(settings, log) as worker:
        return worker.outcome(60)


def test_a_damaged_state_is_refused_rebuilt_and_goes_on_with_exact_totals_and_versions(settings, tmp_path):
    trade(settings, tmp_path, seed=1)
    before, changes = totals_in_the_state(settings), len(read_committed(settings, PRICE_CHANGES))
    assert changes > 20
    lost = damage(settings)
    code, said = refusal(settings, tmp_path / "refusing.log")
    assert code == ShardLost.exit_code
    assert "`repricer state rebuild`" in said

    code, out, err = rebuild(settings)
    assert (code, err) == (0, "")
    assert sum(int(line.split(", ")[1].split()[0]) for line in out.splitlines()) == lost
    assert totals_in_the_state(settings) == before
    check_log(settings)
    assert len(read_committed(settings, PRICE_CHANGES)) == changes

    trade(settings, tmp_path, seed=2)
    check_log(settings)
    assert check_catalog(settings, tmp_path / "catalog.sqlite") > changes


def test_nothing_is_rebuilt_while_a_worker_runs_or_when_a_source_has_lost_records(settings, tmp_path):
    with running_worker(settings, tmp_path / "log") as worker:
        Publisher(settings).tell(*[order(sku) for sku in skus_of_every_partition(settings, "x") * 2])
        wait_until_read(worker, settings, ORDERS, 60)
        code, _, err = rebuild(settings)
        assert (code, "stop every worker" in err) == (WorkersRunning.exit_code, True)
        assert worker.end(signal.SIGTERM) == 0
    before = changelog(settings)
    name = ORDERS.full_name(settings.topic_prefix)
    for future in TopicAdmin(settings).client.delete_records([ck.TopicPartition(name, 2, 1)]).values():
        future.result(10)
    code, _, err = rebuild(settings)
    assert code == ShardLost.exit_code
    assert f"{name}[2]: records 0 to 0" in err
    assert CLICKS.name not in err
    assert changelog(settings) == before


def test_after_a_source_was_created_anew_the_state_is_rebuilt_from_what_the_topics_say_now(settings, tmp_path):
    skus, publisher = skus_of_every_partition(settings, "x"), Publisher(settings)
    for round_, skus_now in enumerate((skus * 2, skus[:3])):
        publisher.tell(*map(order, skus_now), *map(impressions, skus))
        with running_worker(settings, tmp_path / f"{round_}.log") as worker:
            if round_:
                code, said = worker.outcome(60)
                assert code == TopicRecreated.exit_code
                assert "orders: deleted and created anew" in said
            else:
                for topic in (ORDERS, CLICKS):
                    wait_until_read(worker, settings, topic, 60)
                assert worker.end(signal.SIGTERM) == 0
                recreate(settings, ORDERS)
    assert rebuild(settings)[0] == 0
    with running_worker(settings, tmp_path / "again.log") as worker:
        for topic in (ORDERS, CLICKS):
            wait_until_read(worker, settings, topic, 60)
        assert worker.end(signal.SIGTERM) == 0
    assert set(verify(settings).violated) <= {"decision_order"}  # older decisions name offsets of the old topic
    assert sorted(row["units_placed"] for row in totals_in_the_state(settings).values()) == [0, 1, 1, 1]
