"""Says when the demand of many offers of a shard has changed at once: then something has happened to all of them."""

from __future__ import annotations

from pricing_core.engine import PricingEngine
from streams.alarms.book import AlarmBook

MINUTE_MS = 60_000
LEAST_SHARE = 0.2
"""Of the offers that sell: with that many changed within a week the alarm is raised."""
LEAST_OFFERS = 10
"""With fewer that sell chance would raise it."""


class DemandWatch:
    """Looks at each shard once a minute of its event time."""

    def __init__(self, engine: PricingEngine) -> None:
        self._engine = engine
        self._looked: dict[int, int] = {}

    def look(self, partition: int, now: int, book: AlarmBook) -> None:
        """Note what a shard's offers say at an event time, ms."""
        if self._looked.get(partition) == now // MINUTE_MS:
            return
        self._looked[partition] = now // MINUTE_MS
        found = self._engine.trust.changing(partition, now)
        if found.offers >= LEAST_OFFERS and found.changed >= LEAST_SHARE * found.offers:
            book.note("demand_changed", 1, {"offers": found.offers, "changed": found.changed})
