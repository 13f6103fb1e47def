"""The value of each candidate price as SVG text, with the bounds: colours and fonts are classes of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from streams.explain.explanation import CandidatePrice
from streams.explain.words import amount, in_words
from streams.scale import Scale

WIDTH, HEIGHT = 760, 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 24, 60


class Curve(NamedTuple):
    """What the plot shows."""

    candidates: Sequence[CandidatePrice]
    previous: int | None
    """Price before the decision."""
    lower: int | None
    upper: int | None
    """Legal interval of the price."""
    currency: str | None


def q_curve(curve: Curve) -> str:
    """Draw the candidates by price and value; masked ones are hollow, the chosen one is ringed."""
    valued = [(c, c.q) for c in curve.candidates if c.q is not None]
    if not valued:
        return ""
    prices, values = [c.price for c, _ in valued], [q for _, q in valued]
    margin = 0.08 * (max(prices) - min(prices) or 1)
    x = Scale(min(prices) - margin, max(prices) + margin, _LEFT, WIDTH - _RIGHT)
    y = Scale(min(values), max(values), HEIGHT - _BOTTOM, _TOP)
    parts = [_outside(curve, x), _levels(y), *_axis(curve, x), _line(valued, x, y)]
    parts += [_point(candidate, x(candidate.price), y(q), curve.currency) for candidate, q in valued]
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="Value of each candidate price">{"".join(parts)}</svg>'
    )


def _outside(curve: Curve, x: Scale) -> str:
    """Shade what lies outside of the legal interval."""
    parts = []
    for name, bound, is_lower in (("lower bound", curve.lower, True), ("upper bound", curve.upper, False)):
        if bound is None:
            continue
        at = min(max(x(bound), x.start), x.end)
        start, end = (x.start, at) if is_lower else (at, x.end)
        title = f"<title>{name} {escape(amount(bound, curve.currency))}</title>"
        parts.append(f'<rect x="{start:.1f}" y="{_TOP}" width="{end - start:.1f}" height="{_inner()}" class="out"/>')
        if x.start < at < x.end:
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_TOP + _inner()}" class="bound">{title}</line>'
            )
    return "".join(parts)


def _inner() -> int:
    return HEIGHT - _TOP - _BOTTOM


def _levels(y: Scale) -> str:
    levels = [y.low + (y.high - y.low) * step / 4 for step in range(5)]
    return "".join(
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y(q):.1f}" y2="{y(q):.1f}" class="grid"/>'
        f'<text x="{_LEFT - 8}" y="{y(q) + 4:.1f}" class="end">{q:.3g}</text>'
        for q in levels
    )


def _axis(curve: Curve, x: Scale) -> list[str]:
    """Prices below the plot, in two lines so that neighbours do not touch."""
    parts = []
    for place, price in enumerate(sorted({candidate.price for candidate in curve.candidates})):
        text = amount(price, curve.currency).partition(" ")[0]
        y = HEIGHT - _BOTTOM + 18 + 16 * (place % 2)
        parts.append(f'<text x="{x(price):.1f}" y="{y}" class="middle">{text}</text>')
    if curve.previous is not None:
        at = x(curve.previous)
        parts.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" y2="{_TOP + _inner()}" class="before">'
            "<title>price before</title></line>"
        )
    return parts


def _line(valued: Sequence[tuple[CandidatePrice, float]], x: Scale, y: Scale) -> str:
    points = " ".join(f"{x(c.price):.1f},{y(q):.1f}" for c, q in sorted(valued, key=lambda pair: pair[0].price))
    return f'<polyline points="{points}"/>'


def _point(candidate: CandidatePrice, x: float, y: float, currency: str | None) -> str:
    rule = f", {candidate.masked}: {in_words(candidate.masked)}" if candidate.masked else ""
    told = escape(f"{amount(candidate.price, currency)} ({candidate.move_bp / 100:+g} %): {candidate.q}{rule}")
    ring = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="9" class="ring"/>' if candidate.is_chosen else ""
    kind = "masked" if candidate.masked else "legal"
    return f'{ring}<circle cx="{x:.1f}" cy="{y:.1f}" r="5" class="{kind}"><title>{told}</title></circle>'
