"""A decision, its interval while that is open, and what closed: decisions joined with what followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.topics import CLICKS, INVENTORY, ORDERS, PRICE_APPLIED
from schemas.transitions import Acknowledgement, End, Outcome
from streams.outcomes.facts import Shoppers, Stock

SOURCES = (ORDERS.name, CLICKS.name, INVENTORY.name, PRICE_APPLIED.name)


@dataclass(frozen=True, slots=True)
class Decision:
    """What matters here of an audit record. Times are event time, ms."""

    offer: bytes
    place: int
    """Offset of its record; ascends."""
    at: int
    """Does not descend."""
    applied: Mapping[str, int]
    """Next offset of each of `SOURCES` when it was made."""
    had_choice: bool
    version: int | None
    """Of the price change that it has published; None if the price stays."""
    price: int | None
    """That is to hold."""
    stock: Stock | None
    """The last count that it knew."""
    answered: tuple[int, int]
    """Version, and time by the catalog's clock, of the last answer that it knew; zeros before the first."""
    said: Any
    """The record itself: handed through."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A decision and what followed."""

    decision: Decision
    start: int | None
    """None: the price was never known to hold, or there was no choice."""
    end: int | None
    ended_by: End | None
    acknowledgement: Acknowledgement
    price: int | None
    next: Decision | None
    censored: bool
    incomplete: bool
    stock_start: int | None
    stock_end: int | None
    happened: Outcome


@dataclass(slots=True)
class Interval:
    """Of a decision that is not closed."""

    decision: Decision
    start: int | None
    """None while the catalog has not answered."""
    price: int | None
    acknowledgement: Acknowledgement
    answered: tuple[int, int]
    """Version and time of the last answer: what is older says nothing of the price in force."""
    shoppers: Shoppers = field(default_factory=Shoppers)
    """What is known already to belong to it."""
    cut: int | None = None
    """Where something ended it; None: nothing yet."""
    next: Decision | None = None
    """That has cut it."""

    def end(self, window: int) -> int:
        """Return where it ends, if nothing more happens."""
        over = (self.decision.at if self.start is None else self.start) + window
        return over if self.cut is None else min(self.cut, over)


def without_interval(decision: Decision, acknowledgement: Acknowledgement, *, incomplete: bool = False) -> Closed:
    """Close a decision whose price was never known to hold, or that had no choice."""
    return Closed(
        decision=decision,
        start=None,
        end=None,
        ended_by=None,
        acknowledgement=acknowledgement,
        price=None,
        next=None,
        censored=False,
        incomplete=incomplete,
        stock_start=None,
        stock_end=None,
        happened=Outcome(),
    )
