from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from confluent_kafka import Consumer, TopicPartition

from schemas.topics import PRICING_CONTROL, TOPICS
from streams.embedded_broker import PARTITIONS, EmbeddedBroker

COMMAND = Path(sys.executable).with_name("repricer")


def repricer(*arguments, **variables):
    environment = {**os.environ, "REPRICER_PARTITIONS": str(PARTITIONS), **variables}
    return subprocess.run(
        [COMMAND, *arguments], check=False, env=environment, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def broker():
    with EmbeddedBroker(topic_prefix=None) as broker:
        yield broker


def test_help_imports_neither_jax_nor_faust_nor_a_kafka_client():
    code = "import sys, streams.cli; print([m for m in ('jax', 'faust', 'confluent_kafka') if m in sys.modules])"

    answer = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60)

    assert answer.stdout == "[]\n"


def test_topics_are_refused_then_created_then_right(broker):
    address = {"REPRICER_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "REPRICER_TOPIC_PREFIX": "cli"}

    before, create, after = (repricer("topics", verb, **address) for verb in ("check", "apply", "check"))

    assert (before.returncode, create.returncode, after.returncode) == (5, 0, 0)
    assert "Traceback" not in before.stderr
    assert "repricer topics apply" in before.stderr
    assert create.stdout.count("created cli.") == len(TOPICS)


def test_a_mode_reaches_every_partition_of_pricing_control(broker):
    broker.create_topics(topic.full_name("ctl") for topic in TOPICS)
    address = {"REPRICER_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "REPRICER_TOPIC_PREFIX": "ctl"}

    answer = repricer("control", "halt", "--why", "feed is broken", "--by", "ann", **address)

    assert answer.returncode == 0
    consumer = Consumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "test"})
    name = PRICING_CONTROL.full_name("ctl")
    consumer.assign([TopicPartition(name, partition, 0) for partition in range(PARTITIONS)])
    records = [consumer.poll(10) for _ in range(PARTITIONS)]
    consumer.close()
    assert {record.partition() for record in records} == set(range(PARTITIONS))
    assert {record.key() for record in records} == {b"*"}
    assert all(b'"HALTED"' in record.value() for record in records)


def test_what_is_in_force_is_said_by_scope_with_who_and_why(broker):
    broker.create_topics(topic.full_name("shown") for topic in TOPICS)
    address = {"REPRICER_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "REPRICER_TOPIC_PREFIX": "shown"}
    for verb, *scope in (("halt",), ("reduce", "--channel", "web"), ("resume",)):
        assert repricer("control", verb, *scope, "--why", verb, "--by", "ann", **address).returncode == 0

    answer = repricer("control", "show", "--json", **address)

    found = [orjson.loads(line) for line in answer.stdout.splitlines()]
    said = [(one["scope"], one["mode"], one["by"], one["why"], one["partitions"]) for one in found]
    assert said == [
        ("*", "ACTIVE", "ann", "resume", PARTITIONS),
        ("channel:web", "REDUCING", "ann", "reduce", PARTITIONS),
    ]


def test_policies_come_in_and_go_out_as_csv_and_only_known_offers_are_paused(broker, tmp_path):
    broker.create_topics(topic.full_name("bulk") for topic in TOPICS)
    address = {"REPRICER_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "REPRICER_TOPIC_PREFIX": "bulk"}
    given, taken = tmp_path / "in.csv", tmp_path / "out.csv"
    given.write_text("sku,channel,currency,unit_cost,list_price,floor,ceiling\nA,web,EUR,7.00,12.99,9.00,19.99\n")

    tried, done, again, out = (
        repricer("policies", *arguments, **address)
        for arguments in (
            ("import", given, "--dry-run"),
            ("import", given),
            ("import", given),
            ("export", taken),
        )
    )
    pauses = [
        repricer("offers", "pause", offer, "--why", "x", "--by", "ann", **address) for offer in ("web:A", "web:B")
    ]

    assert "1 new policies" in tried.stdout
    assert "1 policies published" in done.stdout
    assert "0 policies published" in again.stdout
    assert out.returncode == 0
    header, line = (line.split(",") for line in taken.read_text().splitlines())
    row = dict(zip(header, line, strict=True))
    assert (row["sku"], row["version"], row["floor"], row["category"]) == ("A", "1", "9.00", "")
    assert [answer.returncode == 0 for answer in pauses] == [True, False]
    paused = repricer("offers", "paused", "--json", **address)
    assert orjson.loads(paused.stdout)["offer"] == "web:A"
    assert "no policy for web:B" in pauses[1].stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "says"),
    [
        (("settings",), {"REPRICER_GRUOP": "x"}, 3, "did you mean REPRICER_GROUP?"),
        (("settings",), {"REPRICER_PARTITIONS": "many"}, 3, "REPRICER_PARTITIONS"),
        (("topics", "check"), {"REPRICER_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 4, "Connection refused"),
        (("worker",), {"REPRICER_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, 4, "Connection refused"),
    ],
)
def test_an_error_is_one_line_and_its_own_exit_code(arguments, variables, code, says):
    answer = repricer(*arguments, **variables)

    assert answer.returncode == code
    (line,) = answer.stderr.splitlines()
    assert line.startswith("repricer: ")
    assert says in line


def test_settings_lists_every_variable():
    answer = repricer("settings", COLUMNS="200")

    assert "REPRICER_TRANSACTION_TIMEOUT_S" in answer.stdout
    assert answer.returncode == 0


def test_the_broker_prints_its_address_and_ends_at_sigterm():
    with subprocess.Popen([COMMAND, "broker"], stdout=subprocess.PIPE, text=True) as process:
        assert re.fullmatch(r"127\.0\.0\.1:\d+\n", process.stdout.readline())
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
