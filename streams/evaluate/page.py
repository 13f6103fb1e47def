"""A report as one page that needs nothing else: no network, no scripts."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from importlib.resources import files

from pricing_core.evaluation.contestants import CONTESTANTS, SYSTEM
from pricing_core.evaluation.standing import Mean, Standing
from streams.evaluate.run import Report, Row
from streams.evaluate.svg import Entry, Stripe, curves, forest, overview
from streams.evaluate.words import LIMITS, READING, words

_COLOURS = {contestant.name: i for i, contestant in enumerate(CONTESTANTS)}
_LABELS = {contestant.name: contestant.label for contestant in CONTESTANTS}


def page(report: Report) -> str:
    """Write the page: overview, table, each row, the words, the limits."""
    css = files("streams.evaluate").joinpath("page.css").read_text(encoding="utf-8") + _colour_rules()
    must = "floor" if report.order.suite == "quick" else "must"
    standings = [row.standing for row in report.rows]
    playing = [name for name in _LABELS if any(name in standing.shares for standing in standings)]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Does it earn more?</title>'
        f"<style>{css}</style></head><body>{_head(report)}"
        f"<h2>At a glance</h2>{_marks(must)}{overview([_stripe(standing) for standing in standings])}"
        f'<h2>All figures</h2><p class="quiet">Percent of the optimum, and below it the bounds of the 95 % interval; bold: '
        f'the best of the row.</p><div class="scroll">{_table(standings, playing, must)}</div>'
        f"<h2>Row by row</h2>{_legend(playing)}{''.join(_card(row, must) for row in report.rows)}"
        f"<h2>Who plays</h2><dl>{_players(playing)}</dl><h2>How to read it</h2><dl>{_definitions(READING)}</dl>"
        f"<h2>What it does not say</h2><ul>{''.join(f'<li>{escape(limit)}</li>' for limit in LIMITS)}</ul>"
        f"{_footer(report)}</body></html>\n"
    )


def _colour_rules() -> str:
    return "".join(
        f".c{i} line, .c{i} circle, polyline.c{i} {{ stroke: var(--c{i}); }} .full.c{i} circle, .swatch{i} "
        f"{{ fill: var(--c{i}); }} i.swatch{i} {{ background: var(--c{i}); }}\n"
        for i in _COLOURS.values()
    )


def _head(report: Report) -> str:
    order, rows = report.order, report.rows
    passed = len(rows) - len(report.missed)
    ahead = sum(row.standing.gain.lower > 0.0 for row in rows)
    behind = sum(row.standing.gain.upper < 0.0 for row in rows)
    split = (
        "These are the markets that the system was developed on; figures to report come from the test markets."
        if order.split.name == "TUNING"
        else "The system was developed on other markets than these."
    )
    return (
        f"<h1>Does it earn more?</h1><p>{passed} of {len(rows)} rows earn what they must. The system earns more than the best "
        f"baseline in {ahead} rows and less in {behind}; in {len(rows) - ahead - behind} the difference may be chance.</p>"
        f'<p class="quiet">Suite {order.suite}, {order.split.name.lower()} split: {rows[0].standing.n} simulated markets a row, '
        f"seed {order.seed}. {split}</p>"
    )


def _marks(must: str) -> str:
    return (
        '<ul class="legend"><li><i class="swatch0"></i>system</li><li>○ best baseline, in its colour of the plots below</li>'
        f'<li><span style="color:var(--bad)">┃</span> {must}</li><li><span style="color:var(--good)">◆</span> goal</li></ul>'
    )


def _stripe(standing: Standing) -> Stripe:
    best = standing.best_baseline
    baseline = Entry(_LABELS[best], _COLOURS[best], standing.shares[best], hollow=True)
    system = Entry(_LABELS[SYSTEM], 0, standing.shares[SYSTEM])
    return Stripe(words(standing.row).title, (baseline, system), standing.mark.must, standing.mark.goal)


def _table(standings: list[Standing], playing: list[str], must: str) -> str:
    heads = "".join(f"<th>{escape(_LABELS[name])}</th>" for name in playing)
    body = "".join(_line(standing, playing) for standing in standings)
    return f"<table><thead><tr><th>row</th><th>{must}</th><th>goal</th>{heads}<th>gain</th><th></th></tr></thead><tbody>{body}</tbody></table>"


def _line(standing: Standing, playing: list[str]) -> str:
    best = max(standing.shares, key=lambda name: standing.shares[name].value)
    cells = "".join(_cell(standing.shares.get(name), "best" if name == best else "") for name in playing)
    return (
        f"<tr><td>{escape(words(standing.row).title)}<small>{standing.row}</small></td><td>{100 * standing.mark.must:.1f}</td>"
        f"<td>{100 * standing.mark.goal:.1f}</td>{cells}{_cell(standing.gain, '', sign='+')}<td>{_badge(standing)}</td></tr>"
    )


def _cell(mean: Mean | None, kind: str, sign: str = "") -> str:
    if mean is None:
        return "<td>–</td>"
    value, lower, upper = (f"{100 * bound:{sign}.1f}" for bound in mean)
    return f'<td class="{kind}">{value}<small>{lower} to {upper}</small></td>'


def _badge(standing: Standing) -> str:
    verdict = standing.verdict.value
    return f'<span class="badge {verdict.replace(" ", "-")}-badge">{verdict}</span>'


def _card(row: Row, must: str) -> str:
    standing, about = row.standing, words(row.standing.row)
    entries = [Entry(_LABELS[name], _COLOURS[name], share) for name, share in standing.shares.items()]
    lines = [(_COLOURS[name], curve) for name, curve in row.curves.items()]
    asked = f"{must} {100 * standing.mark.must:.1f} % (line), goal {100 * standing.mark.goal:.1f} % (diamond)"
    return (
        f'<section class="card"><h3>{escape(about.title)} {_badge(standing)}</h3><p class="quiet">{escape(about.story)}</p>'
        f'<div class="plots"><figure>{forest(entries, standing.mark.must, standing.mark.goal)}'
        f"<figcaption>Share of the optimum; {asked}</figcaption></figure><figure>{curves(lines, standing.row)}"
        "<figcaption>Earned so far, in percent of what the optimum had earned by then, by period</figcaption></figure>"
        "</div></section>"
    )


def _legend(playing: list[str]) -> str:
    items = "".join(f'<li><i class="swatch{_COLOURS[name]}"></i>{escape(_LABELS[name])}</li>' for name in playing)
    return f'<ul class="legend">{items}</ul>'


def _players(playing: list[str]) -> str:
    return _definitions(
        (contestant.label, contestant.story) for contestant in CONTESTANTS if contestant.name in playing
    )


def _definitions(pairs: Iterable[tuple[str, str]]) -> str:
    return "".join(f"<dt>{escape(term)}</dt><dd>{escape(meaning)}</dd>" for term, meaning in pairs)


def _footer(report: Report) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in report.versions.items())
    return (
        f"<footer>System: {escape(report.model)}. {escape(report.machine)}; {escape(versions)}; {report.seconds:.0f} s. Made by "
        f"<code>repricer evaluate</code>: the same seed gives the same figures on one kind of machine.</footer>"
    )
