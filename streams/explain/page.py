"""An explanation as one page that needs nothing else: no network, no scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files
from string import Template

from pricing_core.q_function import UNIT
from streams.explain import telling
from streams.explain.explanation import CandidatePrice, Explanation
from streams.explain.svg import Curve, q_curve
from streams.explain.words import amount, in_words, mode_of, span

_CANDIDATES = Template("""<h2>What each price is worth to the model</h2>
<figure class="scroll">$curve<figcaption class="quiet">Green ring: chosen. Hollow: forbidden by a rule. Dashed: the
price before. Shaded: outside of the legal interval. Value: $unit.</figcaption></figure>
<div class="scroll"><table><thead><tr><th>move</th><th class="number">price</th><th class="number">value</th>
<th>forbidden by</th></tr></thead><tbody>$rows</tbody></table></div>""")


def page(explanation: Explanation) -> str:
    """Write the page."""
    record = explanation.found.record
    template = files("streams.explain").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(
        title=escape(f"Decision {record.decision_id}"),
        headline=escape(telling.headline(explanation)),
        reason=escape(telling.reason(explanation)),
        facts=_definitions(_facts(explanation)),
        candidates=_candidates(explanation),
        inputs=_inputs(explanation),
        cause=escape(telling.cause(explanation)),
        records=_records(explanation),
        features=_features(explanation),
        ages=_definitions({name: f"{span(ms)} ago" for name, ms in explanation.ages.items()}),
        versions=escape(
            f"Model {record.model}, rules {record.rules}, policy {record.policy_version}, {mode_of(record)}, "
            f"record {explanation.found.place}"
        ),
    )


def _facts(explanation: Explanation) -> dict[str, str]:
    record = explanation.found.record
    again = "identical, byte for byte" if explanation.is_reproduced else explanation.obstacle or "differently"
    low, high = (amount(bound, record.currency) for bound in (record.lower_bound, record.upper_bound))
    return {
        "Decision": f"{record.decision_id} at {record.decided_at}",
        "Smallest change of one input that flips it": telling.flip(explanation),
        "Rung of the evidence ladder": telling.rung(explanation),
        "Legal interval": f"{low} to {high}",
        "Probability of this choice": "none" if record.propensity is None else f"{record.propensity:g}",
        "Made again from its record": again,
    }


def _definitions(lines: dict[str, str]) -> str:
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in lines.items())


def _candidates(explanation: Explanation) -> str:
    record, found = explanation.found.record, explanation.candidates
    if not found:
        return ""
    curve = Curve(found, record.previous_price, record.lower_bound, record.upper_bound, record.currency)
    rows = "".join(_candidate(candidate, record.currency) for candidate in found)
    return _CANDIDATES.substitute(curve=q_curve(curve), rows=rows, unit=escape(UNIT))


def _candidate(candidate: CandidatePrice, currency: str | None) -> str:
    kind = "chosen" if candidate.is_chosen else "masked" if candidate.masked else ""
    rule = f"{candidate.masked}: {in_words(candidate.masked)}" if candidate.masked else ""
    value = "none" if candidate.q is None else f"{candidate.q:.4f}"
    cells = (f"{candidate.move_bp / 100:+g} %", amount(candidate.price, currency), value, rule)
    return _row(cells, numbers={1, 2}, kind=kind)


def _inputs(explanation: Explanation) -> str:
    currency = explanation.found.record.currency
    cells = (
        (known.name, telling.value(known, known.value, currency), telling.flips(known, currency))
        for known in explanation.known
    )
    return "".join(_row(row, numbers={1}) for row in cells)


def _records(explanation: Explanation) -> str:
    records = [record for cause in explanation.causes for record in cause.last]
    return "".join(_row((record.place, record.value or "removed"), record=1) for record in records)


def _features(explanation: Explanation) -> str:
    cells = (
        (one.name, "none" if one.value is None else f"{one.value:.4g}", one.unit, f"{one.scaled}")
        for one in explanation.features
    )
    return "".join(_row(row, numbers={1, 3}) for row in cells)


def _row(cells: Iterable[str], *, numbers: Iterable[int] = (), record: int | None = None, kind: str = "") -> str:
    classes = {**dict.fromkeys(numbers, "number"), **({} if record is None else {record: "record"})}
    inner = "".join(f'<td class="{classes.get(i, "")}">{escape(cell)}</td>' for i, cell in enumerate(cells))
    return f'<tr class="{kind}">{inner}</tr>'
