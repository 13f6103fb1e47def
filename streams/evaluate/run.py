"""Play a suite, and say how far it has come."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

import jax
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.contestants import CONTESTANTS, MODEL, SYSTEM, Contestant, with_deep_q
from pricing_core.evaluation.standing import Standing, stand
from pricing_core.evaluation.suite import Group, groups_of, play_group, together
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
    jobs: int = 1
    """Groups of markets played at once, each in a process; the figures are the same."""


class Row(NamedTuple):
    """One row, played."""

    standing: Standing
    curves: dict[str, Float64]
    """See `suite.Played`."""
    seconds: float
    """What its groups took one after the other, compilation included."""


class Report(NamedTuple):
    """A suite, played."""

    order: Order
    rows: tuple[Row, ...]
    model: str
    machine: str
    versions: dict[str, str]
    shops: Shops | None
    """The worker's model and its parts; None where only rows were asked for."""
    seconds: float
    """What all of it took."""

    @property
    def missed(self) -> tuple[Standing, ...]:
        """Rows whose interval reaches below what they must earn."""
        return tuple(row.standing for row in self.rows if not row.standing.verdict.passed)


def run_suite(order: Order, console: Console) -> Report:
    """Play all rows of a suite.

    Args:
        order: What to play.
        console: Where progress is shown, and a line for each row that is done.

    Raises:
        RepricerError: There is no row of a name that was asked for.
    """
    chosen = _chosen(order)
    started = time.perf_counter()
    columns = (MofNCompleteColumn(), BarColumn(20), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("starting", total=len(chosen))
        play = _one_by_one if order.jobs == 1 else _side_by_side
        found = {row.standing.row: row for row in _shown(play(chosen, order, progress, task), progress, task)}
    played = tuple(found[market.name] for market in chosen)
    shops = None if order.only else play_shops(load_model(), n=SHOPS[order.suite], seed=order.seed)
    versions = {name: version(name) for name in ("repricer", "jax", "jaxlib", "numpy")}
    seconds = time.perf_counter() - started
    return Report(order, played, MODEL, f"{machine()}, {jax.default_backend()}", versions, shops, seconds)


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


def _one_by_one(chosen: Sequence[Market], order: Order, progress: Progress, task: TaskID) -> Iterator[Row]:
    contestants = _contestants(order)
    groups, size = groups_of(order.markets)
    for market in chosen:
        started = time.perf_counter()
        played = []
        for g in range(groups):

            def report(contestant: str, says: str = f"group {g + 1} of {groups}", row: str = market.name) -> None:
                progress.update(task, description=f"{row}: {contestant}, {says}")

            drawn_with = key(order.split, order.seed)
            played.append(play_group(market, contestants, key=drawn_with, group=g, n=size, report=report))
        yield _row(market, played, order, time.perf_counter() - started)


def _side_by_side(chosen: Sequence[Market], order: Order, progress: Progress, task: TaskID) -> Iterator[Row]:
    """Groups of long seasons first, so that none is left for the end; a row comes when its last group is done."""
    progress.update(task, description=f"{order.jobs} groups of markets at once")
    groups, size = groups_of(order.markets)
    done: dict[str, dict[int, tuple[Group, float]]] = {market.name: {} for market in chosen}
    # A forked child would inherit the locks of JAX's threads, but not the threads.
    with ProcessPoolExecutor(order.jobs, mp_context=get_context("spawn")) as pool:
        turns = {
            pool.submit(_play_group, market.name, g, size, order): (market, g)
            for market in sorted(chosen, key=lambda market: -market.periods)
            for g in range(groups)
        }
        for turn in as_completed(turns):
            market, g = turns[turn]
            of_row = done[market.name]
            of_row[g] = turn.result()
            if len(of_row) == groups:
                played, seconds = zip(*(of_row[g] for g in range(groups)), strict=True)
                yield _row(market, played, order, sum(seconds))


def _play_group(name: str, group: int, n: int, order: Order) -> tuple[Group, float]:
    """In a process of its own: play a group; what it took, too."""
    started = time.perf_counter()
    (market,) = (market for market in rows(order.split) if market.name == name)
    played = play_group(market, _contestants(order), key=key(order.split, order.seed), group=group, n=n)
    return played, time.perf_counter() - started


def _row(market: Market, groups: Sequence[Group], order: Order, seconds: float) -> Row:
    played = together(market, groups)
    return Row(stand(played, mark_of(order, market.name), seed=order.seed), played.curves, seconds)


def _shown(played: Iterator[Row], progress: Progress, task: TaskID) -> Iterator[Row]:
    for row in played:
        progress.advance(task)
        share = row.standing.shares[SYSTEM]
        interval = f"{share.value:.1%} ({share.lower:.1%} to {share.upper:.1%})"
        progress.console.print(f"{row.standing.row:18} {interval}, {row.standing.verdict}, {row.seconds:.0f} s")
        yield row


def _shortfall(standing: Standing) -> str:
    share, over_rule = standing.shares[SYSTEM], standing.over_logged_rule
    if share.lower < standing.mark.must:
        return f"{standing.row} earns {share.lower:.1%} or more of the optimum and must earn {standing.mark.must:.1%}"
    assert over_rule is not None
    return f"{standing.row} may earn {-over_rule.lower:.1%} less than the rule that wrote the log"
