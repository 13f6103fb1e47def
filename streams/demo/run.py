"""The course of the demo: start everything at once, watch the market for a while, drain, stop, tell the result."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import msgspec
from rich.console import Console
from rich.live import Live

from streams.demo.history import History
from streams.demo.processes import Children
from streams.demo.view import Snapshot, frame
from streams.demo.watch import Watch
from streams.embedded_broker import PARTITIONS, EmbeddedBroker
from streams.errors import NotReady
from streams.free_port import free_port
from streams.settings import load_settings
from streams.stop_signal import stop_signal

LOOK_S = 0.25
OPEN_WITHIN_S = 90.0
DRAIN_WITHIN_S = 20.0
QUIET_LOOKS = 6
"""The worker measures its lag once a second: it is drained when nothing moves for longer than that."""
PREFIX = "demo"
CONNECTION = ("REPRICER_SECURITY_", "REPRICER_SASL_", "REPRICER_SSL_")
ANSWER_WITHIN_S = 60
"""Of the wall clock: after that the worker sends a price change again."""
YEAR_S = 365 * 86_400


class Result(msgspec.Struct, frozen=True):
    """What ``--json`` prints. Money is minor units."""

    events: int
    decisions: int
    price_changes: int
    applied: int
    rejected: int
    out_of_bounds: int
    dead_letters: int
    pending: int
    """Price changes without an answer, counted by the worker that waits for it."""
    profit: int
    profit_hold: int
    profit_match_cheapest: int
    profit_optimum: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for."""

    seconds: float
    skus: int
    seed: int
    rate: float
    speedup: float


@dataclass(frozen=True, slots=True)
class Files:
    """Where the processes write."""

    folder: Path

    @property
    def truth(self) -> Path:
        """The market's account."""
        return self.folder / "truth.json"

    @property
    def database(self) -> Path:
        """The catalog's."""
        return self.folder / "catalog.db"


class Demo:
    """One run."""

    def __init__(self, plan: Plan, children: Children, watch: Watch) -> None:
        self._plan = plan
        self._children = children
        self._history = History()
        self._opened_at: float | None = None
        self._closed_at: float | None = None
        self.watch = watch

    @property
    def seconds(self) -> float:
        """Since the market opened, until it closed."""
        if self._opened_at is None:
            return 0.0
        return (self._closed_at or time.monotonic()) - self._opened_at

    def play(self, live: Live, stopped: Event) -> None:
        """Watch until the time is over or somebody stops it.

        Raises:
            ChildDied: a process ended by itself.
            NotReady: the market did not open, in time or before it was stopped.
        """
        deadline = time.monotonic() + OPEN_WITHIN_S
        while not stopped.wait(LOOK_S) and self.seconds < self._plan.seconds:
            self._children.check()
            self._look(live, "live" if self._opened_at else "starting")
            if self._opened_at is None and time.monotonic() > deadline:
                raise NotReady(f"the market did not open within {OPEN_WITHIN_S:.0f} s")
        if self._opened_at is None:
            raise NotReady("stopped before the market had opened")

    def drain(self, live: Live) -> None:
        """Stop the market, and let worker and catalog finish what it has said.

        Raises:
            ChildDied: a process ended by itself.
        """
        self._closed_at = time.monotonic()
        self._children.stop("market")
        quiet, deadline = 0, time.monotonic() + DRAIN_WITHIN_S
        while quiet < QUIET_LOOKS and time.monotonic() < deadline:
            time.sleep(LOOK_S)
            self._children.check()
            before = (self.watch.worker, self.watch.catalog)
            self._look(live, "draining")
            settled = before == (self.watch.worker, self.watch.catalog) and self._is_done()
            quiet = quiet + 1 if settled else 0
        self._children.stop("worker")
        self._children.stop("catalog")
        self._look(live, "done")

    def result(self) -> Result:
        """What came of it."""
        worker, catalog, truth = self.watch.worker, self.watch.catalog, self.watch.truth
        assert catalog is not None
        assert truth is not None
        return Result(
            events=worker.events,
            decisions=worker.decisions,
            price_changes=worker.changes,
            applied=catalog.applied,
            rejected=sum(catalog.rejected.values()),
            out_of_bounds=catalog.out_of_bounds,
            dead_letters=worker.dead_letters,
            pending=worker.pending,
            profit=truth.profit,
            profit_hold=truth.profit_hold,
            profit_match_cheapest=truth.profit_match_cheapest,
            profit_optimum=truth.profit_optimum,
            seconds=round(self.seconds, 1),
        )

    def _is_done(self) -> bool:
        worker, catalog = self.watch.worker, self.watch.catalog
        return worker.lag == 0 and worker.pending == 0 and catalog is not None and not catalog.unanswered

    def _look(self, live: Live, phase: str) -> None:
        watch = self.watch
        watch.look()
        if self._opened_at is None and watch.truth is not None:
            self._opened_at = time.monotonic()
        self._history.add(time.monotonic(), watch.worker.events, watch.truth)
        now = Snapshot(
            phase=phase,
            seconds=self.seconds,
            planned_s=self._plan.seconds,
            running={"broker": True, **self._children.running()},
            events=watch.worker.events,
            rates=self._history.rates,
            decisions=watch.worker.decisions,
            changes=watch.worker.changes,
            holds=watch.worker.holds,
            lag=watch.worker.lag,
            catalog=watch.catalog,
            truth=watch.truth,
            gains=self._history.gains,
            lines=list(watch.lines),
        )
        live.update(frame(now, live.console.width), refresh=True)


def run_demo(plan: Plan, *, json: bool) -> None:
    """`repricer demo`: run it, and print one JSON object as the last line of stdout if ``json``.

    Raises:
        ChildDied: a process of the demo ended by itself.
        NotReady: it did not get going in time.
    """
    with (
        stop_signal() as stopped,
        _stopped_by_a_closed_terminal(),
        tempfile.TemporaryDirectory(prefix="repricer-demo-") as folder,
        EmbeddedBroker(PREFIX) as broker,
    ):
        set_environment(plan, broker.bootstrap_servers)
        files = Files(Path(folder))
        with Children(files.folder) as children:
            result = _run(plan, children, files, Console(stderr=json), stopped)
    if json:
        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")


def _run(plan: Plan, children: Children, files: Files, console: Console, stopped: Event) -> Result:
    settings = load_settings()
    worker = f"http://127.0.0.1:{settings.http_port}"
    _start(plan, children, files, worker)
    with closing(Watch(settings, f"{worker}/metrics", files.database, files.truth)) as watch:
        demo = Demo(plan, children, watch)
        with Live(console=console, auto_refresh=False) as live:
            demo.play(live, stopped)
            demo.drain(live)
        return demo.result()


def _start(plan: Plan, children: Children, files: Files, worker: str) -> None:
    """Start all processes at once; the market opens when the worker is ready."""
    children.start("worker", ["worker"])
    children.start("catalog", ["catalog", "--database", str(files.database)])
    market = ["--rate", plan.rate, "--skus", plan.skus, "--seed", plan.seed, "--speedup", plan.speedup]
    limits = ["--seconds", 2 * plan.seconds, "--truth", files.truth, "--after", f"{worker}/readyz"]
    children.start("market", ["simulate", *map(str, market), *map(str, limits)])


def set_environment(plan: Plan, servers: str) -> None:
    """Settings of all processes. Simulated time runs ``speedup`` times faster than the wall clock.

    Other settings stay as the user has them, except for those of a broker with TLS or a login.
    """
    for name in [name for name in os.environ if name.upper().startswith(CONNECTION)]:
        del os.environ[name]
    os.environ |= {
        "REPRICER_BOOTSTRAP_SERVERS": servers,
        "REPRICER_TOPIC_PREFIX": PREFIX,
        "REPRICER_GROUP": PREFIX,
        "REPRICER_PARTITIONS": str(PARTITIONS),
        "REPRICER_HTTP_HOST": "127.0.0.1",
        "REPRICER_HTTP_PORT": str(free_port()),
        "REPRICER_SESSION_TIMEOUT_S": "6",
        "REPRICER_HEARTBEAT_INTERVAL_S": "2",
        "REPRICER_TICK_INTERVAL_S": "0",  # the market tells the time
        "REPRICER_ACKNOWLEDGEMENT_TIMEOUT_S": str(int(min(ANSWER_WITHIN_S * plan.speedup, YEAR_S))),
        "REPRICER_MAX_OFFERS": "8192",
    }
    os.environ.setdefault("REPRICER_LOG_LEVEL", "warning")


@contextmanager
def _stopped_by_a_closed_terminal() -> Iterator[None]:
    """Treat SIGHUP like SIGTERM, or a closed terminal would leave the children behind."""
    before = signal.signal(signal.SIGHUP, signal.getsignal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)
