"""What a shard's breaker remembers, in the shard record: its window, how lively the feeds were, why it stands."""

from __future__ import annotations

import msgspec

from pricing_core.breaker import Excess
from pricing_core.run_modes import ACTIVE, MODES
from pricing_core.tally import Window

MEMORY_TICKS = 720
"""Ticks over which a feed's liveliness is averaged: an hour of one tick in five seconds."""
LIVELY = 0.5
"""A feed that has spoken between so many of the last ticks is missed when it does not. One that comes in batches now
and then is not: that it says nothing for long says nothing."""


class Feed(msgspec.Struct, array_like=True):
    """How lively a source is."""

    spoke: bool = False
    """Since the last tick."""
    silent: int = 0
    """Ticks since it spoke last."""
    liveliness: float = 0.0
    """Share of the last ticks before which it spoke; those long ago count less."""

    def tick(self, times: int) -> None:
        """Time goes on; several ticks at once are one look at the feed."""
        self.liveliness += ((1.0 if self.spoke else 0.0) - self.liveliness) / MEMORY_TICKS
        self.silent = 0 if self.spoke else self.silent + times
        self.spoke = False


class Stop(msgspec.Struct, frozen=True):
    """Why a shard stands."""

    code: str
    limit: int
    value: int
    source: str
    """The feed that is silent, or `streams.breaker.watch.FLEET`; else empty."""
    at: int
    """Event time, ms."""
    after_control: int
    """Offset of the last record of ``pricing-control`` that was known: only a later one starts the shard again."""


class BreakerState(msgspec.Struct):
    """What a shard's breaker remembers."""

    window: Window = msgspec.field(default_factory=Window)
    feeds: dict[str, Feed] = {}
    stop: Stop | None = None
    heard: int = -1
    """Offset of the last record of ``pricing-control`` since the shard is here."""
    resumed_at: int = 0
    """When a person said ACTIVE last, by that person's clock, ms: the same for all shards."""

    def hear(self, mode: str, offset: int, at: int) -> None:
        """A person has set the run mode of everything. ACTIVE starts a shard that stands, if said after the stop.

        Args:
            mode: ACTIVE or another.
            offset: Of the record: the log's order counts, not the clocks.
            at: When it was said, ms.
        """
        if offset <= self.heard:
            return
        self.heard = offset
        if mode != MODES[ACTIVE]:
            return
        self.resumed_at = max(self.resumed_at, at)
        if self.stop is not None and offset > self.stop.after_control:
            self.window, self.feeds, self.stop = Window(), {}, None

    def taken_over(self) -> None:
        """The log of ``pricing-control`` is read from its beginning next."""
        self.heard = -1

    def heard_all(self) -> None:
        """It was read to its end. One that ends before the stop was created anew: what is said from here on counts."""
        if self.stop is not None and self.stop.after_control > self.heard:
            self.stop = msgspec.structs.replace(self.stop, after_control=self.heard)

    def stand(self, found: Excess, source: str, now: int) -> None:
        """Stop the shard."""
        self.stop = Stop(found.code, found.limit, found.value, source, now, self.heard)
