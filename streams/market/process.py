"""The market's loop: one period after the other, at the pace of simulated time.

1. take over the prices that the catalog has applied since the last period;
2. let the period pass, in the market and in its copies under other rules;
3. publish what can be seen of it, spread over the wall-clock time that belongs to the period;
4. tell every partition the time, and write the account.

Event time starts in the past, runs ``speedup`` times faster than the wall clock, and never passes it.
"""

from __future__ import annotations

import math
import time
import urllib.request
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event as Signal

import structlog

from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, OFFER_POLICIES, ORDERS, PRICE_APPLIED, TICKS
from streams.clock import wall_ms
from streams.compiled import keep_compiled
from streams.market.broker import AppliedPrices, Publisher
from streams.market.delivery import Delivery
from streams.market.events import CURRENCY, Event, EventWriter
from streams.market.in_step import InStep
from streams.market.pace import Pace, choose_pace
from streams.market.policies import merchant_policies, offer_names
from streams.market.truth import Accounts, UnitProfits, write_truth
from streams.market.worlds import DAY_MS, RIVAL_NAMES, RULES, Worlds, draw
from streams.settings import Settings
from streams.stop_signal import stop_signal
from streams.topic_presence import require_present

TOPICS = (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY, OFFER_POLICIES, TICKS, PRICE_APPLIED)
UNPLANNED_S = 3600.0
"""Event time of a market whose end is not known starts as far back as an hour of the wall clock needs."""
MARGIN = 1.25
MARGIN_MS = 3_600_000
SLICE_S = 0.02
WRITE_S = 0.5
ASK_S = 0.1

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for on the command line."""

    rate: float
    """Events a second of the wall clock, as a target."""
    skus: int
    seed: int
    events: int | None = None
    """Stop after so many."""
    seconds: float | None = None
    """Stop after so long."""
    speedup: float | None = None
    """Simulated seconds a second; None: what the rate makes of it."""
    days: float | None = None
    """Stop after so many simulated days."""
    price_sensitivity: float = 1.0
    """Of the shoppers, beside those that models train on."""
    in_step: bool = False
    """A period begins when workers and catalog are done with the one before, however slow the machine is."""
    regime_change_day: float | None = None
    """Other shoppers come from this simulated day on."""
    truth: Path | None = None
    """Where the account is written."""
    after: str | None = None
    """The market opens when this page answers."""


class Market:
    """One market process: everything is drawn and compiled when it is built."""

    def __init__(self, settings: Settings, order: Order) -> None:
        partitions = require_present(settings, TOPICS)
        self._order = order
        drawn = draw(order.seed, order.skus, order.price_sensitivity)
        # A later run has a later version: its policies replace those of an earlier one, whatever its seed.
        self._policies = merchant_policies(drawn.markets, order.seed, version=wall_ms() // 1000, at=wall_ms())
        self._worlds = Worlds(drawn, self._policies, order.seed, order.price_sensitivity)
        self._worlds.warm_up()
        self._names = offer_names(order.skus)
        self._accounts = Accounts(UnitProfits(self._policies), RULES, order.skus)
        self._writer = EventWriter(self._names, RIVAL_NAMES, order.seed)
        self._delivery = Delivery(order.seed)
        self._publisher = Publisher(settings, partitions, order.seed)
        self._applied = AppliedPrices(settings, partitions, self._names, self._worlds.start_price)
        self._pace: Pace = choose_pace(drawn, order.rate, order.speedup)
        self._in_step = InStep(settings, partitions, self._names, self._applied) if order.in_step else None
        self._opened = self._written = 0.0  # monotonic, s
        self._start_ms = self._now_ms = 0  # event time
        self._regime_ends_at = math.inf if order.regime_change_day is None else order.regime_change_day

    def run(self, stopping: Signal) -> None:
        """Publish policies, wait for the opening, and let periods pass until the end of the order or a signal."""
        self._publisher.send_policies(self._policies, wall_ms())
        self._wait_for_opening(stopping)
        if stopping.is_set():
            return
        self._open()
        while not self._is_over(stopping):
            self._pass_period(stopping)
        self._publisher.send(self._delivery.rest())
        self._publisher.flush()
        self._write(final=True)
        self._applied.close()
        if self._in_step is not None:
            self._in_step.close()
        log.info("market closed", events=self._publisher.published, days=self._days)

    @property
    def _days(self) -> float:
        return (self._now_ms - self._start_ms) / DAY_MS

    def _wait_for_opening(self, stopping: Signal) -> None:
        while self._order.after and not _answers(self._order.after) and not stopping.wait(ASK_S):
            pass

    def _open(self) -> None:
        order, speedup = self._order, self._pace.speedup
        planned_s = order.seconds or UNPLANNED_S  # a number of events takes as long as the market is lively
        if order.days is not None:
            planned_s = order.days * DAY_MS / 1000 / speedup
        self._start_ms = self._now_ms = wall_ms() - int(MARGIN * planned_s * speedup * 1000) - MARGIN_MS
        self._opened = time.monotonic()
        self._write(final=False)
        log.info("market open", offers=order.skus, speedup=round(speedup), period_s=self._pace.period_ms // 1000)

    def _is_over(self, stopping: Signal) -> bool:
        events, seconds = self._order.events, self._order.seconds
        return (
            stopping.is_set()
            or (events is not None and self._publisher.published >= events)
            or (seconds is not None and time.monotonic() - self._opened >= seconds)
            or (self._order.days is not None and self._days >= self._order.days)
        )

    def _pass_period(self, stopping: Signal) -> None:
        start, end = self._now_ms, self._now_ms + self._pace.period_ms
        stopping.wait(max(0.0, (end - wall_ms()) / 1000))  # event time has caught up with the wall clock
        end = max(start + 1, min(end, wall_ms()))  # woken by a signal: a shorter period
        if self._in_step is not None:
            self._publisher.flush()
            self._in_step.wait(stopping)
        self._applied.read()  # 1
        if self._days >= self._regime_ends_at:
            self._worlds.change_regime()
            self._regime_ends_at = math.inf
            log.info("other shoppers come", day=self._days)
        period, sales = self._worlds.advance(self._applied.prices.copy(), start, end)  # 2
        self._accounts.close_period(sales)
        events = list(self._delivery.deliver(self._writer.events(period), end))
        self._now_ms = end
        if self._in_step is None:
            self._publish(events, stopping)  # 3
            self._publisher.send_time(end)  # 4
        else:
            self._publish_at_once(events, end, stopping)
        if time.monotonic() - self._written >= WRITE_S:
            self._write(final=False)

    def _publish(self, events: list[Event], stopping: Signal) -> None:
        """Spread events evenly over the period's time on the wall clock; at once if the market is to stop."""
        begin, wall_s = time.monotonic(), self._pace.wall_s(len(events))
        slices, rest = max(1, math.ceil(wall_s / SLICE_S)), iter(events)
        for i in range(1, slices + 1):
            self._publisher.send(islice(rest, i * len(events) // slices - (i - 1) * len(events) // slices))
            stopping.wait(max(0.0, begin + i * wall_s / slices - time.monotonic()))

    def _publish_at_once(self, events: list[Event], end: int, stopping: Signal) -> None:
        """In step: who decided within a period would see the price change at its end only."""
        begin = time.monotonic()
        self._publisher.send(events)
        self._publisher.send_time(end)
        self._publisher.flush()
        stopping.wait(max(0.0, begin + self._pace.wall_s(len(events)) - time.monotonic()))

    def _write(self, *, final: bool) -> None:
        if self._order.truth is None:
            return
        keys = [name.key.decode() for name in self._names]
        truth = self._accounts.truth(CURRENCY, keys, days=self._days, events=self._publisher.published, final=final)
        write_truth(self._order.truth, truth)
        self._written = time.monotonic()


def run_market(settings: Settings, order: Order) -> None:
    """`repricer simulate`: run until the end of the order, SIGTERM or Ctrl-C; then publish what was still on the way.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: a topic is missing.
    """
    keep_compiled(settings.compilation_cache)
    with stop_signal() as stopping:
        Market(settings, order).run(stopping)


def _answers(page: str) -> bool:
    try:
        with urllib.request.urlopen(page, timeout=1.0) as answer:  # noqa: S310  # the user's own worker
            return bool(answer.status == 200)
    except OSError:  # nobody there, or not ready
        return False
