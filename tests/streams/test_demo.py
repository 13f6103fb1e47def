"""The demo's parts without a broker: words, figures, frames, processes."""

import subprocess
import sys
from io import StringIO

import pytest
from msgspec.structs import replace
from rich.console import Console

from pricing_core.features import FEATURES, PRIOR_ELASTICITY
from streams.catalog.ledger import Counts
from streams.demo import reasons
from streams.demo.history import History
from streams.demo.processes import ChildDied, Children
from streams.demo.reasons import Decision, Reasons
from streams.demo.view import Line, Snapshot, frame, spark
from streams.demo.watch import figures
from streams.market.truth import Truth
from streams.metrics import DEAD_LETTERS, DECISIONS, EVENTS, HOLDS, LAG_RECORDS, PENDING_CHANGES, Metrics

TRUTH = Truth(
    currency="EUR", offers=2, simulated_days=3.5, events=1000, profit=110_00, profit_hold=100_00,
    profit_match_cheapest=90_00, profit_optimum=120_00, final=False,
)  # fmt: skip
COUNTS = Counts(
    applied=5, rejected={"expired": 1}, waiting=0, unanswered=0, out_of_bounds=0, duplicates=0, version_conflicts=0,
    unreadable=0, manual=0,
)  # fmt: skip


REASONS = Reasons.of_model(None)


def decision(**known):
    features = [known.get(feature.name) for feature in FEATURES]
    return Decision(
        sku="SKU-0012", channel="web", outcome="changed", reason="demand", price=1249, previous_price=1299,
        currency="EUR", features=features,
    )  # fmt: skip


def test_a_price_change_is_told_in_units_that_a_merchant_knows():
    told = REASONS.line(decision(elasticity_30d=1.1, rival_known=1.0, rival_gap=-0.35))
    assert told[:4] == ("web:SKU-0012", "12.99", "12.49", False)
    assert "1 % dearer sells 3.6 % less" in told.why
    assert "the cheapest rival asks 5 % less" in told.why  # exp(-0.35 * 0.15) = 0.949


def test_what_is_unknown_is_not_named():
    assert "rival" not in REASONS.why(decision(elasticity_30d=0.0, rival_known=0.0, rival_gap=0.0))


def test_the_belief_without_sales_is_that_of_the_core():
    assert reasons.PRIOR_ELASTICITY == PRIOR_ELASTICITY


def test_watching_does_not_need_jax():
    code = "import sys, streams.demo.run; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_figures_are_read_from_what_the_worker_renders():
    metrics = Metrics()
    metrics.add(EVENTS, 100, "orders")
    metrics.add(EVENTS, 20, "clicks")
    metrics.add(EVENTS, 9, "ticks")
    metrics.add(DECISIONS, 7, "changed")
    metrics.add(DECISIONS, 30, "held")
    metrics.add_each(HOLDS, {"cooldown": 25, "model_holds": 5})
    metrics.add(DEAD_LETTERS, 2, "orders", "not_utf8")
    metrics.set(PENDING_CHANGES, 5)
    metrics.set(LAG_RECORDS, 3, "orders", "0")
    metrics.set(LAG_RECORDS, 4, "clicks", "1")
    read = figures(metrics.render().decode())
    assert (read.events, read.decisions, read.changes) == (120, 37, 7)
    assert (read.dead_letters, read.lag, read.pending) == (2, 7, 5)
    assert read.holds == {"cooldown": 25, "model_holds": 5}


def test_a_frame_shows_processes_profits_and_reasons():
    now = Snapshot(
        phase="live", seconds=12, planned_s=60, running={"worker": True, "catalog": False}, events=12_345,
        rates=[900, 1000], decisions=10, changes=6, holds={"cooldown": 4}, lag=0, catalog=COUNTS, truth=TRUTH,
        gains=[0.0, 0.1], lines=[Line("web:SKU-0012", "12.99", "12.49", up=False, why="rivals ask less")],
    )  # fmt: skip
    console = Console(file=StringIO(), width=140)
    console.print(frame(now, 140))
    shown = console.file.getvalue()
    for text in (
        "12,345",
        "● worker",
        "○ catalog",
        "Profit, EUR",
        "110.00",
        "+10.0%",
        "-10.0%",
        "12.49",
        "rivals ask less",
        "cooldown",
    ):
        assert text in shown


def test_a_frame_before_anything_happened_is_drawn_too():
    console = Console(file=StringIO(), width=80)
    console.print(frame(Snapshot(phase="starting", seconds=0, planned_s=60, running={}), 80))
    assert "starting" in console.file.getvalue()


def test_a_sparkline_goes_from_the_lowest_to_the_highest_block():
    assert spark([0, 7]) == "▁█"
    assert spark([-1, 0, 1]) == "▁▅█"
    assert spark([]) == ""


def test_rates_are_measured_over_a_second():
    history = History()
    for i in range(9):
        history.add(i / 4, i * 100, None)
    assert list(history.rates) == [400.0, 400.0]


@pytest.fixture
def children(tmp_path, monkeypatch):
    """Children that run a script of ours in place of a verb."""
    real = sys.executable
    stub = tmp_path / "python"
    stub.write_text(f'#!/bin/sh\nshift 2\nexec "{real}" -c "$@"\n')
    stub.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(stub))
    with Children(tmp_path) as started:
        yield started


def test_a_child_that_dies_is_reported_with_its_last_words(children):
    children.start("worker", ["import sys; print('cannot go on'); sys.exit(9)"])
    children._running["worker"].wait()
    with pytest.raises(ChildDied, match=r"(?s)worker ended with exit code 9.*cannot go on"):
        children.check()


def test_a_child_that_was_killed_is_not_taken_for_one_that_ended_well(children):
    children.start("worker", ["import time; time.sleep(60)"])
    children._running["worker"].kill()
    children._running["worker"].wait()
    with pytest.raises(ChildDied, match="SIGKILL"):
        children.check()


def test_leaving_ends_every_child(children):
    children.start("worker", ["import time; time.sleep(60)"])
    process = children._running["worker"]
    children.__exit__()
    assert process.poll() is not None


def test_on_80_columns_the_profit_of_a_large_shop_is_not_cut_off():
    truth = replace(
        TRUTH,
        profit=105_771_640,
        profit_hold=93_801_477,
        profit_match_cheapest=78_579_890,
        profit_optimum=108_279_876,
    )
    now = Snapshot(phase="live", seconds=1.0, planned_s=60.0, running={}, truth=truth)
    console = Console(file=StringIO(), width=80)
    console.print(frame(now, 80))
    assert {"1057716.40", "1082798.76"} <= set(console.file.getvalue().split())
