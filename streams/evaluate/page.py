"""A report as one page that needs nothing else: no network, no scripts."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from string import Template

from pricing_core.evaluation.contestants import CONTESTANTS, LOGGED_RULE, SYSTEM
from pricing_core.evaluation.standing import Mean, Standing
from pricing_core.simulator.bar.rows import Split
from streams.evaluate.run import Report, Row
from streams.evaluate.svg import Entry, Stripe, curves, forest, overview
from streams.evaluate.words import words

_COLOURS = {contestant.name: i for i, contestant in enumerate(CONTESTANTS)}
_LABELS = {contestant.name: contestant.label for contestant in CONTESTANTS}

_LINE = Template(
    "<tr><td>$title<small>$row</small></td><td>$must</td><td>$goal</td>$system<td>$gain</td><td>$badge</td>$others</tr>"
)
_CARD = Template("""<section class="card"><h3>$title $badge</h3><p class="quiet">$story</p>
<div class="plots">
<figure>$forest<figcaption>Share of the optimum; $mark $must % (line), goal $goal % (diamond)</figcaption></figure>
<figure>$curves<figcaption>Earned so far by period, in percent of what the optimum had earned by then</figcaption>
</figure>
</div></section>""")
_COLOUR = Template("""i.c$i { background: var(--c$i); } polyline.c$i, g.c$i line, g.c$i circle { stroke: var(--c$i); }
g.c$i.full circle { fill: var(--c$i); }
""")


def page(report: Report) -> str:
    """Write the page."""
    standings = [row.standing for row in report.rows]
    playing = [name for name in _LABELS if any(name in standing.shares for standing in standings)]
    others = [name for name in playing if name not in {SYSTEM, LOGGED_RULE}]
    must = "floor" if report.order.suite == "quick" else "must"
    return Template(_packaged("page.html")).substitute(
        css=_packaged("page.css"),
        colours="".join(_COLOUR.substitute(i=i) for i in _COLOURS.values()),
        outcome=_outcome(report),
        order=_order(report),
        must=must,
        overview=overview([_stripe(standing) for standing in standings]),
        heads="".join(f"<th>{escape(_LABELS[name])}</th>" for name in others),
        lines="\n".join(_line(standing, others) for standing in standings),
        legend="".join(f'<li><i class="c{_COLOURS[name]}"></i>{escape(_LABELS[name])}</li>' for name in playing),
        cards="\n".join(_card(row, must) for row in report.rows),
        players="".join(
            f"<dt>{escape(contestant.label)}</dt><dd>{escape(contestant.story)}</dd>"
            for contestant in CONTESTANTS
            if contestant.name in playing
        ),
        model=escape(report.model),
        machine=escape(report.machine),
        versions=", ".join(f"{name} {number}" for name, number in report.versions.items()),
        seconds=f"{report.seconds:.0f}",
    )


def _packaged(name: str) -> str:
    return files("streams.evaluate").joinpath(name).read_text(encoding="utf-8")


def _outcome(report: Report) -> str:
    rows = [row.standing for row in report.rows]
    ahead, behind = sum(row.gain.lower > 0.0 for row in rows), sum(row.gain.upper < 0.0 for row in rows)
    asked = "stay above their floors" if report.order.suite == "quick" else "earn what they must"
    return (
        f"{len(rows) - len(report.missed)} of {len(rows)} rows {asked}. The system earns more than the best baseline "
        f"in {ahead} and less in {behind} of them; in {len(rows) - ahead - behind} the difference may be chance."
    )


def _order(report: Report) -> str:
    order, n = report.order, report.rows[0].standing.n
    origin = (
        "The system was developed on markets of these kinds and ranges; figures to quote come from the test split."
        if order.split is Split.TUNING
        else "The system was developed on other markets, of other ranges."
    )
    split = order.split.name.lower()
    return f"Suite {order.suite}, {split} split: {n} simulated markets a row, seed {order.seed}. {origin}"


def _stripe(standing: Standing) -> Stripe:
    best = standing.best_baseline
    baseline = Entry(_LABELS[best], _COLOURS[best], standing.shares[best], hollow=True)
    system = Entry(_LABELS[SYSTEM], _COLOURS[SYSTEM], standing.shares[SYSTEM])
    return Stripe(words(standing.row).title, (baseline, system), standing.mark)


def _line(standing: Standing, others: list[str]) -> str:
    best = max(standing.shares, key=lambda name: standing.shares[name].value)
    cells = {
        name: f'<td class="{"best" if name == best else ""}">{_mean(standing.shares.get(name))}</td>'
        for name in (SYSTEM, *others)
    }
    return _LINE.substitute(
        title=escape(words(standing.row).title),
        row=standing.row,
        must=f"{100 * standing.mark.must:.1f}",
        goal=f"{100 * standing.mark.goal:.1f}",
        system=cells[SYSTEM],
        others="".join(cells[name] for name in others),
        gain=_mean(standing.gain, "+"),
        badge=_badge(standing),
    )


def _mean(mean: Mean | None, sign: str = "") -> str:
    if mean is None:
        return "&ndash;"
    value, lower, upper = (f"{100 * bound:{sign}.1f}" for bound in mean)
    return f"{value}<small>{lower} to {upper}</small>"


def _badge(standing: Standing) -> str:
    verdict = standing.verdict
    return f'<span class="badge {"good" if verdict.passed else "bad"}">{verdict}</span>'


def _card(row: Row, must: str) -> str:
    standing, about = row.standing, words(row.standing.row)
    entries = [Entry(_LABELS[name], _COLOURS[name], share) for name, share in standing.shares.items()]
    lines = [(_COLOURS[name], curve) for name, curve in row.curves.items()]
    return _CARD.substitute(
        title=escape(about.title),
        badge=_badge(standing),
        story=escape(about.story),
        forest=forest(entries, standing.mark),
        mark=must,
        must=f"{100 * standing.mark.must:.1f}",
        goal=f"{100 * standing.mark.goal:.1f}",
        curves=curves(lines, standing.row),
    )
