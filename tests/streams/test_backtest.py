"""`repricer backtest`: what is looked at, how it is cut into weeks and channels, and what a person is told."""

from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree as ET

import msgspec
import orjson
import pytest
from rich.console import Console

from streams.backtest.as_json import as_json
from streams.backtest.page import page
from streams.backtest.run import look_at
from streams.backtest.terminal import print_report
from streams.errors import InputRefused
from tests.pricing_core.engines import MODEL
from tests.streams.followed_decisions import played, wanting_another_price

pytestmark = pytest.mark.timeout(580)

OTHER = wanting_another_price(MODEL)


@pytest.fixture(scope="module")
def log():
    return played(offers=60, days=40, channels=("web", "shop"))


@pytest.fixture(scope="module")
def report(log):
    return look_at(log, MODEL)


def test_the_model_that_wrote_the_log_would_have_earned_what_it_did(report):
    (whole,) = report.of("all")
    assert (whole.name, whole.currency) == ("all", "EUR")
    found = whole.found
    assert found.refusals == []
    assert found.supported == pytest.approx(1.0)
    assert found.effective_sample_size == pytest.approx(found.decisions, rel=1e-3)
    assert found.logged.value == pytest.approx(found.snips.value, rel=1e-3)
    assert found.gain.lower <= 0.0 <= found.gain.upper


def test_every_decision_is_looked_at_or_left_out_and_counted(log, report):
    (whole,) = report.of("all")
    assert whole.found.decisions + sum(report.left_out.values()) == report.read == len(log)
    for kind in ("week", "channel"):
        assert sum(group.found.decisions for group in report.of(kind)) == whole.found.decisions
    assert [group.name for group in report.of("channel")] == ["shop", "web"]
    assert [group.name for group in report.of("week")] == sorted(group.name for group in report.of("week"))


def test_weeks_are_too_short_to_say_anything_and_say_so(report):
    for group in report.of("week"):
        assert group.found.decisions < 1_000
        assert group.found.refusals[0].endswith("at least 1,000 are needed")
        assert group.found.gain is None


def test_a_model_that_wants_what_was_never_tried_is_not_valued(log):
    (whole,) = look_at(log, OTHER).of("all")
    assert whole.found.gain is whole.found.doubly_robust is None
    assert whole.found.refusals
    assert whole.found.needed


def test_amounts_of_different_currencies_are_never_added(log):
    mixed = [msgspec.structs.replace(one, currency="EUR" if one.channel == "web" else "JPY") for one in log]
    assert [group.currency for group in look_at(mixed, MODEL).of("all")] == ["EUR", "JPY"]


def test_records_whose_propensity_is_not_that_of_their_values_are_left_out(log, report):
    before = report.of("all")[0].found.decisions
    wrong = [msgspec.structs.replace(one, propensity=0.123) if i % 10 == 0 else one for i, one in enumerate(log)]
    found = look_at(wrong, MODEL)
    assert found.left_out["the record contradicts itself"] == before - found.of("all")[0].found.decisions > 0


def test_a_log_without_decisions_is_refused():
    with pytest.raises(InputRefused, match="none in which a model decided freely"):
        look_at([], MODEL)


def told(report):
    console = Console(file=StringIO(), width=120)
    print_report(report, console)
    return console.file.getvalue()


def test_a_person_is_told_the_answer_or_that_there_is_none(log, report):
    assert "would have earned as much, as far as one can tell" in told(report)
    assert "The log does not say what this model would have earned." in told(look_at(log, OTHER))
    assert "needed" in told(look_at(log, OTHER))


def test_json_has_the_same_figures(report):
    said = orjson.loads(orjson.dumps(as_json(report)))
    whole = said["groups"][0]
    assert said["evidence"] == "logged decisions"
    assert whole["gain"]["value"] == report.of("all")[0].found.gain.value
    assert all(group["gain"] is None and group["refusals"] for group in said["groups"] if group["kind"] == "week")


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.seen = []

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_the_page_needs_nothing_from_elsewhere_and_its_plots_are_drawings(report):
    groups = [replace_kind(report.of("all")[0], name) for name in ("2026-W10", "2026-W11")]
    written = page(replace(report, groups=[*report.groups, *groups]))
    tags = Tags()
    tags.feed(written)
    assert not [
        tag for tag, attrs in tags.seen if tag in {"script", "link", "img"} or "src" in attrs or "href" in attrs
    ]
    weeks, channels = (ET.fromstring("<svg" + part.split("</svg>")[0] + "</svg>") for part in written.split("<svg")[1:])
    assert len(list(weeks.iter("circle"))) == len(report.of("week")) + 2 * len(groups)
    remarks = [text.text for text in weeks.iter("text") if "remark" in text.get("class", "")]
    assert len(remarks) == len(report.of("week"))
    assert all(remark.startswith("no claim: ") for remark in remarks)
    assert all(0.0 < float(circle.get("cx")) < 900.0 for circle in (*weeks.iter("circle"), *channels.iter("circle")))


def replace_kind(group, name):
    return group._replace(kind="week", name=name)
