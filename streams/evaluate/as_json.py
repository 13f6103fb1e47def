"""A report as one JSON object."""

from __future__ import annotations

from typing import Any

from pricing_core.evaluation.contestants import CONTESTANTS, SYSTEM
from pricing_core.evaluation.standing import CONFIDENCE, Mean
from streams.evaluate.run import Report, Row
from streams.evaluate.shops import Shops


def as_json(report: Report) -> dict[str, Any]:
    """Give shares of the optimum (1 is all of it) with the bounds of their intervals; null: does not play there."""
    order = report.order
    return {
        "suite": order.suite,
        "split": order.split.name.lower(),
        "seed": order.seed,
        "confidence": CONFIDENCE,
        "model": report.model,
        "machine": report.machine,
        "versions": report.versions,
        "seconds": round(report.seconds, 1),
        "missed": [standing.row for standing in report.missed],
        "rows": [_row(row) for row in report.rows],
        "shops": None if report.shops is None else _shops(report.shops),
    }


def _shops(shops: Shops) -> dict[str, Any]:
    of = {name: _mean(share) for name, share in shops.shares.items()}
    return {"model": shops.model, "shops": shops.n, **of, "correction": _mean(shops.correction)}


def _row(row: Row) -> dict[str, Any]:
    standing = row.standing
    shares = {contestant.name: standing.shares.get(contestant.name) for contestant in CONTESTANTS}
    return {
        "row": standing.row,
        "markets": standing.n,
        "must": standing.mark.must,
        "goal": standing.mark.goal,
        "verdict": standing.verdict.value,
        SYSTEM: _mean(shares.pop(SYSTEM)),
        "baselines": {name: _mean(share) for name, share in shares.items()},
        "best_baseline": standing.best_baseline,
        "gain": _mean(standing.gain),
        "over_logged_rule": _mean(standing.over_logged_rule),
        "seconds": round(row.seconds, 1),
    }


def _mean(mean: Mean | None) -> dict[str, float] | None:
    return None if mean is None else {bound: round(value, 6) for bound, value in mean._asdict().items()}
