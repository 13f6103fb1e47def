"""Intervals under one another as SVG text; colours and fonts are classes of the page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from streams.scale import Scale

_WIDTH, _LEFT, _RIGHT, _TOP, _LINE, _BOTTOM = 900, 170, 30, 10, 34, 28
_TICKS = 6


class Bar(NamedTuple):
    """An interval."""

    told: str
    kind: str
    """Class of the page."""
    value: float
    lower: float
    upper: float


class Line(NamedTuple):
    """One line of the plot: a name, its intervals above one another, and a remark."""

    label: str
    bars: Sequence[Bar]
    remark: str = ""


def intervals(lines: Sequence[Line], title: str, *, whole: float | None = None) -> str:
    """Draw all lines over one axis; ``whole`` is a value to be seen beside them."""
    bounds = [bound for line in lines for bar in line.bars for bound in (bar.lower, bar.upper)]
    bounds += [] if whole is None else [whole]
    if not bounds:
        return ""
    margin = 0.05 * ((max(bounds) - min(bounds)) or 1.0)
    axis = Scale(min(bounds) - margin, max(bounds) + margin, _LEFT, _WIDTH - _RIGHT)
    bottom = _TOP + _LINE * len(lines)
    parts = [_tick(axis, value, bottom) for value in _ticks(axis)]
    if whole is not None:
        parts.append(f'<line x1="{axis(whole):.1f}" x2="{axis(whole):.1f}" y1="{_TOP}" y2="{bottom}" class="whole"/>')
    for place, line in enumerate(lines):
        y = _TOP + _LINE * (place + 0.5)
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 4:.1f}" class="end">{escape(line.label)}</text>')
        if line.remark:
            parts.append(
                f'<text x="{_WIDTH - _RIGHT}" y="{y + 15:.1f}" class="end remark">{escape(line.remark)}</text>'
            )
        spread = 9.0 * (np.arange(len(line.bars)) - 0.5 * (len(line.bars) - 1))
        parts += [_bar(axis, bar, y + shift) for bar, shift in zip(line.bars, spread.tolist(), strict=True)]
    height = bottom + _BOTTOM
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )


def _ticks(axis: Scale) -> list[float]:
    span = axis.high - axis.low
    power = 10.0 ** np.floor(np.log10(span / _TICKS))
    step = next(power * m for m in (1, 2, 5, 10, 20) if span / (power * m) <= _TICKS)
    return [round(float(tick), 9) for tick in np.arange(np.ceil(axis.low / step) * step, axis.high, step)]


def _tick(axis: Scale, value: float, bottom: float) -> str:
    x = axis(value)
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}" class="grid"/>'
        f'<text x="{x:.1f}" y="{bottom + 18}" class="middle">{value:,g}</text>'
    )


def _bar(axis: Scale, bar: Bar, y: float) -> str:
    return (
        f'<g class="{bar.kind}"><title>{escape(bar.told)}</title>'
        f'<line x1="{axis(bar.lower):.1f}" x2="{axis(bar.upper):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle cx="{axis(bar.value):.1f}" cy="{y:.1f}" r="4"/></g>'
    )
