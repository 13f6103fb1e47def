"""The wall clock: only adapters read it; everything that decides is told the time."""

from __future__ import annotations

import time


def wall_ms() -> int:
    """Wall clock, ms since the epoch."""
    return time.time_ns() // 1_000_000
