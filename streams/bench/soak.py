"""`repricer bench soak`: the complete worker over many millions of events: does its rate hold, does it grow?

The events are published before (20 million take about 1.5 GB on the broker's disk), so that the worker is not measured
beside their generator.
"""

from __future__ import annotations

import statistics
import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from streams.bench import load
from streams.bench.machine import machine, versions
from streams.bench.progress import Progress, Sample
from streams.bench.throughput import WARM, prime
from streams.bench.under_test import WorkerUnderTest, bench_settings, resident_bytes
from streams.settings import Settings

SAMPLE_S = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    events: int
    offers: int
    window: int
    """Events over which one rate is taken."""


def measure(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints.

    Raises:
        NotReady: If the worker stops, or does not finish in time.
    """
    own = bench_settings(settings, "soak", max_offers=max(131_072, plan.offers + plan.offers // 8))
    prime(own, plan.offers)
    load.publish(own, load.events(WARM, plan.events, plan.offers))
    with closing(Progress(own, load.SHARES)) as progress, WorkerUnderTest(own) as worker:
        worker.wait_until_ready()
        with _Memory(worker.pid) as memory:
            samples = progress.watch(worker.require_running)
    rates = window_rates(samples, plan.window)
    slope = float(np.polyfit(range(len(rates)), rates, 1)[0]) if len(rates) > 1 else 0.0
    return {
        "events_per_s": round(statistics.median(rates)),
        "events_per_s_min": round(min(rates)),
        "events_per_s_max": round(max(rates)),
        "slope_percent_per_window": round(100 * slope / statistics.median(rates), 2),
        "windows": len(rates),
        "window_events": plan.window,
        "resident_mb_halfway": round(memory.seen[len(memory.seen) // 2] / 2**20),  # before it, queues fill
        "resident_mb_last": round(memory.seen[-1] / 2**20),
        "events": plan.events,
        "offers": plan.offers,
        "machine": machine(),
        "versions": versions(),
    }


def window_rates(samples: Sequence[Sample], window: int) -> list[float]:
    """Records a second of each whole window, with the times between commits interpolated."""
    at, committed = np.array(samples, np.float64).T
    edges = np.arange(committed[0], committed[-1] + 1, window)
    times = np.interp(edges, committed, at)
    return [float(window / took) for took in np.diff(times)]


class _Memory:
    """Looks at the memory of a process every second, beside the main thread."""

    def __init__(self, pid: int) -> None:
        self.seen = [resident_bytes(pid)]
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(SAMPLE_S):
            self.seen.append(resident_bytes(self._pid))
