"""`repricer bench all`: every benchmark in turn, and one object of all their results: what the README quotes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.bench import decide, latency, learn, memory, profile, recovery, soak, swaps, throughput
from streams.bench.machine import machine, versions
from streams.settings import Settings

FEW, MANY = 10_000, 1_000_000
"""Offers."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large each benchmark is."""

    offers: Sequence[int]
    events: int
    soak_events: int
    rates: Sequence[int]
    seconds: float
    batches: Sequence[int]
    memory_events: int
    profile_events: int
    rounds: int
    learn_seconds: float
    sb3_steps: int


FULL = Sizes(
    (FEW, MANY),
    2_000_000,
    20_000_000,
    (500, 5_000, 20_000),
    20,
    (32, 256, 1_024, 8_192, 65_536),
    10_000_000,
    500_000,
    3,
    10,
    10_000,
)
TINY = Sizes((1_000, 2_000), 200_000, 200_000, (200,), 4, (32, 256), 200_000, 20_000, 1, 0.5, 500)
"""For a look at what the result is like: its figures say nothing."""


def measure(
    settings: Settings,
    sizes: Sizes,
    *,
    broker_pid: int | None,
    rivals_python: Path | None,
    sb3_python: Path | None,
    keep: Callable[[Mapping[str, Any]], None],
) -> dict[str, Any]:
    """Run all benchmarks; returns one object with a part for each.

    Args:
        settings: The broker.
        sizes: How large each is.
        broker_pid: A broker on this machine.
        rivals_python: Python that has the rivals; None leaves them out.
        sb3_python: Python that has Stable-Baselines3; None leaves it out.
        keep: Told the result so far after each part: an hour's work is not lost with its last minute.

    Raises:
        RepricerError: If one fails.
    """
    few, many = sizes.offers[0], sizes.offers[-1]

    def plan(offers: int) -> throughput.Plan:
        return throughput.Plan(sizes.events, offers, sizes.rounds, broker_pid, rivals_python)

    window = max(sizes.soak_events // 20, 1)
    parts: Mapping[str, Callable[[], dict[str, Any]]] = {
        "throughput": lambda: throughput.measure(settings, plan(few)),
        "throughput_many_offers": lambda: throughput.measure(settings, plan(many)),
        "soak": lambda: soak.measure(settings, soak.Plan(sizes.soak_events, few, window)),
        "latency": lambda: latency.measure(settings, latency.Plan(sizes.rates, sizes.seconds, sizes.rounds)),
        "swaps": lambda: swaps.measure(settings, latency.Plan(sizes.rates[:1], sizes.seconds, sizes.rounds)),
        "recovery": lambda: recovery.measure(
            settings, recovery.Plan((max(many // 10, 1), many), sizes.rounds, rivals_python)
        ),
        "decide": lambda: decide.measure(sizes.batches, "cpu"),
        "learn": lambda: learn.measure(learn.Plan(sizes.learn_seconds, sizes.rounds, sizes.sb3_steps, sb3_python)),
        "memory": lambda: memory.measure(memory.Plan(sizes.offers, sizes.memory_events)),
        "profile": lambda: profile.measure(events=sizes.profile_events, offers=few, poll=10_000),
    }
    result: dict[str, Any] = {"machine": machine(), "versions": versions()}
    for name, part in parts.items():
        result[name] = _said(name, part)
        keep(result)
    return result


def _said(name: str, part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Run a part, and say so: it takes minutes."""
    sys.stderr.write(f"{name} ...\n")
    return {key: value for key, value in part().items() if key not in {"machine", "versions"}}


def summary(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What the README quotes: each figure beside its goal."""
    one, many, recovered = result["throughput"], result["throughput_many_offers"], result["recovery"]
    figures: dict[str, tuple[Any, str]] = {
        "events a second, complete worker": (one["events_per_s"], ""),
        "share of the bare loop": (one["ratio_bare"], "≥ 0.6"),
        "the same, many offers": (many["ratio_bare"], "≥ 0.4"),
        "events for a decision": (one["events_per_decision"], "≤ 20"),
        "cuts, ms apart, median and longest": (
            f"{one['cut_interval_p50_ms']:g}, {one['cut_interval_max_ms']}",
            "≤ 250",
        ),
        "times stock Faust with a table": (one.get("ratio_stock_faust", "not run"), "≥ 100"),
        "times Quix Streams with state": (one.get("ratio_quix", "not run"), "≥ 8"),
        "times Bytewax with state": (one.get("ratio_bytewax", "not run"), "≥ 4"),
        "soak: rate, least and greatest": (
            f"{result['soak']['events_per_s_min']:,} - {result['soak']['events_per_s_max']:,}",
            "steady",
        ),
        **{
            f"p99 ms at {rate} events/s (echo, transactional echo)": (
                f"{row['p99_ms']} ({row['echo_p99_ms']}, {row['txn_echo_p99_ms']})",
                "≤ 2 x transactional echo",
            )
            for rate, row in result["latency"]["rates"].items()
        },
        "the same with two swaps of models a second, over without": (result["swaps"]["p99_ratio_swaps"], "1"),
        "longest stall of a loop beside the verifying thread, ms": (result["swaps"]["stall_ms"], "≤ 50"),
        "rows rebuilt a second": (recovered["rows_per_s"], "≥ 250,000"),
        "seconds for a million offers": (recovered["seconds_1m"], "≤ 6"),
        "times stock Faust's table recovery": (recovered.get("ratio_stock_faust", "not run"), ""),
        "times Stable-Baselines3's DQN, learning": (result["learn"].get("ratio_sb3", "not run"), "≥ 20"),
        "bytes of an offer, host and device": (
            f"{result['memory']['host_bytes_per_offer']}, {result['memory']['device_bytes_per_offer']}",
            "",
        ),
        "growth, bytes an event": (result["memory"]["growth"]["bytes_per_event"], "0"),
    }
    return {name: {"value": value, "goal": goal} for name, (value, goal) in figures.items()}
