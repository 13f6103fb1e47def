"""`repricer sweep`: whether any price leaves what its merchant allows, whatever state, policy and model say."""

from __future__ import annotations

import time
from typing import Any

from rich.console import Console
from rich.table import Table

from pricing_core.evaluation.sweep.run import sweep
from streams.errors import PromiseBroken


def measure(states: int, seed: int) -> dict[str, Any]:
    """Run the sweep; returns the object that ``--json`` prints."""
    began = time.perf_counter()
    swept = sweep(states, seed)
    return {
        "states": swept.states,
        "out_of_bounds": swept.out_of_bounds,
        "nonfinite_in": swept.nonfinite_in,
        "held": swept.held,
        "seconds": round(time.perf_counter() - began, 1),
        "seed": seed,
        "reasons": dict(swept.reasons.most_common()),
        "broken": dict(swept.broken),
        "examples": swept.examples,
    }


def print_report(report: dict[str, Any]) -> None:
    """Say it to a person."""
    console, table = Console(), Table("reason", "decisions", box=None)
    for reason, count in report["reasons"].items():
        table.add_row(reason, f"{count:,}")
    console.print(table)
    console.print(
        f"{report['states']:,} states, {report['nonfinite_in']:,} with a model output that is not finite, "
        f"{report['held']:,} held, {report['out_of_bounds']:,} out of bounds, {report['seconds']} s"
    )
    for example in report["examples"]:
        console.print(example)


def require_none(report: dict[str, Any]) -> None:
    """Refuse a price out of bounds.

    Raises:
        PromiseBroken: There is one.
    """
    if report["out_of_bounds"]:
        raise PromiseBroken(f"{report['out_of_bounds']} of {report['states']} prices break a rule: {report['broken']}")
