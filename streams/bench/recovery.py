"""`repricer bench recovery`: shards rebuilt from the changelog, from the assignment until they are being read.

The changelog and the policies are those of a worker that knows as many offers; the worker is started as it is. What is
measured is what it says itself (``repricer_rebuild_seconds``): waiting for stable offsets, fetching, decoding, columns,
policies, the move to the device, the claim. Start-up of the process is given beside it.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from streams.bench.machine import machine, versions
from streams.bench.rival_processes import STOCK_FAUST_RECOVERY
from streams.bench.rounds import spread
from streams.bench.stored import store
from streams.bench.under_test import WorkerUnderTest, bench_settings
from streams.metrics import REBUILD_SECONDS
from streams.settings import Settings

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    offers: Sequence[int]
    rounds: int
    rivals_python: Path | None
    """Python that has the rivals; None leaves stock Faust out."""


def measure(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints.

    Raises:
        NotReady: If the worker stops, or is not ready in time.
    """
    largest = max(plan.offers)
    rounds = {offers: _rounds(settings, offers, plan) for offers in plan.offers if offers != largest}
    rounds[largest] = _rounds(settings, largest, plan, plan.rivals_python)
    sizes = {str(offers): _figures(offers, rounds[offers]) for offers in plan.offers}
    seconds = MILLION / sizes[str(largest)]["rows_per_s"]
    result: dict[str, Any] = {
        "rows_per_s": sizes[str(largest)]["rows_per_s"],
        "seconds_1m": round(seconds, 2),
        "seconds_1m_measured": MILLION in plan.offers,
    }
    if plan.rivals_python is not None:
        faust = [one.stock_faust for one in rounds[largest]]
        ratios = [largest / one.rebuilt_s / one.stock_faust for one in rounds[largest]]
        result |= {
            "stock_faust_rows_per_s": round(statistics.median(faust)),
            **spread("ratio_stock_faust", ratios, digits=1),
        }
    return result | {"sizes": sizes, "rounds": plan.rounds, "machine": machine(), "versions": versions()}


class _Round(NamedTuple):
    rebuilt_s: float
    started_s: float
    stock_faust: float
    """Rows a second, right after; NaN if it did not run."""


def _rounds(settings: Settings, offers: int, plan: Plan, rivals_python: Path | None = None) -> list[_Round]:
    """Alternate the worker and, if there is a Python for it, stock Faust on a tenth of the rows."""
    own = bench_settings(settings, "recovery", max_offers=max(131_072, offers + offers // 8))
    store(own, offers)
    rounds = []
    for _ in range(plan.rounds):
        rebuilt, started, faust = *_rebuild(own), math.nan
        if rivals_python is not None:
            theirs = bench_settings(settings, "recovery-rival")
            faust = STOCK_FAUST_RECOVERY.run(rivals_python, theirs, offers)
        rounds.append(_Round(rebuilt, started, faust))
    return rounds


def _figures(offers: int, rounds: Sequence[_Round]) -> dict[str, float]:
    rebuilt = [one.rebuilt_s for one in rounds]
    return {
        "rows_per_s": round(offers / statistics.median(rebuilt)),
        **spread("seconds", rebuilt, digits=2),
        "process_start_to_ready_s": round(statistics.median(one.started_s for one in rounds), 1),
    }


def _rebuild(settings: Settings) -> tuple[float, float]:
    """Seconds from the assignment, and from the start of the process, until all shards are ready."""
    began = time.perf_counter()
    with WorkerUnderTest(settings) as worker:
        worker.wait_until_ready()
        return worker.sum_of(REBUILD_SECONDS), time.perf_counter() - began
