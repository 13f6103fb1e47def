"""From values to pixels, for plots that are written as SVG."""

from __future__ import annotations

from typing import NamedTuple


class Scale(NamedTuple):
    """A straight line from ``low`` at ``start`` to ``high`` at ``end``; a range of nothing lies at the start."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        """Give the place of a value."""
        span = (self.high - self.low) or 1.0
        return self.start + (self.end - self.start) * (value - self.low) / span
