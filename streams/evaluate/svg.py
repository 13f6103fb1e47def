"""Plots as SVG text: colours and fonts are classes of the page, `c0`, `c1`, … by contestant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.standing import Mean
from pricing_core.simulator.bar.rows import Mark
from streams.scale import Scale

LINE = 20
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 26, 20, 24
_TICKS = 6
_POINTS = 160
_HIGHEST = 1.2
"""Of a curve: who sells out too fast has earned twice as much as the optimum for a while."""


class Entry(NamedTuple):
    """A line of a forest plot."""

    label: str
    colour: int
    mean: Mean
    hollow: bool = False


class Stripe(NamedTuple):
    """Two entries of one row, and its marks."""

    label: str
    entries: tuple[Entry, Entry]
    """One above the other."""
    mark: Mark


class _Axis(Scale):
    """Of shares, or periods."""

    def ticks(self) -> list[float]:
        """Give round values, at most `_TICKS` of them."""
        span = self.high - self.low
        power = 10.0 ** np.floor(np.log10(span / _TICKS))
        step = next(power * m for m in (1, 2, 5, 10, 20) if span / (power * m) <= _TICKS)
        return [
            float(tick) for tick in np.arange(np.ceil(self.low / step - 1e-9) * step, self.high + step * 1e-6, step)
        ]


def overview(stripes: Sequence[Stripe], *, width: int = 1000, left: int = 310) -> str:
    """One line for each row: the system, its best baseline, what it must earn and its goal."""
    shares = [bound for stripe in stripes for entry in stripe.entries for bound in entry.mean]
    axis = _share_axis([*shares, *(stripe.mark.must for stripe in stripes)], left, width - _RIGHT)
    line = LINE + 4
    height = _TOP + line * len(stripes) + _BOTTOM
    parts = [_grid(axis, _TOP, height - _BOTTOM)]
    for i, stripe in enumerate(stripes):
        y = _TOP + line * (i + 0.5)
        parts.append(f'<text x="{left - 10}" y="{y + 4:.1f}" class="end">{escape(stripe.label)}</text>')
        parts.append(_must(axis(stripe.mark.must), y - 8, y + 8))
        parts.append(_diamond(axis(stripe.mark.goal), y))
        parts += [_interval(axis, entry, y + shift) for entry, shift in zip(stripe.entries, (-4, 4), strict=True)]
    return _svg(width, height, "Share of the optimum by row", parts)


def forest(entries: Sequence[Entry], mark: Mark, *, width: int = 440) -> str:
    """One line for each contestant of a row."""
    axis = _share_axis([*(bound for entry in entries for bound in entry.mean), mark.must], _LEFT, width - _RIGHT)
    height = _TOP + LINE * len(entries) + _BOTTOM
    parts = [
        _grid(axis, _TOP, height - _BOTTOM),
        _must(axis(mark.must), _TOP, height - _BOTTOM),
        _diamond(axis(mark.goal), _TOP - 6),
    ]
    for i, entry in enumerate(entries):
        y = _TOP + LINE * (i + 0.5)
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" class="end">{escape(entry.label)}</text>')
        parts.append(_interval(axis, entry, y))
    return _svg(width, height, "Share of the optimum by policy", parts)


def curves(lines: Sequence[tuple[int, Float64]], name: str, *, width: int = 440, height: int = 200) -> str:
    """What contestants had earned by each period as a share of what the optimum had, by colour."""
    periods = len(lines[0][1])
    shown = np.concatenate([line[periods // 20 :] for _, line in lines])
    shown = shown[np.isfinite(shown)]
    x = _Axis(1.0, float(periods), 46.0, width - _RIGHT)
    low = max(float(np.quantile(shown, 0.02)) - 0.02, 0.0)
    high = min(max(float(np.quantile(shown, 0.98)), 1.0) + 0.02, _HIGHEST)
    y = _Axis(low, high, height - _BOTTOM, 10.0)
    parts = [_levels(y, x.start, x.end), _hundred(y, x)]
    parts += [
        _centred(x(tick), height - 8, f"{tick:,.0f}") for tick in (1.0, *x.ticks()) if tick == 1.0 or tick > x.high / 12
    ]
    inside = f'<rect x="{x.start}" y="10" width="{x.end - x.start}" height="{height - 10 - _BOTTOM}"/>'
    parts.append(f'<clipPath id="{name}">{inside}</clipPath><g clip-path="url(#{name})">')
    # The system is drawn last, above the others.
    parts += [_polyline(x, y, colour, line) for colour, line in sorted(lines, key=lambda drawn: -drawn[0])]
    return _svg(width, height, "Earned so far by period", [*parts, "</g>"])


def _share_axis(values: Iterable[float], start: float, end: float) -> _Axis:
    finite = list(values)
    return _Axis(max(min(finite) - 0.01, 0.0), max(1.0, *finite) + 0.002, start, end)


def _grid(axis: _Axis, top: float, bottom: float) -> str:
    return "".join(
        f'<line x1="{axis(t):.1f}" x2="{axis(t):.1f}" y1="{top}" y2="{bottom}" class="grid"/>'
        + _centred(axis(t), bottom + 16, f"{100 * t:g} %")
        for t in (round(tick, 6) for tick in axis.ticks())
    )


def _levels(axis: _Axis, left: float, right: float) -> str:
    return "".join(
        f'<line y1="{axis(t):.1f}" y2="{axis(t):.1f}" x1="{left}" x2="{right}" class="grid"/>'
        f'<text x="{left - 6}" y="{axis(t) + 4:.1f}" class="end">{100 * t:g} %</text>'
        for t in (round(tick, 6) for tick in axis.ticks())
    )


def _hundred(y: _Axis, x: _Axis) -> str:
    return f'<line y1="{y(1.0):.1f}" y2="{y(1.0):.1f}" x1="{x.start}" x2="{x.end}" class="whole"/>'


def _interval(axis: _Axis, entry: Entry, y: float) -> str:
    mean = entry.mean
    told = f"{entry.label}: {100 * mean.value:.1f} % ({100 * mean.lower:.1f} to {100 * mean.upper:.1f})"
    kind = "hollow" if entry.hollow else "full"
    return (
        f'<g class="c{entry.colour} {kind}"><title>{escape(told)}</title>'
        f'<line x1="{axis(mean.lower):.1f}" x2="{axis(mean.upper):.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<circle cx="{axis(mean.value):.1f}" cy="{y:.1f}" r="4"/></g>'
    )


def _must(x: float, top: float, bottom: float) -> str:
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" class="must"><title>must</title></line>'


def _diamond(x: float, y: float) -> str:
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" class="goal"><title>goal</title></path>'


def _polyline(x: _Axis, y: _Axis, colour: int, line: Float64) -> str:
    at = np.unique(np.linspace(0, len(line) - 1, _POINTS).astype(int))
    points = " ".join(f"{x(i + 1):.1f},{y(float(line[i])):.1f}" for i in at if np.isfinite(line[i]))
    return f'<polyline points="{points}" class="c{colour}"/>'


def _centred(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="middle">{text}</text>'


def _svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'role="img" aria-label="{escape(title)}">{"".join(parts)}</svg>'
    )
