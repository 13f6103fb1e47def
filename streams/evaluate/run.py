"""Play a suite, and say how far it has come."""

from __future__ import annotations

import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.contestants import CONTESTANTS, MODEL, SYSTEM, Contestant, with_deep_q
from pricing_core.evaluation.standing import Standing, stand
from pricing_core.evaluation.suite import groups_of, play_row
from pricing_core.model_file import load_model
from pricing_core.simulator.bar.interface import Market
from pricing_core.simulator.bar.rows import FLOORS, MARKS, Mark, Split, key, rows
from streams.bench.machine import machine
from streams.errors import RepricerError
from streams.evaluate.shops import SHOPS, Shops, play_shops
from streams.train_deep_q import path_of

MARKETS = {"quick": 128, "full": 256}


class Order(msgspec.Struct, frozen=True):
    """What to play."""

    suite: str
    """quick: some rows of the tuning split, held to their floors. full: all rows, held to what they must earn."""
    split: Split
    markets: int
    """Of each row, at least; 2 or more."""
    seed: int
    only: tuple[str, ...] = ()
    """Beginnings of the names of the rows to play; all of the suite if there are none."""
    deep_q: Path | None = None
    """Folder of deep-Q learners (`train_deep_q.path_of`): they play in their rows."""


class Row(NamedTuple):
    """One row, played."""

    standing: Standing
    curves: dict[str, Float64]
    """See `suite.Played`."""
    seconds: float
    """What it took, compilation included."""


class Report(NamedTuple):
    """A suite, played."""

    order: Order
    rows: tuple[Row, ...]
    model: str
    machine: str
    versions: dict[str, str]
    shops: Shops | None
    """The worker's model and its parts; None where only rows were asked for."""

    @property
    def missed(self) -> tuple[Standing, ...]:
        """Rows whose interval reaches below what they must earn."""
        return tuple(row.standing for row in self.rows if not row.standing.verdict.passed)

    @property
    def seconds(self) -> float:
        """What all of it took."""
        return sum(row.seconds for row in self.rows)


def run_suite(order: Order, console: Console) -> Report:
    """Play all rows of a suite.

    Args:
        order: What to play.
        console: Where progress is shown, and a line for each row that is done.

    Raises:
        RepricerError: There is no row of a name that was asked for.
    """
    chosen, contestants = _chosen(order), _contestants(order)
    columns = (MofNCompleteColumn(), BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=len(chosen))
        played = tuple(_play(market, contestants, order, progress, task) for market in chosen)
    shops = None if order.only else play_shops(load_model(), n=SHOPS[order.suite], seed=order.seed)
    versions = {name: version(name) for name in ("repricer", "jax", "jaxlib", "numpy")}
    return Report(order, played, MODEL, f"{machine()}, {jax.default_backend()}", versions, shops)


def require_passed(report: Report) -> None:
    """Refuse a system that falls short.

    Raises:
        RepricerError: Names every row that is not shown to earn what it must, or what the network is shown to cost.
    """
    short = [_shortfall(standing) for standing in report.missed]
    if short:
        raise RepricerError(f"{len(short)} of {len(report.rows)} rows fall short: {'; '.join(short)}")
    if report.shops is not None and report.shops.correction.upper < 0.0:
        cost = -report.shops.correction.upper
        raise RepricerError(f"the network of {report.shops.model} costs {cost:.2%} or more of what its planner earns")


def mark_of(order: Order, row: str) -> Mark:
    """What a suite asks of a row. The floor of a quick suite takes the place of what must be earned."""
    return MARKS[row]._replace(must=FLOORS[row]) if order.suite == "quick" else MARKS[row]


def _chosen(order: Order) -> Sequence[Market]:
    of_suite = [market for market in rows(order.split) if order.suite == "full" or market.name in FLOORS]
    for begins in order.only:
        if not any(market.name.startswith(begins) for market in of_suite):
            known = ", ".join(market.name for market in of_suite)
            raise RepricerError(f"no row of the {order.suite} suite begins with {begins}; there are {known}")
    return [market for market in of_suite if not order.only or market.name.startswith(order.only)]


def _contestants(order: Order) -> Sequence[Contestant]:
    folder = order.deep_q
    if folder is None:
        return CONTESTANTS

    def read(row: str) -> bytes | None:
        path = path_of(folder, row)
        return path.read_bytes() if path.exists() else None

    return with_deep_q(read)


def _play(market: Market, contestants: Sequence[Contestant], order: Order, progress: Progress, task: TaskID) -> Row:
    started = time.perf_counter()
    groups, _ = groups_of(order.markets)
    turns = dict.fromkeys((contestant.name for contestant in contestants), 0)

    def report(contestant: str) -> None:
        turns[contestant] += 1
        progress.update(task, description=f"{market.name}: {contestant}, group {turns[contestant]} of {groups}")

    drawn_with = key(order.split, order.seed)
    played = play_row(market, contestants, key=drawn_with, markets=order.markets, report=report)
    standing = stand(played, mark_of(order, market.name), seed=order.seed)
    seconds = time.perf_counter() - started
    progress.advance(task)
    share = standing.shares[SYSTEM]
    interval = f"{share.value:.1%} ({share.lower:.1%} to {share.upper:.1%})"
    progress.console.print(f"{market.name:18} {interval}, {standing.verdict}, {seconds:.0f} s")
    return Row(standing, played.curves, seconds)


def _shortfall(standing: Standing) -> str:
    share, over_rule = standing.shares[SYSTEM], standing.over_logged_rule
    if share.lower < standing.mark.must:
        return f"{standing.row} earns {share.lower:.1%} or more of the optimum and must earn {standing.mark.must:.1%}"
    assert over_rule is not None
    return f"{standing.row} may earn {-over_rule.lower:.1%} less than the rule that wrote the log"
