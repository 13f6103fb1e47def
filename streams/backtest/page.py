"""A report as one page that needs nothing else: no network, no scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from html import escape
from importlib.resources import files
from string import Template

from pricing_core.evaluation.intervals import Estimate
from schemas.money import currency
from streams.backtest.run import Group, Report
from streams.backtest.svg import Bar, Line, intervals
from streams.backtest.words import MEANING, gain, headline, interval, title

_LEGEND = '<p class="legend"><span><i class="log"></i>the log</span><span><i class="model"></i>the model</span></p>'
_HEADS = (
    "",
    "decisions",
    "offers",
    "same price",
    "within reach",
    "effective size",
    "log",
    "model, doubly robust",
    "gain",
)


def page(report: Report) -> str:
    """Write the page."""
    left_out = ", ".join(f"{count:,} {why}" for why, count in report.left_out.items()) or "none"
    order = f"{report.read:,} transitions, {report.since[:10]} to {report.until[:10]}. Left out: {left_out}."
    body = [f'<p class="quiet">{escape(order)}</p>', *(_card(group) for group in report.of("all"))]
    for kind, heading in (("week", "Week by week"), ("channel", "By channel")):
        body += [_section(heading, groups) for groups in _by_currency(report.of(kind)) if len(groups) > 1]
    body.append("<h2>All figures</h2>" + _table(report.groups))
    body.append(f"<h2>What it means</h2><p>{escape(MEANING)}</p>")
    footer = f"Model {report.model}. Made by <code>repricer backtest</code>: the same log gives the same figures."
    return whole_page(f"What {report.model} would have earned", "\n".join(body), footer)


def whole_page(heading: str, body: str, footer: str) -> str:
    """Put what was written into the frame that reports about the past share."""
    template = files("streams.backtest").joinpath("page.html").read_text(encoding="utf-8")
    return Template(template).substitute(title=escape(heading), body=body, footer=footer)


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Write a table; its first column is text, the others are figures."""
    first = "".join(f'<th class="{"number" if i else ""}">{escape(head)}</th>' for i, head in enumerate(heads))
    lines = (
        "".join(f'<td class="{"number" if i else ""}">{escape(cell)}</td>' for i, cell in enumerate(row))
        for row in rows
    )
    inner = "".join(f"<tr>{line}</tr>" for line in lines)
    return f'<div class="scroll"><table><thead><tr>{first}</tr></thead><tbody>{inner}</tbody></table></div>'


def definitions(facts: Mapping[str, str]) -> str:
    """Write names and what is said of them."""
    return f"<dl>{''.join(f'<dt>{escape(name)}</dt><dd>{escape(text)}</dd>' for name, text in facts.items())}</dl>"


def _card(group: Group) -> str:
    found = group.found
    facts = {
        "The log": interval(found.logged, group.currency),
        "The model, doubly robust": interval(found.doubly_robust, group.currency),
        "The model, SNIPS": interval(found.snips, group.currency),
        "Same price": f"{found.agreement:.1%}; another and higher one {found.model_higher:.1%}",
        "Price moved": f"{found.changed:.1%} in the log, {found.model_changes:.1%} by the model",
        "Within reach": f"{found.supported:.1%} of what the model would do the log may have tried",
        "Decisions": f"{found.decisions:,} of {found.offers:,} offers",
        "Effective size": f"{found.effective_sample_size:,.0f} decisions",
    }
    if found.gain_alike is not None:
        alike = found.gain_alike
        facts["Each offer counting alike"] = f"{alike.value:+.1%} ({alike.lower:+.1%} to {alike.upper:+.1%})"
    facts |= {f"No claim{'' if i == 0 else f', {i + 1}'}": reason for i, reason in enumerate(found.refusals)}
    facts |= {f"Needed{'' if i == 0 else f', {i + 1}'}": what for i, what in enumerate(found.needed)}
    kind = "warning" if found.refusals else "fine"
    return f'<div class="card {kind}"><h3>{escape(headline(group))}</h3>{definitions(facts)}</div>'


def _by_currency(groups: list[Group]) -> list[list[Group]]:
    return [[g for g in groups if g.currency == code] for code in sorted({g.currency for g in groups}, key=str)]


def _section(heading: str, groups: list[Group]) -> str:
    code = groups[0].currency
    lines = [_line(group) for group in groups]
    unit = f"{code or 'minor units'} a day and offer"
    figure = intervals(lines, f"{heading}, {unit}")
    return (
        f"<h2>{escape(heading)}</h2>{_LEGEND}<figure>{figure}<figcaption>Profit, {escape(unit)}, with 95 % intervals; "
        "of log and model they overlap more than of the gain between them, which is taken decision by decision."
        "</figcaption></figure>"
    )


def _line(group: Group) -> Line:
    found, code = group.found, group.currency
    bars = [
        bar
        for kind, name, estimate in (("log", "log", found.logged), ("model", "model", found.doubly_robust))
        if (bar := _bar(kind, name, estimate, code)) is not None
    ]
    return Line(title(group), bars, f"no claim: {found.refusals[0]}" if found.refusals else "")


def _bar(kind: str, name: str, found: Estimate | None, code: str | None) -> Bar | None:
    if found is None:
        return None
    unit = 10.0 ** (0 if code is None else currency(code).exponent)
    return Bar(f"{name}: {interval(found, code)}", kind, found.value / unit, found.lower / unit, found.upper / unit)


def _table(groups: list[Group]) -> str:
    rows = (
        (
            title(group),
            f"{group.found.decisions:,}",
            f"{group.found.offers:,}",
            f"{group.found.agreement:.0%}",
            f"{group.found.supported:.0%}",
            f"{group.found.effective_sample_size:,.0f}",
            *(interval(e, group.currency) for e in (group.found.logged, group.found.doubly_robust)),
            gain(group),
        )
        for group in groups
    )
    return table(_HEADS, rows)
