"""What followed a decision: the definition of `schemas.transitions`, case by case, and as properties of any log."""

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.transitions import Outcome
from streams.outcomes.decided import SOURCES, Decision
from streams.outcomes.facts import Answer, Line, Shown, Stock, Undone, ran_out
from streams.outcomes.intervals import Intervals

WINDOW, LATENESS = 100, 10
OFFER = b"web:1"
ORDERS, CLICKS, STOCK, ANSWERS = SOURCES


@dataclass
class Log:
    """The topics of one partition. Each decision has seen all that was written before it."""

    sources: dict = field(default_factory=lambda: {name: [] for name in SOURCES})
    decisions: list = field(default_factory=list)

    def say(self, source, fact, offer=OFFER):
        self.sources[source].append((offer, fact))

    def sell(self, time, units=1, amount=100, order_id="o", offer=OFFER):
        self.say(ORDERS, ("line", time, order_id, units, amount), offer)

    def cancel(self, time, order_id, units=1, amount=100, kind="cancelled"):
        self.say(ORDERS, ("undone", time, order_id, kind, units, amount))

    def show(self, time, count=1, price=100, kind="impression"):
        self.say(CLICKS, ("shown", time, kind, count, price))

    def count(self, time, on_hand):
        self.say(STOCK, ("stock", time, on_hand))

    def answer(self, time, version, price, status="applied"):
        self.say(ANSWERS, ("answer", time, version, status, price))

    def hold(self, at, price=100, offer=OFFER, **given):
        self.decide(offer=offer, at=at, price=price, **given)

    def change(self, at, version, price=110, **given):
        self.decide(at=at, version=version, price=price, **given)

    def wait(self, at, offer=OFFER):
        self.decide(offer=offer, at=at, had_choice=False)

    def decide(self, **given):
        fields = {"offer": OFFER, "had_choice": True, "version": None, "price": 100, "stock": None, "said": None}
        fields["answered"] = self.answered(given.get("offer", OFFER))
        applied = {name: len(facts) for name, facts in self.sources.items()}
        self.decisions.append(Decision(**{**fields, "place": len(self.decisions), "applied": applied, **given}))

    def answered(self, offer):
        """Version and time of the answer that a worker goes by."""
        return max(((fact[2], fact[1]) for about, fact in self.sources[ANSWERS] if about == offer), default=(0, 0))

    def counted(self, offer):
        """The count that a worker goes by."""
        counts = [Stock(fact[1], fact[2]) for about, fact in self.sources[STOCK] if about == offer]
        return max(counts, key=lambda count: count.time, default=None)


MAKE = {"line": Line, "undone": Undone, "shown": Shown, "stock": Stock, "answer": Answer}


def put_in(log, intervals, place, positions, last=None):
    """Put a log in from a decision on, as a shard does; returns what has closed and where the sources stand."""
    closed, positions = [], dict(positions)
    for decision in log.decisions[place:last]:
        for name in SOURCES:
            for offset in range(positions[name], decision.applied[name]):
                offer, (kind, *fields) = log.sources[name][offset]
                intervals.take(offer, offset, MAKE[kind](*fields))
            positions[name] = max(positions[name], decision.applied[name])
        closed += intervals.decide(decision)
    return closed, positions


def joined(log, until=10_000):
    """All that closes if a decision about another offer comes much later."""
    log.hold(until, offer=b"web:clock")
    intervals = Intervals(window=WINDOW, lateness=LATENESS)
    closed, _ = put_in(log, intervals, 0, dict.fromkeys(SOURCES, 0))
    return {one.decision.place: one for one in closed}, intervals


def span(one):
    return one.start, one.end, one.ended_by


def test_a_price_that_stays_holds_from_its_decision_to_the_next_one():
    log = Log()
    log.hold(1000)
    log.sell(999)
    log.sell(1000, units=2, amount=200)
    log.sell(1049)
    log.sell(1050)
    log.hold(1050)

    closed, intervals = joined(log)

    assert span(closed[0]) == (1000, 1050, "decision")
    assert closed[0].happened == Outcome(orders=2, units=3, revenue=300)
    assert closed[0].next is log.decisions[1]
    assert closed[1].happened.orders == 1
    assert intervals.left_out["late"] == 1


def test_a_price_that_changes_holds_from_where_the_catalog_has_applied_it():
    log = Log()
    log.hold(1000)
    log.change(1010, version=7)
    log.answer(1020, version=7, price=110)
    for time in (1009, 1015, 1020):
        log.sell(time)
    log.hold(1060, price=110)

    closed, intervals = joined(log)

    assert [span(closed[place]) for place in (0, 1)] == [(1000, 1010, "decision"), (1020, 1060, "decision")]
    assert [closed[place].happened.orders for place in (0, 1)] == [1, 1]
    assert (closed[1].acknowledgement, closed[1].price) == ("applied", 110)
    assert intervals.left_out["between"] == 1


@pytest.mark.parametrize(
    ("says", "start"),
    [
        (1020, 1020),  # between the decision and the moment at which the worker heard of it
        (900, 1030),  # before its decision: not the clock of the events
        (5000, 1030),  # later than the worker heard of it
    ],
)
def test_the_catalogs_clock_is_believed_where_it_can_be_right(says, start):
    log = Log()
    log.change(1010, version=7)
    log.answer(says, version=7, price=110)
    log.wait(1030)

    assert joined(log)[0][0].start == start


@pytest.mark.parametrize(
    ("status", "price", "acknowledgement"),
    [("applied", 110, "applied"), ("applied", 100, "other_price"), ("rejected", 100, "rejected")],
)
def test_what_the_catalog_shows_is_the_price_of_the_interval(status, price, acknowledgement):
    log = Log()
    log.change(1010, version=7)
    log.answer(1020, version=7, price=price, status=status)
    log.hold(1030)

    closed, _ = joined(log)

    assert (closed[0].acknowledgement, closed[0].price, closed[0].start) == (acknowledgement, price, 1020)


def test_a_change_that_is_never_answered_has_no_interval():
    log = Log()
    log.change(1010, version=7)
    log.answer(1020, version=6, price=100)
    log.sell(1030)

    closed, _ = joined(log)

    assert span(closed[0]) == (None, None, None)
    assert (closed[0].acknowledgement, closed[0].happened) == ("missing", Outcome())


def test_a_decision_without_a_choice_has_no_interval_and_ends_none():
    log = Log()
    log.hold(1000)
    log.wait(1020)
    log.sell(1030)
    log.hold(1060)

    closed, _ = joined(log)

    assert span(closed[0]) == (1000, 1060, "decision")
    assert (closed[0].happened.orders, closed[0].next.place) == (1, 2)
    assert (span(closed[1]), closed[1].acknowledgement) == ((None, None, None), "not_needed")


def test_a_persons_price_ends_an_interval_and_the_next_decision_does_not_follow_on_it():
    log = Log()
    log.hold(1000)
    log.answer(1030, version=0, price=90, status="manual")
    log.sell(1029)
    log.sell(1031)
    log.hold(1060, price=90)

    closed, _ = joined(log)

    assert (span(closed[0]), closed[0].next, closed[0].happened.orders) == ((1000, 1030, "price"), None, 1)


@pytest.mark.parametrize(
    ("says", "version", "end"),
    [
        (1030, 6, 1060),  # of a version before: read again after a restart of the catalog, say
        (990, 7, 1060),  # of the same version, and older by the catalog's clock
        (1030, 7, 1030),
    ],
)
def test_an_old_answer_of_the_catalog_ends_no_interval(says, version, end):
    log = Log()
    log.answer(1000, version=7, price=100)
    log.hold(1010)
    log.answer(says, version=version, price=90, status="manual")
    log.hold(1060)

    assert joined(log)[0][0].end == end


def test_the_window_ends_an_interval():
    log = Log()
    log.hold(1000)
    log.sell(1099)
    log.sell(1100)
    log.hold(1500)

    closed, intervals = joined(log)

    assert (span(closed[0]), closed[0].next, closed[0].happened.orders) == ((1000, 1100, "window"), None, 1)
    assert intervals.left_out["between"] == 1


def test_an_event_counts_as_late_as_allowed_and_no_later():
    log = Log()
    log.hold(1000)
    log.hold(1050)
    log.wait(1060)
    log.sell(1040)
    log.wait(1061)
    log.sell(1041)

    closed, intervals = joined(log)

    assert (closed[0].happened.orders, closed[0].happened.late) == (1, 1)
    assert intervals.left_out["late"] == 1


def test_what_is_given_back_counts_where_it_was_sold():
    log = Log()
    log.hold(1000)
    log.sell(1010, units=3, amount=300, order_id="a")
    log.hold(1050)
    log.sell(1051, order_id="b")
    log.cancel(1012, "a", units=1)
    log.cancel(1020, "a", units=2, amount=200, kind="returned")
    log.wait(1061)
    log.cancel(1013, "a")

    closed, intervals = joined(log)

    first = closed[0].happened
    assert (first.units, first.units_cancelled, first.units_returned, first.amount_returned) == (3, 1, 2, 200)
    assert closed[1].happened == Outcome(orders=1, units=1, revenue=100)
    assert intervals.left_out["late"] == 1


def test_a_return_counts_as_long_after_its_sale_however_long_the_interval():
    """Else what was sold early in a long interval had longer to come back than in a short one."""
    log = Log()
    log.hold(1000)
    for number in range(8):
        log.sell(1000 + 10 * number, order_id=str(number))
        log.cancel(1000 + 10 * number + (LATENESS if number % 2 else LATENESS + 1), str(number), kind="returned")
    log.hold(1080)

    closed, intervals = joined(log)

    assert (closed[0].happened.units, closed[0].happened.units_returned) == (8, 4)
    assert intervals.left_out["late"] == 4


def test_impressions_of_another_price_are_told_apart():
    log = Log()
    log.hold(1000)
    log.show(1010, count=5)
    log.show(1011, count=2, price=90)
    log.show(1012, kind="click")
    log.show(1013, kind="add_to_cart")

    happened = joined(log)[0][0].happened

    assert (happened.impressions, happened.impressions_elsewhere) == (7, 2)
    assert (happened.clicks, happened.add_to_carts) == (1, 1)


def test_what_shoppers_do_is_added_up_while_an_interval_is_open():
    """What is held one by one is of the last time only, however long the window and however many events."""
    log, intervals = Log(), Intervals(window=WINDOW, lateness=LATENESS)
    log.hold(1000)
    place, positions, most = 0, dict.fromkeys(SOURCES, 0), 0
    for time in range(1000, 1090):
        for _ in range(40):
            log.show(time, price=100 if time % 2 else 90)
        log.wait(time)
        _, positions = put_in(log, intervals, place, positions)
        place, most = len(log.decisions), max(most, len(intervals._offers[OFFER].waiting.shown))

    closed, _ = joined(log)

    assert most <= 2 * 40 * (LATENESS + 2)
    assert (closed[0].happened.impressions, closed[0].happened.impressions_elsewhere) == (90 * 40, 45 * 40)


def test_an_answer_cuts_no_interval_where_shoppers_are_added_up_already():
    log = Log()
    log.hold(1000)
    log.wait(1050)
    log.answer(1039, version=0, price=90, status="manual")
    log.hold(1070, price=90)

    assert joined(log)[0][0].end == 1050  # by the shard's clock: longer ago than LATENESS is not believed


@pytest.mark.parametrize(
    ("on_hand", "counts", "sold", "censored"),
    [
        (None, [], [(5, 9)], False),  # nothing is known
        (3, [], [(5, 2)], False),
        (3, [], [(5, 2), (6, 1)], True),  # as much as there was
        (0, [(5, 9)], [], True),  # none at the start
        (3, [(5, 0), (6, 9)], [], True),  # none for a while
        (3, [(5, 9)], [(4, 2), (6, 8)], False),
        (3, [(5, 9)], [(4, 2), (6, 9)], True),
        (3, [(5, 1)], [(5, 2)], False),  # a sale is in the count of its moment
        (None, [(5, 1)], [(6, 1)], True),
    ],
)
def test_demand_is_censored_where_stock_ran_out_or_may_have(on_hand, counts, sold, censored):
    lines = [Line(time, "o", units, 100) for time, units in sold]
    assert ran_out(on_hand, [Stock(*count) for count in counts], lines) is censored


@pytest.mark.parametrize(
    ("counted", "sold_before", "sold", "censored"),
    [
        (1000, [1010, 1020, 1030], 2, True),  # 5 were counted, 3 went before the interval and 2 within it
        (1000, [1010, 1020, 1030], 1, False),
        (1020, [1010, 1020, 1030], 2, False),  # what was sold before the count, or with it, is not in it
        (1000, [1045, 1046, 1047], 2, True),  # in no interval, while the new price was on its way
        (800, [930, 1010, 1020], 2, False),  # more than a window before the decision: not looked for
    ],
)
def test_what_was_sold_since_the_last_count_is_not_left(counted, sold_before, sold, censored):
    log = Log()
    log.hold(counted, stock=Stock(counted, 5))
    for time in sold_before:
        log.sell(time)
    log.change(1040, version=1, stock=Stock(counted, 5))
    log.answer(1050, version=1, price=110)
    log.sell(1060, units=sold)
    log.hold(1100, price=110)

    closed, _ = joined(log)

    assert (closed[1].start, closed[1].stock_start, closed[1].censored) == (1050, 5, censored)


def test_stock_is_what_the_decision_knew_until_it_is_counted_again():
    log = Log()
    log.hold(1000, stock=Stock(990, 8))
    log.count(1020, 5)
    log.hold(1050, stock=Stock(1020, 5))

    closed, _ = joined(log)

    assert [(closed[p].stock_start, closed[p].stock_end) for p in (0, 1)] == [(8, 5), (5, 5)]


def test_a_decision_after_which_events_have_expired_is_marked():
    log = Log()
    log.hold(1000)
    log.sell(1001)
    log.sell(1002)
    log.hold(1050)
    intervals = Intervals(window=WINDOW, lateness=LATENESS)
    intervals.lost[ORDERS] = 1
    log.hold(2000)

    closed, _ = put_in(log, intervals, 0, {**dict.fromkeys(SOURCES, 0), ORDERS: 1})

    assert [one.incomplete for one in closed] == [True, False]


# --- any log

OFFERS = (b"web:1", b"web:2")


@st.composite
def logs(draw, kinds=("line", "undone", "shown", "stock", "answer")):
    """Two offers; events up to a window late or early, answers in any order, decisions of all kinds."""
    log, now, versions = Log(), 1000, dict.fromkeys(OFFERS, 0)
    for _ in range(draw(st.integers(1, 25))):
        for _ in range(draw(st.integers(0, 4))):
            offer, time = draw(st.sampled_from(OFFERS)), now + draw(st.integers(-60, 60))
            order_id = draw(st.sampled_from("abc"))
            match draw(st.sampled_from(kinds)):
                case "line":
                    log.sell(time, units=draw(st.integers(1, 3)), order_id=order_id, offer=offer)
                case "undone":
                    kind = draw(st.sampled_from(("cancelled", "returned")))
                    log.say(ORDERS, ("undone", time, order_id, kind, 1, 100), offer)
                case "shown":
                    log.say(CLICKS, ("shown", time, "impression", 1, draw(st.sampled_from((100, 110)))), offer)
                case "stock":
                    log.say(STOCK, ("stock", time, draw(st.integers(0, 5))), offer)
                case "answer":
                    version = draw(st.integers(0, max(versions[offer], 1)))
                    status = draw(st.sampled_from(("applied", "rejected", "manual")))
                    log.say(ANSWERS, ("answer", time, version, status, draw(st.sampled_from((100, 110)))), offer)
        now += draw(st.integers(0, 70))
        offer, kind = draw(st.sampled_from(OFFERS)), draw(st.sampled_from(("hold", "change", "wait")))
        if kind == "change":
            versions[offer] += 1
        version = versions[offer] if kind == "change" else None
        log.decide(offer=offer, at=now, had_choice=kind != "wait", version=version, stock=log.counted(offer))
    log.wait(now + 2 * WINDOW + 2 * LATENESS, offer=b"web:clock")
    return log


def whole(log):
    return put_in(log, Intervals(window=WINDOW, lateness=LATENESS), 0, dict.fromkeys(SOURCES, 0))[0]


@given(logs())
@settings(max_examples=300)
def test_each_decision_closes_once_and_intervals_of_an_offer_do_not_overlap(log):
    closed = whole(log)

    assert sorted(one.decision.place for one in closed) == [decision.place for decision in log.decisions]
    for offer in OFFERS:
        spans = sorted((one.start, one.end) for one in closed if one.decision.offer == offer and one.start is not None)
        spans = [(start, end) for start, end in spans if start < end]
        assert all(earlier[1] <= later[0] for earlier, later in pairwise(spans))
        assert all(end - start <= WINDOW for start, end in spans)


@given(logs(("line", "shown", "answer")))
@settings(max_examples=300)
def test_an_event_counts_by_its_own_time_unless_it_comes_too_late(log):
    """Against the definition, applied to the whole log at once."""
    intervals, positions = Intervals(window=WINDOW, lateness=LATENESS), dict.fromkeys(SOURCES, 0)
    for closing in log.decisions:
        closed, positions = put_in(log, intervals, closing.place, positions, last=closing.place + 1)
        for one in closed:
            sold = [
                (units, amount)
                for offer, (kind, time, _, units, amount) in log.sources[ORDERS][: closing.applied[ORDERS]]
                if kind == "line" and offer == one.decision.offer and (one.start or 0) <= time < (one.end or 0)
            ]
            happened = one.happened
            assert happened.orders == len(sold)
            assert (happened.units, happened.revenue) == tuple(map(sum, zip(*sold, strict=True))) or not sold
            assert one.start == one.end or closing.at > one.end + LATENESS  # nothing is waited for in an empty one


@given(logs(("line", "shown", "answer")))
@settings(max_examples=300)
def test_every_sale_and_every_impression_is_in_one_transition_or_counted_as_left_out(log):
    intervals = Intervals(window=WINDOW, lateness=LATENESS)
    closed, _ = put_in(log, intervals, 0, dict.fromkeys(SOURCES, 0))

    counted = sum(one.happened.orders + one.happened.impressions for one in closed)
    assert counted + sum(intervals.left_out.values()) == len(log.sources[ORDERS]) + len(log.sources[CLICKS])
    assert (len(intervals), intervals._offers) == (0, {})


@given(logs(), st.data())
@settings(max_examples=300)
def test_what_is_open_is_made_again_to_the_byte_wherever_one_stops(log, data):
    """Stopped after any decisions, begun again from where `rewind` says: the same transitions in the same order."""
    stops = sorted(data.draw(st.lists(st.integers(1, len(log.decisions)), max_size=4)))
    said, place, sources, done = [], 0, dict.fromkeys(SOURCES, 0), 0
    for stop in (*stops, len(log.decisions)):
        intervals = Intervals(window=WINDOW, lateness=LATENESS)
        _, positions = put_in(log, intervals, place, sources, last=done)  # what was said before is not said again
        closed, positions = put_in(log, intervals, done, positions, last=stop)
        said += closed
        place, sources = intervals.rewind(stop, positions)
        done = stop

    assert said == whole(log)
