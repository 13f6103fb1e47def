"""`repricer bench throughput`: the complete worker beside the bare loop, on the same broker.

Both read the same preloaded topics, alternately, several rounds. The figure that counts is their ratio.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import confluent_kafka as ck
from prometheus_client.parser import text_string_to_metric_families

from schemas.topics import HOT_SOURCES
from streams.bench import load
from streams.bench.machine import machine, versions
from streams.errors import NotReady
from streams.free_port import free_port
from streams.log_reader import Offsets
from streams.metrics import DECISIONS, EVENTS
from streams.settings import PREFIX, Settings
from streams.topic_admin import TopicAdmin
from streams.transport.data_plane import Partition

BATCH_RECORDS = 5_000
DEADLINE_S = 900.0
POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class Round:
    """One run of the bare loop and one of the worker."""

    bare_per_s: float
    events_per_s: float
    decisions_per_s: float
    worker_cpu_us: float
    broker_cpu_us: float


def measure(settings: Settings, *, events: int, offers: int, rounds: int, broker_pid: int | None) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints.

    Args:
        settings: The broker and its security. Topics are made under prefixes of their own and stay there.
        events: Clicks, orders, competitor prices and inventory, mixed 60:20:15:5.
        offers: How many offers they are about.
        rounds: How often both are run.
        broker_pid: Process of a broker on this machine, to tell its share of the CPU.

    Raises:
        NotReady: If the worker stops, or does not finish in time.
    """
    results = [_round(settings, number, events, offers, broker_pid) for number in range(rounds)]
    ratios = [r.events_per_s / r.bare_per_s for r in results]
    return {
        "events_per_s": round(statistics.median(r.events_per_s for r in results)),
        "decisions_per_s": round(statistics.median(r.decisions_per_s for r in results)),
        "bare_events_per_s": round(statistics.median(r.bare_per_s for r in results)),
        "ratio_bare": round(statistics.median(ratios), 3),
        "ratio_bare_min": round(min(ratios), 3),
        "ratio_bare_max": round(max(ratios), 3),
        "worker_cpu_us_per_event": round(statistics.median(r.worker_cpu_us for r in results), 2),
        "broker_cpu_us_per_event": round(statistics.median(r.broker_cpu_us for r in results), 2),
        "rounds": rounds,
        "events": events,
        "offers": offers,
        "machine": machine(),
        "versions": versions(),
    }


def _round(settings: Settings, number: int, events: int, offers: int, broker_pid: int | None) -> Round:
    name = f"bench-{int(time.time())}-{number}"
    own = settings.model_copy(update={"topic_prefix": name, "group": name})
    TopicAdmin(own).apply()
    records = load.publish(own, chain(load.policies(offers), load.events(0, events, offers)))
    port = free_port()
    environment = _environment(own, port)
    bare = subprocess.run(  # noqa: S603  # our own interpreter and module
        [sys.executable, "-m", "streams.bench.bare", str(events)], check=True, stdout=subprocess.PIPE, env=environment
    )
    worker = subprocess.Popen([sys.executable, "-m", "streams.cli", "worker"], env=environment)
    try:
        return _watch(own, Watched(worker, port, broker_pid), records=records, bare=float(bare.stdout))
    finally:
        worker.terminate()
        worker.wait(60)


@dataclass(frozen=True, slots=True)
class Watched:
    """The processes that are measured."""

    worker: subprocess.Popen[bytes]
    port: int
    broker_pid: int | None


def _watch(settings: Settings, watched: Watched, *, records: int, bare: float) -> Round:
    """Time from the first record applied to the last offset committed."""
    worker, port, broker_pid = watched.worker, watched.port, watched.broker_pid
    first = _wait(worker, port, lambda seen: seen > 0)
    started, worker_cpu, broker_cpu = time.perf_counter(), _cpu_s(worker.pid), _cpu_s(broker_pid)
    _wait(worker, port, lambda seen: seen >= records)
    _wait_until_committed(settings)
    elapsed, done = time.perf_counter() - started, records - first
    return Round(
        bare_per_s=bare,
        events_per_s=done / elapsed,
        decisions_per_s=_total(port, DECISIONS.name) / elapsed,
        worker_cpu_us=(_cpu_s(worker.pid) - worker_cpu) / done * 1e6,
        broker_cpu_us=(_cpu_s(broker_pid) - broker_cpu) / done * 1e6,
    )


def _environment(settings: Settings, port: int) -> Mapping[str, str]:
    """Settings of the worker under test: all as shipped, but for these."""
    ours = {
        "BOOTSTRAP_SERVERS": settings.bootstrap_servers,
        "PARTITIONS": str(settings.partitions),
        "TOPIC_PREFIX": settings.topic_prefix,
        "GROUP": settings.group,
        "HTTP_PORT": str(port),
        "DECIDE_DURING_CATCH_UP": "true",
        "TICK_INTERVAL_S": "0",
        "BATCH_RECORDS": str(BATCH_RECORDS),
        "LOG_LEVEL": "warning",
    }
    return {**os.environ, **{PREFIX + name: value for name, value in ours.items()}}


def _wait(worker: subprocess.Popen[bytes], port: int, enough: Callable[[float], bool]) -> float:
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if worker.poll() is not None:
            raise NotReady(f"the worker stopped with exit code {worker.returncode}; its log is above")
        seen = _total(port, EVENTS.name)
        if enough(seen):
            return seen
        time.sleep(POLL_S)
    raise NotReady(f"the worker did not finish within {DEADLINE_S:.0f} s")


def _total(port: int, name: str) -> float:
    """Sum of a counter over its labels; 0 while the worker does not answer yet."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as page:
            text = page.read().decode()
    except urllib.error.URLError:
        return 0.0
    families = text_string_to_metric_families(text)
    return sum(sample.value for family in families for sample in family.samples if sample.name == name)


def _wait_until_committed(settings: Settings) -> None:
    tps = [Partition(t.full_name(settings.topic_prefix), p) for t in HOT_SOURCES for p in range(settings.partitions)]
    ends = Offsets(settings.consumer_config()).end(tps, committed=True)
    consumer = ck.Consumer(settings.consumer_config())
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        committed = consumer.committed([ck.TopicPartition(*tp) for tp in tps], timeout=10)
        if all(tp.offset >= ends[Partition(tp.topic, tp.partition)] for tp in committed):
            consumer.close()
            return
        time.sleep(POLL_S)
    raise NotReady("the offsets were not committed")


def _cpu_s(pid: int | None) -> float:
    """User and system time of a process so far; 0 if none is named."""
    if pid is None:
        return 0.0
    ticks = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")
