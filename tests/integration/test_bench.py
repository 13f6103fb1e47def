"""Every benchmark that needs a Kafka, very small: the figures are there, finite, in order; how large, no test says."""

import math
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from streams.bench import everything, latency, load, recovery, rollback, soak, throughput, turn
from streams.bench.echo import TOPIC as ECHO
from streams.bench.under_test import bench_settings
from streams.log_reader import Offsets
from streams.settings import Settings
from streams.transport.partition import Partition

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(900)]


@pytest.fixture
def settings(kafka):
    return Settings(bootstrap_servers=kafka)


def finite(result):
    figures = [value for value in result.values() if isinstance(value, int | float)]
    assert all(math.isfinite(figure) and figure >= 0 for figure in figures)


def test_throughput_tells_its_ratio_how_often_it_decides_and_how_it_cuts(settings):
    result = throughput.measure(settings, throughput.Plan(600_000, 2_000, 2, None, None))
    finite(result)
    assert 0 < result["ratio_bare_min"] <= result["ratio_bare"] <= result["ratio_bare_max"]
    assert result["decisions_per_s"] > 0
    assert result["cut_interval_p50_ms"] <= result["cut_interval_max_ms"]
    assert result["rounds"] == 2
    outcomes = [result["decisions"][name] for name in ("changed", "held", "recommended") if name in result["decisions"]]
    assert sum(outcomes) == pytest.approx(1, abs=0.001)


def test_latency_measures_the_same_orders_of_worker_and_echoes(settings):
    result = latency.measure(settings, latency.Plan([200], 4, 1))
    row = result["rates"]["200"]
    finite(row)
    for contestant in ("", "echo_", "txn_echo_"):
        assert 0 < row[f"{contestant}p50_ms"] <= row[f"{contestant}p99_ms"] <= row[f"{contestant}p999_ms"]
        assert row[f"{contestant}answered"] >= latency.ANSWERED
    assert row["orders"] == (4 - latency.LEAD_S) * latency.PER_S


def test_a_rollback_reaches_every_offer(settings):
    result = rollback.measure(settings, 200)
    finite(result)
    assert result["offers"] == 200


def test_an_echo_that_is_stopped_in_a_transaction_hides_nothing_from_the_next_reader(settings):
    own = bench_settings(settings, "echo")
    latency.create_echo_topic(own)
    ask = Offsets(own.consumer_config())
    echoed = [Partition(f"{own.topic_prefix}.{ECHO}", p) for p in range(own.partitions)]

    def ends(*, committed):
        return ask.end(echoed, committed=committed)

    command = [sys.executable, "-m", "streams.bench.echo", "transactional"]
    with ThreadPoolExecutor(1) as aside, turn.process(command, own) as echo:
        turn.expect_ready(echo)
        published = aside.submit(load.publish, own, load.events(0, load.CHUNK, 1_000))
        while not any(ends(committed=False).values()):
            assert echo.poll() is None
        echo.terminate()  # some records of a transaction are in the log, its end is not
        assert echo.wait(30) == 0
        published.result()
    deadline = time.monotonic() + 10  # the broker itself would end it after 60 s
    while (committed := ends(committed=True)) != ends(committed=False) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert committed == ends(committed=False)


def test_recovery_rebuilds_what_was_stored(settings):
    result = recovery.measure(settings, recovery.Plan([5_000], 1, None))
    finite(result)
    assert result["rows_per_s"] == result["sizes"]["5000"]["rows_per_s"] > 0


def test_a_soak_has_a_rate_for_every_window(settings):
    result = soak.measure(settings, soak.Plan(1_000_000, 2_000, 200_000))
    finite({name: value for name, value in result.items() if name != "slope_percent_per_window"})
    assert result["windows"] >= 3
    assert result["events_per_s_min"] <= result["events_per_s"] <= result["events_per_s_max"]


def test_the_summary_has_every_goal_of_a_whole_result():
    rate = {"p99_ms": 1, "echo_p99_ms": 1, "txn_echo_p99_ms": 1}
    one = {"events_per_s": 1, "ratio_bare": 1, "events_per_decision": 1}
    result = {
        "throughput": one | {"cut_interval_p50_ms": 1, "cut_interval_max_ms": 2},
        "throughput_many_offers": one,
        "soak": {"events_per_s_min": 1, "events_per_s_max": 2},
        "latency": {"rates": {"500": rate}},
        "swaps": {"p99_ratio_swaps": 1, "stall_ms": 1},
        "recovery": {"rows_per_s": 1, "seconds_1m": 1},
        "learn": {"ratio_sb3": 1},
        "memory": {"host_bytes_per_offer": 1, "device_bytes_per_offer": 1, "growth": {"bytes_per_event": 0}},
    }
    rows = everything.summary(result)
    assert rows["times stock Faust with a table"]["value"] == "not run"
    assert sum(bool(row["goal"]) for row in rows.values()) >= 10
