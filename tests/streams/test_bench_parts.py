"""The arithmetic of the benchmarks, and what they do to nobody's figures: the load, the compilations, the windows."""

import itertools
import math

import msgspec
import pytest

from schemas.events import OrderRecorded
from schemas.topics import ORDERS
from streams.bench import decide, latency, load, memory
from streams.bench.bare import TYPES
from streams.bench.in_process import InProcessWorker
from streams.bench.paced import Task, records
from streams.bench.progress import Sample
from streams.bench.soak import window_rates
from streams.bench.turn import Answers
from streams.errors import NotReady
from streams.settings import Settings


def test_the_load_is_the_same_bytes_from_any_event_on_and_all_of_it_decodes():
    whole = list(load.events(0, load.CHUNK + 500, 1_000))
    assert list(load.events(load.CHUNK, 500, 1_000)) == whole[load.CHUNK :]
    sizes = [len(key) + len(value) for _, key, value in whole]
    assert 180 < sum(sizes) / len(sizes) < 220
    for topic, key, value in whole[:500]:
        event = msgspec.json.decode(value, type=TYPES[topic])
        assert key == f"{event.channel}:{event.sku}".encode()


def test_measured_orders_are_orders_of_their_offers_spread_over_the_task():
    task = Task(first=load.CHUNK, count=100, offers=10, rate=1.0, measured=[7, 8])
    found = [(number, record) for number, (record, measured) in enumerate(records(task)) if measured]
    assert [number for number, _ in found] == [0, 50]
    for wanted, (_, (topic, key, value)) in zip((7, 8), found, strict=True):
        event = msgspec.json.decode(value, type=OrderRecorded)
        assert topic is ORDERS
        assert key == load.measured_key(wanted) == f"{event.channel}:{event.sku}".encode()


@pytest.mark.parametrize(("missing", "counts"), [(0, True), (1, True), (2, False), (200, False)])
def test_latencies_of_a_turn_with_too_few_answers_are_no_result(missing, counts):
    plan = latency.Plan([500], seconds=latency.LEAD_S + 2, rounds=1)
    task = latency.Stream(event=0).take(500, plan)
    measured = [load.measured_key(number).decode() for number in task.measured]
    answers = Answers(dict.fromkeys(measured[: len(measured) - missing], 5.0), rate=499.8)
    found = latency.Found()
    if counts:
        found.add(task, answers, "echo")
        assert found.figures("echo_") == {
            "echo_p50_ms": 5.0,
            "echo_p99_ms": 5.0,
            "echo_p999_ms": 5.0,
            "echo_answered": 1 - missing / 200,
        }
    else:
        with pytest.raises(NotReady, match=f"at 500 events/s the echo has answered {200 - missing} of 200 orders"):
            found.add(task, answers, "echo")


def test_a_worker_of_this_process_decides_at_least_once_for_twenty_events():
    cuts = []
    worker = InProcessWorker(Settings(topic_prefix="t", group="t", partitions=4), 10_000, cuts.append)
    worker.run(worker.polls(load.policies(10_000), 1_000))
    worker.run(worker.polls(load.events(0, load.CHUNK, 10_000), 1_000))
    assert worker.decided() >= load.CHUNK / 20
    assert sum(len(batch) for cut in cuts for batch in cut.outputs) >= worker.decided()
    assert sum(cut.row_count for cut in cuts) >= 10_000


def test_rates_of_windows_are_interpolated_between_commits():
    samples = [Sample(0.0, 0), Sample(1.0, 150), Sample(2.0, 200), Sample(3.0, 260)]
    assert window_rates(samples, 100) == pytest.approx([150.0, 100 / (4 / 3)])


def test_growth_is_a_slope_with_its_interval():
    flat = memory._slope([(n, 1_000 + n % 2) for n in range(40)])
    assert flat["low"] <= 0 <= flat["high"]
    rising = memory._slope([(n, 3 * n) for n in range(40)])
    assert rising["bytes_per_event"] == rising["low"] == rising["high"] == 3


def test_a_decision_of_any_size_compiles_nothing_after_the_warm_up(monkeypatch):
    monkeypatch.setattr(decide, "BUDGET_S", 0.0)
    result = decide.measure([32, 1_100], "cpu")
    assert result["compiled_after_warm_up"] == 0
    figures = list(itertools.chain.from_iterable(row.values() for row in result["batches"].values()))
    assert all(math.isfinite(value) and value > 0 for value in figures)


def test_a_device_that_is_not_there_is_said_to_be_missing():
    import subprocess
    import sys

    command = [sys.executable, "-m", "streams.cli", "bench", "decide", "--device", "gpu", "--size", "32"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or (done.returncode == 3 and "try --device cpu" in done.stderr)
