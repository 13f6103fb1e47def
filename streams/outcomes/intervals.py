"""Which events follow which decision, for the offers of one shard. No I/O, no clock, and nothing of pricing.

`schemas.transitions.TransitionClosed` has the definition. What comes out depends only on the order in which decisions
and events are put in, and on nothing that was put in before the place that `Intervals.rewind` names: so it can be
made again from there, to the byte.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.topics import CLICKS, INVENTORY, ORDERS
from streams.outcomes.decided import SOURCES, Closed, Decision, Interval, without_interval
from streams.outcomes.facts import Answer, Fact, Line, Shown, Stock, Undone, Waiting, happened, ran_out
from streams.outcomes.kept import Kept, Sold

BELIEVED_BACK_MS = 3_600_000
"""An answer that says that a price ended longer ago is not believed: what shoppers did then is added up already."""
_SETTLE_FROM = 32
"""So many events of shoppers are held one by one before it is asked to which interval they belong."""


@dataclass(slots=True)
class _Offer:
    open: list[Interval] = field(default_factory=list)
    """In the order of the decisions."""
    waiting: Waiting = field(default_factory=Waiting)
    settle_at: int = _SETTLE_FROM
    """Events of shoppers that wait."""

    def floor(self, now: int) -> int:
        """Event time before which nothing can belong to an open interval, or to one that is still to come."""
        return self.open[0].decision.at if self.open else now

    def settle(self, window: int, until: int) -> None:
        """Add up what shoppers did in intervals whose bounds are known, or cannot change before ``until``."""
        for one in self.open:
            if one.start is not None:
                end = one.end(window) if one.cut is not None else min(one.end(window), until)
                one.shoppers.add(self.waiting.take_shown(one.start, end), one.price)
        self.settle_at = max(2 * len(self.waiting.shown), _SETTLE_FROM)


class Intervals:
    """The open intervals of one shard, and the events that may belong to them."""

    def __init__(self, *, window: int, lateness: int) -> None:
        """Both in ms of event time: the longest interval, and how long is waited after the end of one."""
        self._window, self._lateness = window, lateness
        self._back = min(lateness, BELIEVED_BACK_MS)
        self._now = 0
        self._open_count = 0
        self._offers: dict[bytes, _Offer] = {}
        self._answers: list[tuple[bytes, Answer]] = []
        self._due: list[tuple[int, bytes]] = []
        """Heap of times at which to look at an offer; some of them for nothing."""
        self._oldest: deque[Interval] = deque()
        """Intervals in the order of their decisions; those that have closed leave when they are the first."""
        self._kept = {source: Kept() for source in (CLICKS.name, INVENTORY.name)}
        self._sold = Sold()
        self.lost: dict[str, int] = dict.fromkeys(SOURCES, 0)
        """First offset of each source that could still be read."""
        self.left_out: Counter[str] = Counter()
        """Events by reason: ``late``: their interval is closed, or their order is not known; ``between``: in no one."""

    def __len__(self) -> int:
        """How many intervals are open."""
        return self._open_count

    def take(self, key: bytes, offset: int, fact: Fact) -> None:
        """Take an event of an offer; those of one source in the order of their offsets."""
        match fact:
            case Line():
                if fact.time >= self._floor() - self._window:
                    self._sold.add(key, offset, fact.time, fact.units)
                if (offer := self._keeps(key, fact.time)) is not None:
                    fact.late = fact.time < self._now
                    offer.waiting.lines.append(fact)
            case Shown() if (offer := self._keeps(key, fact.time)) is not None:
                self._kept[CLICKS.name].add(offset, fact.time)
                fact.late = fact.time < self._now
                offer.waiting.shown.append(fact)
                if len(offer.waiting.shown) >= offer.settle_at:
                    offer.settle(self._window, self._now - self._back)
            case Stock() if (offer := self._keeps(key, fact.time)) is not None:
                self._kept[INVENTORY.name].add(offset, fact.time)
                offer.waiting.stock.append(fact)
            case Undone():
                self._undo(key, fact)
            case Answer():  # its time is known with the next decision
                self._answers.append((key, fact))

    def decide(self, decision: Decision) -> list[Closed]:
        """Take a decision, behind all events that it has seen.

        Returns:
            Decisions that have closed, in the order in which they were made.
        """
        for key, answer in self._answers:
            self._hear(key, answer, decision.at)
        self._answers.clear()
        self._now = max(self._now, decision.at)
        closed = [] if decision.had_choice else [without_interval(decision, "not_needed")]
        if decision.had_choice:
            self._open(decision)
        while self._due and self._due[0][0] < self._now:
            _, key = heapq.heappop(self._due)
            closed += self._look_at(key)
        return sorted(closed, key=lambda one: one.decision.place)

    def rewind(self, next_place: int, positions: Mapping[str, int]) -> tuple[int, dict[str, int]]:
        """Name the decision, and the offset of each source, from which all that is open can be made again.

        Args:
            next_place: Offset of the decision that is to come.
            positions: Next offset of each source.
        """
        while self._oldest and not self._is_open(self._oldest[0]):
            self._oldest.popleft()
        first = self._oldest[0].decision if self._oldest else None
        floor, seen = (self._now, positions) if first is None else (first.at, first.applied)
        needed = {name: kept.first(floor) for name, kept in self._kept.items()}
        needed[ORDERS.name] = self._sold.first(floor - self._window)
        offsets = {name: min(seen[name], at) for name, at in needed.items() if at is not None}
        offsets = {name: offsets.get(name, seen[name]) for name in SOURCES}
        return (next_place if first is None else first.place), offsets

    def _floor(self) -> int:
        """Event time of the oldest decision that may be open; now if none is."""
        return self._oldest[0].decision.at if self._oldest else self._now

    def _is_open(self, interval: Interval) -> bool:
        offer = self._offers.get(interval.decision.offer)
        return offer is not None and any(one is interval for one in offer.open)

    def _undo(self, key: bytes, undone: Undone) -> None:
        """Find the line that was cancelled or returned: the latest of its order, which is there if any is needed.

        Every line is given the time that the last one of an interval has: else more would come back of long intervals.
        """
        offer = self._offers.get(key)
        line = None if offer is None else offer.waiting.latest_of(undone.order_id)
        if line is None or undone.time > line.time + self._lateness:
            self.left_out["late"] += 1
        else:
            line.undo(undone)

    def _keeps(self, key: bytes, time: int) -> _Offer | None:
        """The offer, if an event of this time may belong to an interval."""
        offer = self._offers.get(key)
        if time < (self._now if offer is None else offer.floor(self._now)):
            self.left_out["late"] += 1
            return None
        if offer is None:
            offer = self._offers[key] = _Offer()
        if not offer.open:
            heapq.heappush(self._due, (time, key))
        return offer

    def _open(self, decision: Decision) -> None:
        offer = self._offers.setdefault(decision.offer, _Offer())
        for interval in offer.open:
            if interval.cut is None:
                interval.cut, interval.next = decision.at, decision
                self._plan(interval)
        if decision.version is None:
            interval = Interval(decision, decision.at, decision.price, "not_needed", decision.answered)
        else:
            interval = Interval(decision, None, None, "missing", decision.answered)
        offer.open.append(interval)
        self._open_count += 1
        self._oldest.append(interval)
        self._plan(interval)

    def _plan(self, interval: Interval) -> None:
        heapq.heappush(self._due, (interval.end(self._window) + self._lateness, interval.decision.offer))

    def _hear(self, key: bytes, answer: Answer, now: int) -> None:
        """Let an answer begin the interval of its change, and end one whose price it replaces.

        One that is older than what was known, by version and then by the catalog's clock, does neither: the worker
        takes no such answer either (`pricing_core.fold.fold_applied`).

        Its time is that of the catalog's clock if that lies where it must, for an end no longer ago than what is
        added up; else the latest that it can be for a beginning, and the earliest for an end.
        """
        offer = self._offers.get(key)
        for interval in () if offer is None else offer.open:
            decided = interval.decision
            if (answer.version, answer.time) < interval.answered:
                continue
            interval.answered = answer.version, answer.time
            if interval.start is None and answer.is_about(decided.version):
                interval.start = answer.time if decided.at <= answer.time <= now else now
                interval.price = answer.price
                interval.acknowledgement = answer.acknowledgement(decided.price)
                self._plan(interval)
            elif interval.start is not None and interval.cut is None and answer.price != interval.price:
                believed = max(interval.start, self._now - self._back) <= answer.time <= now
                interval.cut = answer.time if believed else max(interval.start, self._now)
                self._plan(interval)

    def _look_at(self, key: bytes) -> list[Closed]:
        """Close what is due of an offer, and forget what nobody needs any more."""
        offer = self._offers.get(key)
        if offer is None:
            return []
        due = [one for one in offer.open if one.end(self._window) + self._lateness < self._now]
        closed = [self._close(offer, interval) for interval in due]
        self._open_count -= len(due)
        if due:
            offer.open = [one for one in offer.open if all(one is not gone for gone in due)]
        self.left_out["between"] += offer.waiting.drop_before(offer.floor(self._now))
        if not offer.open:
            if not offer.waiting:
                del self._offers[key]
            else:
                heapq.heappush(self._due, (offer.waiting.earliest(), key))
        return closed

    def _close(self, offer: _Offer, interval: Interval) -> Closed:
        decision, start = interval.decision, interval.start
        incomplete = any(decision.applied[source] < self.lost[source] for source in SOURCES)
        if start is None:
            return without_interval(decision, "missing", incomplete=incomplete)
        over = start + self._window
        is_whole = interval.cut is None or interval.cut > over
        end = max(interval.end(self._window), start)
        lines = offer.waiting.take_lines(start, end)
        interval.shoppers.add(offer.waiting.take_shown(start, end), interval.price)
        known, counts = offer.waiting.stock_between(start, end, decision.stock)
        stock_start = None if known is None else known.on_hand
        return Closed(
            decision=decision,
            start=start,
            end=end,
            ended_by="window" if is_whole else "price" if interval.next is None else "decision",
            acknowledgement=interval.acknowledgement,
            price=interval.price,
            next=None if is_whole else interval.next,
            censored=ran_out(self._left(decision, known, start), counts, lines),
            incomplete=incomplete,
            stock_start=stock_start,
            stock_end=counts[-1].on_hand if counts else stock_start,
            happened=happened(lines, interval.shoppers),
        )

    def _left(self, decision: Decision, known: Stock | None, start: int) -> int | None:
        """Pieces of the last count that can be left at the start of an interval; None: nobody has counted.

        What was sold longer than a window before the decision is not looked for: to make this again would mean to read
        from the count on, which may be months ago.
        """
        if known is None:
            return None
        since = max(known.time, decision.at - self._window - 1)
        return known.on_hand - self._sold.between(decision.offer, since, start)
