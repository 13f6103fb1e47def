"""`repricer bench decide`: one call of the engine's decision for n due offers, and the compiled function within it.

All offers get the whole way: conditions, ladder, features, Q-function, choice, guards. Nothing may compile after the
warm-up; if something does, the benchmark fails.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import jax

from pricing_core.engine import Intervals, PricingEngine
from pricing_core.model_file import load_model
from schemas import compiled
from schemas.binary import BinaryArray
from schemas.codec import decoder_for
from schemas.topics import OFFER_POLICIES
from streams.bench import load
from streams.bench.machine import machine, versions
from streams.bench.stages import watched
from streams.clock import wall_ms
from streams.errors import ConfigurationError, RepricerError

Device = Literal["cpu", "gpu"]

CALLED = "features, Q-function, choice"
"""The stage in which the compiled function is called (`streams.bench.stages`)."""
BUDGET_S = 3.0
"""Time for one size."""
LEAST_CALLS = 5
COMPILE_EVENTS = "/jax/core/compile"


@dataclass(slots=True)
class Compilations:
    """Counts what JAX and Numba compile."""

    seen: int = 0

    def __post_init__(self) -> None:
        jax.monitoring.register_event_duration_secs_listener(self._note)

    def _note(self, event: str, duration_secs: float, **_: str | int) -> None:  # noqa: ARG002  # JAX names them
        self.seen += event.startswith(COMPILE_EVENTS)

    def total(self) -> int:
        """So far."""
        return self.seen + compiled.compilations()


def measure(sizes: Sequence[int], device: Device) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints.

    Raises:
        ConfigurationError: There is no such device.
        RepricerError: Something was compiled after the warm-up.
    """
    platform = _use(device)
    compilations = Compilations()
    engine = PricingEngine(load_model(), capacity=max(sum(sizes), 1024), intervals=Intervals(decision=0, review=1))
    engine.warm_up()
    for size in sizes:  # one shard for each size
        engine.open_shard(size)
        _meet(engine, size)
    before = compilations.total()
    found = {str(size): _at_size(engine, size) for size in sizes}
    if compilations.total() != before:
        raise RepricerError(f"{compilations.total() - before} functions were compiled after the warm-up")
    best = max(found.values(), key=lambda row: row["offers_per_s"])
    return {
        "offers_per_s": best["offers_per_s"],
        "batches": found,
        "compiled_after_warm_up": 0,
        "device": platform,
        "machine": machine(),
        "versions": versions(),
    }


def _use(device: Device) -> str:
    """Choose JAX's backend before it is first used; returns what it is."""
    jax.config.update("jax_platforms", "cpu" if device == "cpu" else "cuda")  # type: ignore[no-untyped-call]  # JAX gives none
    try:
        return str(jax.devices()[0].device_kind)
    except (RuntimeError, AssertionError) as error:  # JAX asserts that there is one
        raise ConfigurationError(f"no {device} that JAX can use ({error}); try --device cpu") from None


def _meet(engine: PricingEngine, shard: int) -> None:
    """Let a shard know as many offers as its number says: of those that are never pending."""
    recommended = (record for n, record in enumerate(load.policies(2 * shard)) if n % load.AUTOMATIC)
    records = list(islice(recommended, shard))
    keys, values = BinaryArray.of(key for _, key, _ in records), BinaryArray.of(value for _, _, value in records)
    engine.apply(shard, decoder_for(OFFER_POLICIES)(keys, values, wall_ms()).columns)


def _at_size(engine: PricingEngine, size: int) -> dict[str, float]:
    """Decide all offers of a shard again and again; each call moves event time on to the next review."""
    whole: list[float] = []
    inner: list[float] = []
    deadline = time.perf_counter() + BUDGET_S
    with watched() as stopwatch:
        while len(whole) < LEAST_CALLS or time.perf_counter() < deadline:
            stopwatch.reset()
            began = time.perf_counter()
            decided = len(engine.decide(size, load.FIRST_EVENT_MS + len(whole), "ACTIVE", limit=size))
            whole.append(time.perf_counter() - began)
            inner.append(stopwatch.seconds[CALLED])
            assert decided == size
    ordered = sorted(whole)
    return {
        "offers_per_s": round(size / statistics.median(whole)),
        "p50_us": round(statistics.median(whole) * 1e6),
        "p99_us": round(ordered[int(0.99 * (len(ordered) - 1))] * 1e6),
        "compiled_offers_per_s": round(size / statistics.median(inner)),
        "compiled_p50_us": round(statistics.median(inner) * 1e6),
        "calls": len(whole),
    }
