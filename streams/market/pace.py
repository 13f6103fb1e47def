"""How long a period is, and how fast it passes on the wall clock."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from streams.market.events import RETOLD_AFTER_MS
from streams.market.worlds import DAY_MS, Drawn

DEFAULT_PERIODS_A_DAY = 8
PERIODS_A_DAY = (1, 2, 3, 4, 6, 8, 12, 24, 48, 96, 288, 1440)


class Pace(NamedTuple):
    """Either the speed of simulated time is given, or it follows from the rate of events."""

    period_ms: int
    speedup: float
    """Simulated seconds a second: given, or expected."""
    rate: float | None
    """Events a second that the speed follows; None: the speed is given."""

    def wall_s(self, events: int) -> float:
        """How long a period with so many events takes on the wall clock."""
        if self.rate is None:
            return self.period_ms / 1000 / self.speedup
        return events / self.rate


def choose_pace(drawn: Drawn, rate: float, speedup: float | None) -> Pace:
    """Choose the period that comes closest to ``rate`` at ``speedup``; without one, let the rate set the speed."""
    if speedup is None:
        daily = expected_events_a_day(drawn, DEFAULT_PERIODS_A_DAY)
        return Pace(DAY_MS // DEFAULT_PERIODS_A_DAY, rate / daily * DAY_MS / 1000, rate)
    wanted = rate / speedup * DAY_MS / 1000
    best = min(PERIODS_A_DAY, key=lambda n: abs(math.log(expected_events_a_day(drawn, n) / wanted)))
    return Pace(DAY_MS // best, speedup, None)


def expected_events_a_day(drawn: Drawn, periods: int) -> float:
    """Roughly how many events all offers together have in a simulated day of so many periods."""
    traffic, pace = drawn.markets.demand.traffic, np.asarray(drawn.state.pace)
    clicks = traffic * drawn.markets.demand.click_rate + pace
    views = sum(periods * -np.expm1(-np.asarray(count) / periods) for count in (traffic, clicks))
    retold = min(periods, DAY_MS // RETOLD_AFTER_MS)
    rivals = np.asarray(drawn.markets.rivals.present).sum(axis=1)
    return float(np.sum(views + pace + retold * (1 + rivals)))
