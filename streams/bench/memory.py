"""`repricer bench memory`: bytes of an offer on host and device, and what grows while events go by.

The state is that of the worker, in processes of their own, without Kafka: what grows there grows in the worker.
"""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from streams.bench import load
from streams.bench.in_process import InProcessWorker
from streams.bench.machine import machine, versions
from streams.bench.under_test import PARTITIONS, resident_bytes
from streams.errors import NotReady
from streams.settings import Settings

POLL = 10_000
GROWTH_OFFERS = 10_000
NORMAL_95 = 1.96
PREFIX = "memory"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    offers: Sequence[int]
    events: int
    """While growth is watched."""


class Probe(msgspec.Struct):
    """What a process of ours has seen of itself."""

    host_bytes: int
    """Resident, after all offers, less what it was with none; without the device's part."""
    device_bytes: int
    samples: list[tuple[int, int]]
    """Events gone by, and resident bytes."""


def measure(plan: Plan) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints."""
    found = {offers: _run(offers, 0) for offers in sorted(plan.offers)}
    growth = _run(GROWTH_OFFERS, plan.events)
    return {
        "host_bytes_per_offer": _marginal({offers: one.host_bytes for offers, one in found.items()}),
        "device_bytes_per_offer": _marginal({offers: one.device_bytes for offers, one in found.items()}),
        "sizes": {
            str(offers): {"host_mb": round(one.host_bytes / 2**20), "device_mb": round(one.device_bytes / 2**20)}
            for offers, one in found.items()
        },
        "growth": _slope(growth.samples),
        "events": plan.events,
        "machine": machine(),
        "versions": versions(),
    }


def _marginal(found: Mapping[int, int]) -> int:
    """Bytes of one offer more, between the smallest and the largest size: what does not grow with them is left out."""
    (few, least), (many, most) = min(found.items()), max(found.items())
    return round((most - least) / (many - few)) if many > few else round(most / many)


def probe(offers: int, events: int) -> Probe:
    """Fill a worker of this process with offers, let events go by, and look at its memory."""
    settings = Settings(topic_prefix=PREFIX, group=PREFIX, partitions=PARTITIONS)
    small = InProcessWorker(settings, 0, lambda _: None)
    small.run(small.polls(load.events(0, load.CHUNK, 1_000), POLL))
    del small
    before = _resident()
    worker = InProcessWorker(settings, offers, lambda _: None)
    worker.run(worker.polls(load.policies(offers), POLL))
    worker.run(worker.polls(load.events(0, load.CHUNK, offers), POLL))
    device = worker.engine.device_bytes
    found = Probe(_resident() - before - device, device, [])
    for done in range(0, events, load.CHUNK):
        taken = load.events(load.CHUNK + done, load.CHUNK, offers)
        worker.run(worker.polls(taken, POLL))
        found.samples.append((done + load.CHUNK, _resident()))
    return found


def _resident() -> int:
    gc.collect()
    return resident_bytes(os.getpid())


def _run(offers: int, events: int) -> Probe:
    command = [sys.executable, "-m", "streams.bench.memory", str(offers), str(events)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  # our own module
    if done.returncode:
        raise NotReady(f"the memory probe failed: {done.stderr[-500:].decode('utf-8', 'replace')}")
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Probe)


def _slope(samples: Sequence[tuple[int, int]]) -> dict[str, float]:
    """Bytes an event by least squares over the second half, with the interval of 95 %: the first half warms up."""
    x, y = np.array(samples[len(samples) // 2 :], np.float64).T
    spread = x - x.mean()
    slope = (spread @ y) / (spread @ spread)
    rest = y - y.mean() - slope * spread
    error = np.sqrt(rest @ rest / max(len(x) - 2, 1) / (spread @ spread))
    return {
        "bytes_per_event": round(float(slope), 4),
        "low": round(float(slope - NORMAL_95 * error), 4),
        "high": round(float(slope + NORMAL_95 * error), 4),
        "resident_mb_first": round(samples[0][1] / 2**20, 1),
        "resident_mb_last": round(samples[-1][1] / 2**20, 1),
    }


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(probe(int(sys.argv[1]), int(sys.argv[2]))) + b"\n")
