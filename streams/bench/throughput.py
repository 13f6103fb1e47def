"""`repricer bench throughput`: the complete worker beside the bare loop and its rivals, on the same broker.

All read the same topics, in turns, several rounds; the figures that count are ratios within a round. Every round
has a stretch of the stream of its own. The worker has seen all offers before the first: it is measured as it is day by
day, not while it meets a catalogue for the first time.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import msgspec

from schemas.topics import OFFER_POLICIES
from streams.bench import bare, load
from streams.bench.machine import machine, versions
from streams.bench.progress import Progress, Sample, changelog_end, cut_times
from streams.bench.rival_processes import RIVALS
from streams.bench.rounds import spread
from streams.bench.under_test import WorkerUnderTest, bench_settings, cpu_s, environment
from streams.errors import InputRefused
from streams.metrics import DECISIONS, EVENTS, HOLDS
from streams.settings import Settings

WARM = 2 * load.CHUNK
"""Events before the first round: offers are decided for the first time, clients are connected."""
LEAST_CUTS = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    events: int
    """Clicks, orders, competitor prices and inventory of one round, mixed as `load.SHARES` says."""
    offers: int
    rounds: int
    broker_pid: int | None
    """A broker on this machine, to tell its share of the CPU."""
    rivals_python: Path | None
    """Python that has the rivals; None leaves them out."""


@dataclass(slots=True)
class WorkerRun:
    """One turn of the worker."""

    events_per_s: float
    decisions_per_s: float
    events_per_decision: float
    worker_cpu_us: float
    broker_cpu_us: float
    broker_cpu_share: float
    """Of one core."""
    cut_intervals_ms: list[int]
    outcomes: Mapping[str, float]


@dataclass(slots=True)
class Round:
    """One turn of each."""

    bare: bare.Found
    worker: WorkerRun | None = None
    rivals: dict[str, float] = field(default_factory=dict)

    @property
    def ours(self) -> WorkerRun:
        """The worker's turn, which was taken."""
        assert self.worker is not None
        return self.worker


def measure(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints.

    Raises:
        NotReady: If the worker stops, or does not finish in time.
        InputRefused: If it needs so few cuts that they tell no rate.
    """
    own = bench_settings(settings, "throughput", max_offers=max(131_072, plan.offers + plan.offers // 8))
    prime(own, plan.offers)
    return _result(plan, [_round(own, plan, number) for number in range(plan.rounds)])


def prime(settings: Settings, offers: int) -> None:
    """Let the worker meet all offers: policies, first events, first decisions; then stop it."""
    load.publish(settings, chain(load.policies(offers), load.events(0, WARM, offers)))
    with closing(Progress(settings, [*load.SHARES, OFFER_POLICIES])) as progress, WorkerUnderTest(settings) as worker:
        progress.watch(worker.require_running)


def _round(settings: Settings, plan: Plan, number: int) -> Round:
    load.publish(settings, load.events(WARM + number * plan.events, plan.events, plan.offers))
    result = Round(_run_bare(settings, plan))  # before the worker: it reads from where the worker stands
    _run_worker(settings, plan, result)
    if plan.rivals_python is not None:
        result.rivals = {r.name: r.run(plan.rivals_python, settings, plan.events) for r in RIVALS}
    return result


def _run_bare(settings: Settings, plan: Plan) -> bare.Found:
    with closing(Progress(settings, load.SHARES)) as progress:
        positions = [(*tp, offset) for tp, offset in progress.positions().items()]
    task = msgspec.json.encode(bare.Task(positions, plan.events))
    command = [sys.executable, "-m", "streams.bench.bare"]
    done = subprocess.run(command, check=True, input=task, stdout=subprocess.PIPE, env=environment(settings))  # noqa: S603  # our own module
    return msgspec.json.decode(done.stdout, type=bare.Found)


def _run_worker(settings: Settings, plan: Plan, result: Round) -> None:
    since = changelog_end(settings)
    with closing(Progress(settings, load.SHARES)) as progress, WorkerUnderTest(settings) as worker:
        worker.wait_until_ready()
        cpu, broker_cpu = cpu_s(worker.pid), cpu_s(plan.broker_pid)
        samples = progress.watch(worker.require_running)
        cpu, broker_cpu = cpu_s(worker.pid) - cpu, cpu_s(plan.broker_pid) - broker_cpu
        decisions, events = sum(worker.counted(DECISIONS).values()), sum(worker.counted(EVENTS).values())
        outcomes = {**worker.counted(DECISIONS), **worker.counted(HOLDS)}
    rate = _rate(samples)
    result.worker = WorkerRun(
        events_per_s=rate,
        decisions_per_s=rate * decisions / events,
        events_per_decision=events / decisions,
        worker_cpu_us=cpu / plan.events * 1e6,
        broker_cpu_us=broker_cpu / plan.events * 1e6,
        broker_cpu_share=broker_cpu / plan.events * rate,
        cut_intervals_ms=[later - earlier for earlier, later in pairwise(cut_times(settings, since)[1:])],
        outcomes={name: count / decisions for name, count in outcomes.items()},
    )


def _rate(samples: Sequence[Sample]) -> float:
    """Records a second from the first commit to the last."""
    if len(samples) < LEAST_CUTS:
        raise InputRefused(f"only {len(samples)} cuts were seen: too few events for a rate, take more")
    first, last = samples[0], samples[-1]
    return (last.committed - first.committed) / (last.at - first.at)


def _result(plan: Plan, rounds: list[Round]) -> dict[str, Any]:
    ours = [r.ours for r in rounds]
    intervals = [interval for run in ours for interval in run.cut_intervals_ms]
    return {
        "events_per_s": round(statistics.median(run.events_per_s for run in ours)),
        "decisions_per_s": round(statistics.median(run.decisions_per_s for run in ours)),
        "bare_events_per_s": round(statistics.median(r.bare.per_s for r in rounds)),
        **spread("ratio_bare", [r.ours.events_per_s / r.bare.per_s for r in rounds], digits=3),
        **{
            name: value
            for rival in rounds[0].rivals
            for name, value in spread(
                f"ratio_{rival}", [r.ours.events_per_s / r.rivals[rival] for r in rounds], digits=3
            ).items()
        },
        **{
            f"{rival}_events_per_s": round(statistics.median(r.rivals[rival] for r in rounds))
            for rival in rounds[0].rivals
        },
        "events_per_decision": round(statistics.median(run.events_per_decision for run in ours), 1),
        "decisions": {name: round(share, 4) for name, share in ours[-1].outcomes.items()},
        "cut_interval_p50_ms": statistics.median(intervals),
        "cut_interval_max_ms": max(intervals),
        "ratio_bare_cpu": round(statistics.median(r.bare.cpu_us / r.ours.worker_cpu_us for r in rounds), 3),
        "bare_cpu_us_per_event": round(statistics.median(r.bare.cpu_us for r in rounds), 2),
        "worker_cpu_us_per_event": round(statistics.median(run.worker_cpu_us for run in ours), 2),
        "broker_cpu_us_per_event": round(statistics.median(run.broker_cpu_us for run in ours), 2),
        "broker_cores": round(statistics.median(run.broker_cpu_share for run in ours), 2),
        "rounds": plan.rounds,
        "events": plan.events,
        "offers": plan.offers,
        "machine": machine(),
        "versions": versions(),
    }
