"""A report as one JSON object."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pricing_core.evaluation.intervals import Estimate
from streams.backtest.run import Group, Report

ESTIMATES = ("logged", "doubly_robust", "snips", "gain", "gain_alike")


def as_json(report: Report) -> dict[str, Any]:
    """Give money in minor units a day and offer; null: the log does not say."""
    return {
        "evidence": "logged decisions",
        "model": report.model,
        "since": report.since,
        "until": report.until,
        "transitions": report.read,
        "left_out": report.left_out,
        "groups": [_group(group) for group in report.groups],
    }


def _group(group: Group) -> dict[str, Any]:
    found = group.found
    estimates = {name: _estimate(getattr(found, name)) for name in ESTIMATES}
    return {"kind": group.kind, "name": group.name, "currency": group.currency, **asdict(found), **estimates}


def _estimate(found: Estimate | None) -> dict[str, float] | None:
    return None if found is None else {name: getattr(found, name) for name in ("value", "lower", "upper")}
