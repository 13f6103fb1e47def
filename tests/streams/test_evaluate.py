"""`repricer evaluate`: what is asked of a row, what terminal, JSON and page say of it, and how the command ends."""

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from msgspec.structs import replace
from rich.console import Console
from typer.testing import CliRunner

from pricing_core.evaluation.contestants import CONTESTANTS, DEEP_Q, LOGGED_RULE, SYSTEM
from pricing_core.evaluation.standing import Mean, stand
from pricing_core.evaluation.suite import Played
from pricing_core.model_file import load_model
from pricing_core.simulator.bar.rows import MARKS, Mark, Split, rows
from streams.cli import app
from streams.errors import ConfigurationError, RepricerError
from streams.evaluate.as_json import as_json
from streams.evaluate.page import page
from streams.evaluate.run import MARKETS, Order, Report, Row, mark_of, require_passed, run_suite
from streams.evaluate.shops import PARTS, Shops, play_shops
from streams.evaluate.svg import Entry, curves, forest
from streams.evaluate.terminal import print_report
from streams.evaluate.words import words

COMMAND = Path(sys.executable).with_name("repricer")
OF_LOGS = (LOGGED_RULE, "offline_q", "conservative_q", "ensemble_q")
EVERYWHERE = [contestant.name for contestant in CONTESTANTS if contestant.name not in {*OF_LOGS, DEEP_Q}]
SVG = "{http://www.w3.org/2000/svg}"


def row(name, system, **others):
    """A row in which shares lie evenly about the given means."""
    spread = np.linspace(-0.01, 0.01, 64)
    shares = {SYSTEM: system + spread, **{baseline: mean + 2.0 * spread for baseline, mean in others.items()}}
    curves = {contestant: np.linspace(0.5, values.mean(), 30) for contestant, values in shares.items()}
    return Row(stand(Played(name, shares, curves), MARKS[name], seed=1), curves, seconds=1.0)


@pytest.fixture(scope="module")
def report():
    order = Order("full", Split.TUNING, 64, seed=3)
    rules = dict.fromkeys(EVERYWHERE[1:], 0.8)
    played = (
        row("rivals", 0.97, **rules),
        row("logged", 0.99, hold=0.9, **{LOGGED_RULE: 0.985}, **dict.fromkeys(("deep_q", *OF_LOGS[1:]), 0.7)),
        row("endogenous", 0.85, hold=0.93, cost_plus=0.92),
    )
    shares = dict(
        zip((*PARTS, "hold"), (Mean(s, s - 0.003, s + 0.003) for s in (0.966, 0.12, 0.97, 0.91)), strict=True)
    )
    shops = Shops("default/3@0123", 64, shares, Mean(0.004, 0.002, 0.006))
    return Report(order, played, "a model", "2 cores", {"jax": "1.2.3"}, shops, seconds=3.0)


def test_a_row_that_falls_short_is_named_with_what_it_earns_and_what_it_must(report):
    with pytest.raises(RepricerError, match=r"1 of 3 rows .*: endogenous earns 84\..% .* must earn 90\.0%") as refusal:
        require_passed(report)
    assert refusal.value.exit_code == 1
    require_passed(report._replace(rows=report.rows[:2]))


def test_a_row_that_may_be_worse_than_the_rule_that_wrote_its_log_is_named(report):
    worse = report._replace(rows=(row("logged", 0.995, **{LOGGED_RULE: 0.996}),))
    with pytest.raises(RepricerError, match=r"logged may earn 0\..% less than the rule that wrote the log"):
        require_passed(worse)


def test_a_network_that_is_shown_to_cost_the_planner_something_is_refused(report):
    passed = report._replace(rows=report.rows[:2])
    unsure = passed.shops._replace(correction=Mean(-0.002, -0.005, 0.001))
    require_passed(passed._replace(shops=unsure))
    costly = passed.shops._replace(correction=Mean(-0.004, -0.006, -0.002))
    with pytest.raises(RepricerError, match=r"the network of default/3@0123 costs 0\.20% or more"):
        require_passed(passed._replace(shops=costly))


def test_the_quick_suite_asks_for_floors_and_keeps_the_goals():
    quick, full = (Order(suite, Split.TUNING, 64, seed=0) for suite in MARKETS)
    assert mark_of(full, "rivals") == MARKS["rivals"]
    assert mark_of(quick, "rivals").goal == MARKS["rivals"].goal
    assert 0.9 < mark_of(quick, "rivals").must < 1.0


@pytest.mark.parametrize(
    ("suite", "asked", "says"),
    [
        ("full", ("rivals", "rivalry"), "no row of the full suite begins with rivalry; there are finite_logged_5"),
        ("quick", ("logged",), "no row of the quick suite begins with logged"),
    ],
)
def test_a_row_that_is_not_there_is_refused_before_any_is_played(suite, asked, says):
    with pytest.raises(RepricerError, match=says):
        run_suite(Order(suite, Split.TUNING, 64, 0, asked), Console(file=StringIO()))


def test_groups_played_side_by_side_give_the_figures_of_groups_played_one_by_one(monkeypatch):
    monkeypatch.setattr("streams.evaluate.run.groups_of", lambda markets: (2, markets // 2))
    order = Order("full", Split.TUNING, 4, 0, ("endog",))
    alone, abreast = (run_suite(order, Console(file=StringIO())) for order in (order, replace(order, jobs=2)))
    assert [row.standing for row in abreast.rows] == [row.standing for row in alone.rows]


def test_the_model_of_the_worker_is_played_whole_and_in_parts():
    found = play_shops(load_model(), n=8, seed=5)
    assert found.shares["system"].value > found.shares["hold"].value > found.shares["network_alone"].value
    difference = found.shares["system"].value - found.shares["planner_alone"].value
    assert found.correction.value == pytest.approx(difference)
    assert found.correction.lower <= found.correction.value <= found.correction.upper


@pytest.mark.parametrize("width", [80, 120])
def test_on_a_terminal_of_80_columns_nothing_is_cut_off(report, width):
    out = StringIO()
    print_report(report, Console(file=out, width=width))
    text = out.getvalue()
    assert "…" not in text
    assert re.search(
        r"^ ?endogenous +90\.0 +96\.0 +85\.0±0\.[12] +hold 93\.0 +-8\.0±0\.[12] +missed *$", text, re.MULTILINE
    )
    assert re.search(r"^ ?endogenous +93\.0±0\.3 +92\.0±0\.3 +- +- +- +- *$", text, re.MULTILINE)
    assert re.search(r"^ ?logged +70\.0±0\.[23] +70\.0±0\.[23] +70\.0±0\.[23] +70\.0±0\.[23] *$", text, re.MULTILINE)
    assert re.search(r"^logged: \+0\.5±0\.[12] over the rule that wrote the log$", text, re.MULTILINE)
    assert re.search(
        r"^ ?default/3 +91\.0±0\.3 +96\.6±0\.3 +12\.0±0\.3 +97\.0±0\.3 +\+0\.4±0\.2 *$", text, re.MULTILINE
    )


def test_json_holds_bounds_and_null_for_who_does_not_play(report):
    encoded = json.loads(json.dumps(as_json(report)))
    assert (encoded["suite"], encoded["split"], encoded["seed"]) == ("full", "tuning", 3)
    assert encoded["missed"] == ["endogenous"]
    of_rivals, _, of_endogenous = encoded["rows"]
    assert of_rivals[SYSTEM]["value"] == pytest.approx(0.97)
    assert of_rivals[SYSTEM]["lower"] < 0.97 < of_rivals[SYSTEM]["upper"]
    assert set(of_rivals["baselines"]) == {contestant.name for contestant in CONTESTANTS} - {SYSTEM}
    assert of_endogenous["baselines"]["match_cheapest"] is None
    assert (of_endogenous["best_baseline"], of_endogenous["verdict"]) == ("hold", "missed")
    assert encoded["shops"]["correction"] == {"value": 0.004, "lower": 0.002, "upper": 0.006}
    assert [encoded["shops"][part]["value"] for part in PARTS] == [0.966, 0.12, 0.97]


class Tags(HTMLParser):
    """What a page opens and closes, and what it asks for elsewhere."""

    EMPTY = frozenset({"meta", "line", "circle", "path", "rect", "polyline"})

    def __init__(self, text):
        super().__init__()
        self.open, self.outside = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.outside += [value for name, value in attrs if name in {"href", "src"}]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert tag in self.EMPTY or self.open.pop() == tag


def test_the_page_is_whole_needs_nothing_else_and_shows_each_row(report):
    text = page(report)
    tags = Tags(text)
    assert (tags.open, tags.outside) == ([], [])
    assert not re.search(r"https?://|<script|@import|\$\w", text)
    for played in report.rows:
        assert words(played.standing.row).title in text
    assert text.count("<svg") == 1 + 2 * len(report.rows)
    assert "2 of 3 rows earn what they must" in text
    assert "more than the best baseline in 2 and less in 1" in text


def test_the_page_has_words_for_every_row_and_no_two_rows_have_the_same():
    titles = [words(market.name).title for market in rows(Split.TUNING)]
    assert len(set(titles)) == len(titles)


def test_in_a_forest_plot_pixels_are_in_proportion_to_shares():
    entries = [Entry("a", 0, Mean(0.8, 0.7, 0.9)), Entry("b <", 1, Mean(1.0, 0.95, 1.0))]
    drawn = ET.fromstring(forest(entries, Mark(0.9, 0.95)).replace("<svg ", f'<svg xmlns="{SVG[1:-1]}" '))
    a, b = ((float(c.get("cx")), c) for c in drawn.iter(f"{SVG}circle"))
    lines = {line.get("class"): float(line.get("x1")) for line in drawn.iter(f"{SVG}line") if line.get("class")}
    assert (lines["must"] - a[0]) / (b[0] - a[0]) == pytest.approx(0.5, abs=0.01)
    assert [text.text for text in drawn.iter(f"{SVG}title")] == [
        "must",
        "goal",
        "a: 80.0 % (70.0 to 90.0)",
        "b <: 100.0 % (95.0 to 100.0)",
    ]


def test_a_curve_leaves_out_periods_in_which_nobody_had_sold():
    line = np.array([np.nan, 0.8, 0.9, 0.95])
    drawn = ET.fromstring(curves([(0, line)], "row"))
    (points,) = (polyline.get("points").split() for polyline in drawn.iter("polyline"))
    assert len(points) == 3
    heights = [float(point.split(",")[1]) for point in points]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--suite", "quick", "--split", "test"), 2, "the quick suite has floors for the tuning split only"),
        (("--html", "no/such/folder/page.html"), 7, "there is no folder no/such/folder"),
    ],
)
def test_what_could_not_be_kept_in_the_end_is_refused_at_once(arguments, code, says):
    answer = subprocess.run([COMMAND, "evaluate", *arguments], check=False, capture_output=True, text=True, timeout=60)
    assert answer.returncode == code
    assert says in " ".join(answer.stderr.replace("│", " ").split())


def test_deep_q_learning_is_trained_on_rows_of_independent_offers_only(tmp_path):
    answer = CliRunner().invoke(app, ["train-deep-q", "--out", str(tmp_path / "new"), "--row", "substitutes"])
    assert isinstance(answer.exception, ConfigurationError)
    assert "row substitutes: expected one of finite_logged_5, finite_logged_10" in str(answer.exception)
    assert not (tmp_path / "new").exists()


def test_the_command_plays_writes_a_page_prints_one_object_and_fails_on_a_row_that_falls_short(tmp_path, monkeypatch):
    monkeypatch.setattr("streams.evaluate.run.CONTESTANTS", CONTESTANTS[:2])
    monkeypatch.setattr("streams.evaluate.run.MARKS", {"endogenous": Mark(1.01, 1.02)})  # nobody can
    file = tmp_path / "page.html"
    of_row = ["--suite", "full", "--split", "tuning", "--row", "endog", "--markets", "4"]
    answer = CliRunner().invoke(app, ["evaluate", *of_row, "--json", "--html", str(file)])
    assert isinstance(answer.exception, RepricerError)
    (played,) = json.loads(answer.stdout)["rows"]
    assert (played["row"], played["markets"], played["verdict"]) == ("endogenous", 4, "missed")
    assert 0.5 < played["baselines"]["hold"]["value"] < 1.0
    assert "<h1>Does it earn more?</h1>" in file.read_text(encoding="utf-8")
    assert re.search(r"^endogenous .*missed", answer.stderr, re.MULTILINE)
