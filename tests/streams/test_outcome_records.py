"""Audit records as a worker writes them, joined and written as transitions."""

import msgspec
import pytest
from msgspec.structs import replace

from pricing_core.features import FEATURES, HOLD, MOVES_BP
from schemas import columns as c
from schemas.codec import encode
from schemas.timestamps import format_ms
from schemas.transitions import TransitionClosed
from streams.errors import TopicRecreated
from streams.outcomes.decided import SOURCES
from streams.outcomes.intervals import Intervals
from streams.outcomes.written import decisions, transition
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import records_of

NOTHING = dict.fromkeys(SOURCES, 0)


@pytest.fixture(scope="module")
def founds():
    """Two rounds of decisions about three offers, the third of which is out of stock."""
    made, founds = engine(0), []
    keys = [b"web:%d" % i for i in range(3)]
    made.apply(0, batch(c.PolicyColumns, *({"key": k, "cooldown_ms": 0} for k in keys)))
    made.apply(0, batch(c.InventoryColumns, {"key": keys[0], "on_hand": 12}, {"key": keys[2], "on_hand": 0}))
    for day in (1, 2):
        made.apply(0, batch(c.ClickColumns, *({"key": k, "count": 50, "time": T0 + day * DAY - HOUR} for k in keys)))
        founds += records_of(made, made.decide(0, T0 + day * DAY, "ACTIVE"))
        made.apply(0, batch(c.AppliedColumns, *({"key": k, "version": day, "price": 1200} for k in keys[:2])))
    return [found._replace(offset=offset) for offset, found in enumerate(founds)]


def joined(founds):
    intervals = Intervals(window=DAY, lateness=0)
    closed = [one for decision in decisions(founds, NOTHING) for one in intervals.decide(decision)]
    return {one.decision_id: one for one in map(transition, closed)}


def held(found):
    record = replace(found.record, outcome="held", price=found.record.previous_price, version=None)
    return found._replace(record=record)


def test_a_transition_has_what_the_decision_saw_and_the_state_that_follows(founds):
    by_offer = {}
    for found in map(held, founds):
        by_offer.setdefault(found.record.sku, []).append(found)
    first, second = (found.record for found in by_offer["0"])

    one = joined([*map(held, founds), *ending(founds[-1])])[first.decision_id]

    assert (one.starts_at, one.ends_at, one.ended_by) == (first.decided_at, second.decided_at, "decision")
    assert (one.features, one.inputs, one.prices) == (first.features, first.inputs, first.candidates.prices)
    assert (len(one.features), len(one.legal)) == (len(FEATURES), len(MOVES_BP))
    assert (one.profit_slope, one.profit_offset, one.stock_start) == (1.0, 700.0, 12)
    assert (one.next.decision_id, one.next.features) == (second.decision_id, second.features)
    assert msgspec.json.decode(encode(one), type=TransitionClosed) == one


def test_the_action_is_what_was_carried_out_and_not_what_was_chosen(founds):
    found = next(found for found in founds if found.record.outcome == "changed")
    assert joined([found, *ending(found)])[found.record.decision_id].action == found.record.chosen != HOLD

    guarded = held(found)
    one = joined([guarded, *ending(found)])[found.record.decision_id]

    assert (one.action, one.chosen) == (HOLD, found.record.chosen)


def ending(found):
    """A decision about another offer, much later."""
    record = replace(found.record, decision_id="0-999", sku="clock", decided_at=format_ms(found.now + 3 * DAY))
    return [found._replace(offset=999, record=record)]


def test_a_decision_without_a_choice_has_no_action(founds):
    found = next(found for found in founds if found.record.reason == "stock_out")

    one = joined(founds)[found.record.decision_id]

    assert (one.action, one.starts_at, one.prices, one.inputs) == (None, None, None, None)


def test_inputs_that_cannot_be_read_leave_unknown_what_they_would_say(founds):
    broken = held(founds[0])._replace(record=replace(held(founds[0]).record, inputs=b"no inputs"))

    closed = joined([broken, *map(held, founds[1:]), *ending(founds[-1])])

    one = closed[broken.record.decision_id]
    assert (one.profit_slope, one.profit_offset, one.stock_start) == (None, None, None)
    assert closed[founds[1].record.decision_id].profit_slope == 1.0


def test_a_source_whose_offsets_go_backwards_is_another_topic(founds):
    backwards = replace(founds[1].record, applied={**founds[1].record.applied, "orders": 3})

    with pytest.raises(TopicRecreated, match="orders"):
        decisions([founds[0], founds[1]._replace(record=backwards)], NOTHING)
