"""What the sparklines show: events a second, and profit against hold, over the last looks."""

from __future__ import annotations

from collections import deque

from streams.market.truth import Truth

KEPT = 120
RATE_OVER_S = 1.0


class History:
    """The last `KEPT` values of both."""

    def __init__(self) -> None:
        self.rates: deque[float] = deque(maxlen=KEPT)
        self.gains: deque[float] = deque(maxlen=KEPT)
        self._since: tuple[float, int] | None = None

    def add(self, now: float, events: int, truth: Truth | None) -> None:
        """Note a look at ``now``, seconds of a monotonic clock."""
        if self._since is None:
            self._since = (now, events)
        elif now - self._since[0] >= RATE_OVER_S:
            self.rates.append((events - self._since[1]) / (now - self._since[0]))
            self._since = (now, events)
        if truth is not None and truth.profit_hold > 0:
            self.gains.append(truth.profit / truth.profit_hold - 1)
