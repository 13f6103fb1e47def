"""What several rounds say together."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def spread(name: str, values: Sequence[float], digits: int) -> dict[str, float]:
    """Median under the plain name, and the least and the greatest, rounded."""
    found = {name: statistics.median(values), f"{name}_min": min(values), f"{name}_max": max(values)}
    return {figure: round(value, digits) for figure, value in found.items()}
