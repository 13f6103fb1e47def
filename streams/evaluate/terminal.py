"""A report on a terminal of 80 columns or more."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from pricing_core.evaluation.contestants import CONTESTANTS, LOGGED_RULE, SYSTEM
from pricing_core.evaluation.standing import Mean, Standing, Verdict
from streams.evaluate.run import Report
from streams.evaluate.shops import PARTS, Shops

_LABELS = {contestant.name: contestant.label for contestant in CONTESTANTS}
_BASELINES_ABREAST = 6
_COLOURS = {Verdict.GOAL: "green", Verdict.PASSED: "green", Verdict.NOT_SHOWN: "yellow", Verdict.MISSED: "red"}


def print_report(report: Report, console: Console) -> None:
    """Print the system beside the best baseline of each row, then all baselines."""
    order = report.order
    standings = [row.standing for row in report.rows]
    console.print(
        f"Percent of what the optimum earns, ± the half of a 95 % interval over {standings[0].n} markets a row "
        f"({order.split.name.lower()} split, seed {order.seed}), {report.seconds:.0f} s."
    )
    console.print(_system(standings, "floor" if order.suite == "quick" else "must"))
    playing = [name for name in _LABELS if any(name in standing.shares for standing in standings)]
    baselines = [name for name in playing if name not in {SYSTEM, LOGGED_RULE}]
    for first in range(0, len(baselines), _BASELINES_ABREAST):
        console.print(_baselines(standings, baselines[first : first + _BASELINES_ABREAST]))
    for standing in standings:
        if standing.over_logged_rule is not None:
            console.print(f"{standing.row}: {_gain(standing.over_logged_rule)} over the rule that wrote the log")
    console.print("In these rows the planner plays alone: the network knows moves in the shops below, and no others.")
    if report.shops is not None:
        console.print(_shops(report.shops))


def _shops(shops: Shops) -> Table:
    """The worker's model beside its parts."""
    table = _table(1, f"{shops.n} shops", "hold", "planner alone", "network alone", "system", "network adds")
    said = (_share(shops.shares[name]) for name in ("hold", *PARTS))
    table.add_row(shops.model.split("@")[0], *said, _gain(shops.correction))
    return table


def _system(standings: list[Standing], must: str) -> Table:
    table = _table(1, "row", must, "goal", "system", "best baseline", "gain", "verdict")
    for standing in standings:
        best = standing.best_baseline
        table.add_row(
            standing.row,
            f"{100 * standing.mark.must:.1f}",
            f"{100 * standing.mark.goal:.1f}",
            _share(standing.shares[SYSTEM]),
            f"{_LABELS[best]} {100 * standing.shares[best].value:.1f}",
            _gain(standing.gain),
            f"[{_COLOURS[standing.verdict]}]{standing.verdict}",
        )
    return table


def _baselines(standings: list[Standing], names: list[str]) -> Table:
    """Baselines side by side, in the rows in which any of them plays."""
    table = _table(0, "baselines", *(_LABELS[name] for name in names))
    for standing in standings:
        if any(name in standing.shares for name in names):
            table.add_row(standing.row, *(_share(standing.shares.get(name)) for name in names))
    return table


def _table(padding: int, first: str, *others: str) -> Table:
    table = Table(first, box=SIMPLE_HEAD, padding=(0, padding, 0, 0), pad_edge=False)
    for name in others:
        table.add_column(name, justify="left" if name == "verdict" else "right", no_wrap=True)
    return table


def _share(share: Mean | None) -> str:
    return "-" if share is None else f"{100 * share.value:.1f}±{_half(share)}"


def _gain(gain: Mean) -> str:
    return f"{100 * gain.value:+.1f}±{_half(gain)}"


def _half(mean: Mean) -> str:
    return f"{50 * (mean.upper - mean.lower):.1f}"
