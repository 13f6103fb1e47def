"""The breaker of a shard at work: what it is told, when it stops the shard, and what is said then.

It is asked after deciding and before anything is written down (`pricing_core.breaker`). A shard that it has stopped is
held as if a person had halted it, until a person says ACTIVE on ``pricing-control``, later in that topic than the stop.
What it remembers is part of the shard record (`streams.breaker.state`): no restart and no other owner forgets it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from pricing_core.breaker import Excess, Limits, excess, is_counted, spend, withhold
from pricing_core.decisions import DecidedTogether, Permit
from pricing_core.engine import PricingEngine
from pricing_core.tally import Tally
from schemas.columns import MANUAL, REJECTED, AppliedColumns
from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, ORDERS, TICKS
from streams.alarms.book import Values, example
from streams.breaker.state import LIVELY, Feed
from streams.metrics import BREAKER_STOPS, Metrics
from streams.settings import Settings
from streams.shard import Shard

FEEDS = frozenset(topic.name for topic in (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY))
FLEET = "fleet"
"""In place of a feed: all shards together exceed a limit."""


def limits_of(settings: Settings) -> Limits:
    """What one shard may do."""
    return Limits(
        changed_bp=settings.breaker_changed_bp,
        routine_move_bp=settings.breaker_routine_move_bp,
        mean_move_bp=settings.breaker_mean_move_bp,
        max_move_bp=settings.breaker_max_move_bp,
        one_price_bp=settings.breaker_one_price_bp,
        rejected_bp=settings.breaker_rejected_bp,
        anomalous_bp=settings.breaker_anomalous_bp,
        least=settings.breaker_least,
    )


class Breaker:
    """Looks after the shards of one worker; keeps nothing of a shard itself."""

    def __init__(self, settings: Settings, engine: PricingEngine, metrics: Metrics) -> None:
        self._limits = limits_of(settings)
        self._silent_ticks = settings.breaker_silent_ticks
        self._engine = engine
        self._metrics = metrics
        self._found: list[tuple[Shard, Excess, Values]] = []

    def note_records(self, shard: Shard, topic: str, count: int) -> None:
        """Records of a source have come. While a shard catches up, they come in no natural order."""
        feeds = shard.breaker.feeds
        if not count or not shard.caught_up:
            return
        if topic in FEEDS:
            feeds.setdefault(topic, Feed()).spoke = True
        elif topic == TICKS.name:
            for feed in feeds.values():
                feed.tick(count)

    def note_answers(self, shard: Shard, answers: AppliedColumns) -> None:
        """The catalog has answered; nothing of it is folded yet."""
        answered = int((answers.status != MANUAL).sum())
        if answered and shard.now:
            rejected = int((answers.status == REJECTED).sum())
            shard.breaker.window.add(Tally(answered=answered, rejected=rejected), shard.now)
        drifted = self._engine.drifted(shard.partition, answers)
        if len(drifted):
            first = int(drifted[0])
            values: Values = {"shows": int(answers.price[first]), **example(answers.keys[first])}
            shard.alarms.note("catalog_drift", len(drifted), values)

    def look(self, shard: Shard) -> None:
        """Stop a shard whose catalog, model or feeds have gone wrong, before it decides anything more."""
        state = shard.breaker
        if state.stop is not None:
            return
        state.window.move_on(shard.now)
        found = excess(state.window.whole, self._limits, self._engine.offer_count(shard.partition))
        if found is not None:
            self.stop(shard, found, {})
            return
        for name, feed in state.feeds.items() if self._silent_ticks else ():
            if feed.silent >= self._silent_ticks and feed.liveliness >= LIVELY:
                self.stop(shard, Excess("silent_feed", self._silent_ticks, feed.silent), {"feed": name}, name)
                return

    def permit(self, shards: Mapping[int, Shard]) -> Permit:
        """Give what holds the decisions of a step that exceed the budgets of these shards. `settle` must follow."""

        def within_budget(decided: DecidedTogether) -> None:
            for partition, rows in decided.rows.items():
                self._ask(shards[partition], decided, rows)

        return within_budget

    def settle(self) -> None:
        """Stop the shards whose budget was exceeded: what was decided until here was decided in their former mode."""
        for shard, found, values in self._found:
            self.stop(shard, found, values)
        self._found.clear()

    def stop(self, shard: Shard, found: Excess, values: Values, source: str = "") -> None:
        """Let a shard stand until a person starts it again, and say why."""
        shard.breaker.stand(found, source, shard.now)
        code = f"breaker_{FLEET if source == FLEET else found.code}"
        shard.alarms.note(code, 1, {"found": found.code, "limit": found.limit, "value": found.value, **values})
        self._metrics.add(BREAKER_STOPS, 1, found.code)

    def _ask(self, shard: Shard, decided: DecidedTogether, rows: slice) -> None:
        if shard.breaker.stop is not None:
            return  # nothing changes
        part, offers = decided.decisions.part(rows), self._engine.offer_count(shard.partition)
        found = spend(shard.breaker.window, self._limits, offers, part, int(part.now[0]))
        if found is None:
            return
        first, why = found
        beyond = first + np.flatnonzero(is_counted(part)[first:])
        withhold(part, beyond, why.limit, why.value)  # the parts are views: this is what will be written down
        tally = shard.breaker.window.whole
        self._found.append((shard, why, {"published": tally.moved, "withheld": len(beyond), "offers": offers}))
