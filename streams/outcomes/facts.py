"""Events as far as outcomes need them, and what some of them add up to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Literal, NamedTuple

from schemas.transitions import Acknowledgement, Outcome


@dataclass(slots=True)
class Line:
    """A line of an order that was placed. Times are event time, ms; amounts minor units."""

    time: int
    order_id: str
    units: int
    amount: int
    late: bool = False
    """It came after the shard's clock had passed it."""
    units_cancelled: int = 0
    amount_cancelled: int = 0
    units_returned: int = 0
    amount_returned: int = 0

    def undo(self, undone: Undone) -> None:
        """Note that pieces of it were cancelled or came back."""
        if undone.kind == "cancelled":
            self.units_cancelled += undone.units
            self.amount_cancelled += undone.amount
        else:
            self.units_returned += undone.units
            self.amount_returned += undone.amount


class Undone(NamedTuple):
    """A line was cancelled or returned, in part perhaps."""

    time: int
    order_id: str
    kind: Literal["cancelled", "returned"]
    units: int
    amount: int


@dataclass(slots=True)
class Shown:
    """Shoppers saw an offer, clicked, or put it into the cart."""

    time: int
    kind: Literal["impression", "click", "add_to_cart"]
    count: int
    price: int
    late: bool = False


@dataclass(slots=True)
class Shoppers:
    """What shoppers did within an interval, added up."""

    impressions: int = 0
    clicks: int = 0
    add_to_carts: int = 0
    elsewhere: int = 0
    """Impressions of another price than the one in force."""
    late: int = 0
    """Events that came after the shard's clock had passed them."""

    def add(self, shown: Iterable[Shown], price: int | None) -> None:
        """Count what happened while ``price`` was in force."""
        for one in shown:
            if one.kind == "impression":
                self.impressions += one.count
                self.elsewhere += one.count if one.price != price else 0
            elif one.kind == "click":
                self.clicks += one.count
            else:
                self.add_to_carts += one.count
            self.late += one.late


class Stock(NamedTuple):
    """A count of the pieces on hand; in the order of time."""

    time: int
    on_hand: int


class Answer(NamedTuple):
    """The catalog's answer to a price change, or another price that it shows."""

    time: int
    """Of the catalog's clock, ms."""
    version: int
    status: Literal["applied", "rejected", "manual"]
    price: int
    """That the catalog shows."""

    def is_about(self, version: int | None) -> bool:
        """Whether it answers this version. A person's price names the last one that the catalog knew."""
        return self.status != "manual" and self.version == version

    def acknowledgement(self, wanted: int | None) -> Acknowledgement:
        """What it says to who wanted a price."""
        if self.status == "rejected":
            return "rejected"
        return "applied" if self.price == wanted else "other_price"


@dataclass(slots=True)
class Waiting:
    """Events of an offer that may belong to an interval."""

    lines: list[Line] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    stock: list[Stock] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.lines or self.shown or self.stock)

    def latest_of(self, order_id: str) -> Line | None:
        """Line of an order, by event time; None if it is not here."""
        found = None
        for line in self.lines:
            if line.order_id == order_id and (found is None or line.time >= found.time):
                found = line
        return found

    def earliest(self) -> int:
        """Time of the first event that waits; there is one."""
        return min(event.time for events in (self.lines, self.shown, self.stock) for event in events)

    def take_lines(self, start: int, end: int) -> list[Line]:
        """Take the lines of an interval out: they belong to no other one."""
        lines = [line for line in self.lines if start <= line.time < end]
        if lines:
            self.lines = [line for line in self.lines if not start <= line.time < end]
        return lines

    def take_shown(self, start: int, end: int) -> list[Shown]:
        """The same of what shoppers did."""
        shown = [shown for shown in self.shown if start <= shown.time < end]
        if shown:
            self.shown = [shown for shown in self.shown if not start <= shown.time < end]
        return shown

    def stock_between(self, start: int, end: int, known: Stock | None) -> tuple[Stock | None, list[Stock]]:
        """The last count before an interval, None if unknown; and the counts within it, in the order of time.

        Args:
            start: Of an interval.
            end: Of it.
            known: The last count before.
        """
        counts = sorted((one for one in self.stock if one.time < end), key=attrgetter("time"))
        before = [one for one in counts if one.time <= start]
        if known is not None and known.time <= start:
            before = sorted((known, *before), key=attrgetter("time"))
        return (before[-1] if before else None), [one for one in counts if one.time > start]

    def drop_before(self, floor: int) -> int:
        """Forget older events; returns how many of those that count had no interval."""
        before = len(self.lines) + len(self.shown)
        self.lines = [line for line in self.lines if line.time >= floor]
        self.shown = [shown for shown in self.shown if shown.time >= floor]
        self.stock = [stock for stock in self.stock if stock.time >= floor]
        return before - len(self.lines) - len(self.shown)


Fact = Line | Undone | Shown | Stock | Answer


def happened(lines: Sequence[Line], shoppers: Shoppers) -> Outcome:
    """Add up the lines of an interval."""
    return Outcome(
        orders=len(lines),
        units=sum(line.units for line in lines),
        revenue=sum(line.amount for line in lines),
        units_cancelled=sum(line.units_cancelled for line in lines),
        amount_cancelled=sum(line.amount_cancelled for line in lines),
        units_returned=sum(line.units_returned for line in lines),
        amount_returned=sum(line.amount_returned for line in lines),
        impressions=shoppers.impressions,
        clicks=shoppers.clicks,
        add_to_carts=shoppers.add_to_carts,
        impressions_elsewhere=shoppers.elsewhere,
        late=sum(line.late for line in lines) + shoppers.late,
    )


def ran_out(on_hand: int | None, counts: Iterable[Stock], lines: Iterable[Line]) -> bool:
    """Whether the stock ran out within an interval, or may have: as much was sold as the last count had left.

    Args:
        on_hand: Pieces that can be left at the start; None: unknown.
        counts: Within the interval, in the order of time.
        lines: Sold within it.
    """
    sold = sorted((line.time, line.units) for line in lines)
    if on_hand is not None and on_hand <= 0:
        return True
    for count in (*counts, None):  # a sale at the time of a count is in it
        before = [units for time, units in sold if count is None or time <= count.time]
        if on_hand is not None and 0 < on_hand <= sum(before):
            return True
        if count is not None:
            on_hand, sold = count.on_hand, sold[len(before) :]
            if on_hand == 0:
                return True
    return False
