"""An explanation for a person, as JSON and as a page: what the record says, in words, and nothing that runs."""

import io
import re

import orjson
import pytest
from rich.console import Console

from pricing_core.rules import CODES
from pricing_core.rungs import RUNGS
from schemas import columns as c
from streams.explain.as_json import as_json
from streams.explain.causes import Cause, Record
from streams.explain.explanation import explained
from streams.explain.page import page
from streams.explain.terminal import print_explanation
from streams.explain.words import CODES as WORDS
from streams.explain.words import RUNGS as RUNG_WORDS
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import SETTINGS, records_of

HOSTILE = '{"event_id":"<script>alert(1)</script>[/bold]"}'


@pytest.fixture(scope="module")
def explanations():
    """A change, a hold by a rule about time, and a hold without a policy."""
    made = engine(0)
    made.apply(0, batch(c.PolicyColumns, {"key": b"web:a"}, {"key": b"web:b", "max_stock_age_ms": HOUR}))
    for key in (b"web:a", b"web:b", b"web:c"):
        made.apply(0, batch(c.ClickColumns, {"key": key, "count": 400}))
        made.apply(0, batch(c.InventoryColumns, {"key": key}))
    causes = [Cause("orders", 3, 7, 1, (Record("orders/0/5", HOSTILE),), is_whole=True)]
    found = records_of(made, made.decide(0, T0 + DAY, "ACTIVE"))
    return {one.key: explained(SETTINGS, one, None, causes) for one in found}


def text_of(explanation):
    out = io.StringIO()
    print_explanation(explanation, Console(file=out, width=160))
    return out.getvalue()


def test_every_reason_code_and_every_rung_has_words():
    assert set(WORDS) == set(CODES)
    assert set(RUNG_WORDS) == set(RUNGS)


def test_the_rung_is_told_and_that_there_is_none_without_candidates(explanations):
    assert "rung  rules: too little was sold" in text_of(explanations[b"web:a"])
    assert "rung  none: no candidates were made" in text_of(explanations[b"web:c"])
    assert as_json(explanations[b"web:a"])["rung"] == "rules"


def test_a_change_is_told_with_its_cause_its_values_and_its_flip(explanations):
    explanation = explanations[b"web:a"]
    record = explanation.found.record
    text = text_of(explanation)
    assert record.outcome == "changed"
    for part in ("web:a: 12.99 EUR → ", "demand: the model values this price most", "1 orders since", "orders/0/5"):
        assert part in text, part
    assert explanation.is_reproduced
    assert "identical, byte for byte" in text
    assert f"flips if  {explanation.flip.name}: " in text


def test_a_hold_is_told_with_limit_and_value_of_the_rule(explanations):
    text = text_of(explanations[b"web:b"])
    assert "12.99 EUR held" in text
    assert (
        "stale_input: an input is older than the policy allows, or was never seen; limit 1 h 0 min; found 1 d 0 h"
        in text
    )


def test_json_has_everything_that_was_seen_with_its_unit(explanations):
    explanation = explanations[b"web:a"]
    found = orjson.loads(orjson.dumps(as_json(explanation)))
    record = explanation.found.record
    assert [one["scaled"] for one in found["features"]] == record.features
    assert all(one["unit"] for one in found["features"] + found["inputs"])
    assert [one["q"] for one in found["candidates"]] == record.candidates.q
    assert [one["is_chosen"] for one in found["candidates"]].index(True) == record.chosen
    assert found["flip"]["name"] in {one["name"] for one in found["inputs"]}
    assert found["made_again"] == {"identical": True, "obstacle": None}
    assert found["causes"][0]["last"] == [{"place": "orders/0/5", "value": HOSTILE}]


def test_without_a_policy_there_is_no_flip_and_it_is_said_so(explanations):
    explanation = explanations[b"web:c"]
    assert as_json(explanation)["flip"] is None
    assert f"none within the ranges of {len(explanation.known)} inputs" in text_of(explanation)
    assert "<svg" not in page(explanation)


def test_the_page_needs_nothing_else_and_runs_nothing(explanations):
    html = page(explanations[b"web:a"])
    assert not re.search(r"<script|https?://|src=|@import", html)
    assert "&lt;script&gt;" in html
    assert html.count('class="legal"') + html.count('class="masked"') >= 9
    assert html.count('class="ring"') == 1
    assert "$" not in html
