"""Records of decisions, made again: every byte the same, every change noticed, what cannot be made again named."""

import base64
import re

import numpy as np
import pytest

from pricing_core.breaker import withhold
from pricing_core.decisions import CHANGED
from pricing_core.features import FEATURES
from pricing_core.policy_table import SIBLINGS
from pricing_core.rules import VERSION
from pricing_core.shards import Moment
from schemas import columns as c
from streams.errors import NotReproduced
from streams.replay.again import Replayer, question_of
from streams.replay.report import require_reproduced
from streams.replay.whatif import by_model, under_policies, what_if
from tests.pricing_core.engines import MODEL, engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import SETTINGS, found_at, records_of

OFFERS = 60


@pytest.fixture(scope="module")
def founds():
    """Records of two days of a shard; the second day is half halted."""
    made, found = engine(0), []
    keys = [b"web:%d" % i for i in range(OFFERS)]
    made.apply(0, batch(c.PolicyColumns, *({"key": k, "floor": 900 + 10 * i} for i, k in enumerate(keys[1:]))))
    for hour in range(6):
        at = [{"key": k, "time": T0 + hour * HOUR} for k in keys]
        made.apply(0, batch(c.ClickColumns, *({"count": 10 + 7 * i, **a} for i, a in enumerate(at))))
        made.apply(0, batch(c.OrderColumns, *({"quantity": 1 + i % 3, **a} for i, a in enumerate(at))))
        made.apply(0, batch(c.CompetitorColumns, *({"price": 1100 + 5 * i, **a} for i, a in enumerate(at))))
    found += records_of(made, made.decide(0, T0 + DAY, "ACTIVE"))
    found += records_of(made, made.decide(0, T0 + 2 * DAY, "HALTED"))
    return found


@pytest.fixture(scope="module")
def replayer():
    return Replayer(SETTINGS, [MODEL])


def mutated(found, pattern, replacement):
    raw = re.sub(pattern, replacement, found.raw, count=1)
    assert raw != found.raw
    return found_at(found.partition, found.offset, raw)


def considered(founds):
    return next(found for found in founds if found.record.outcome == "changed" and found.record.candidates)


def test_every_record_comes_out_again_byte_for_byte(founds, replayer):
    report = replayer.replay(founds)
    assert (report.decisions, report.identical, report.differences) == (2 * OFFERS, 2 * OFFERS, [])
    assert {found.record.reason for found in founds} >= {"no_policy", "halted", "demand"}
    require_reproduced(report, None)


def test_what_the_breaker_has_held_comes_out_held_again_and_what_it_has_not_does_not(replayer):
    made, stopped = engine(0), []
    made.apply(0, batch(c.PolicyColumns, *({"key": b"web:%d" % i} for i in range(OFFERS))))

    def hold_every_other(decided):
        stopped.extend(np.flatnonzero(decided.decisions.outcome == CHANGED)[::2].tolist())
        withhold(decided.decisions, np.array(stopped), 5000, 8000)

    decided = made.decide_together({0: Moment(T0 + DAY)}, permit=hold_every_other)
    records = records_of(made, decided.decisions)
    reasons = [found.record.reason for found in records]
    assert reasons.count("breaker") == len(stopped) > 10
    assert reasons.count("demand") > 10
    assert replayer.replay(records).identical == OFFERS
    held, moved = records[reasons.index("breaker")], records[reasons.index("demand")]
    changed = mutated(held, rb'"verdict":{"code":"breaker"', b'"verdict":{"code":"demand"')
    assert replayer.replay([changed]).differences[0].field == "verdict.code"
    assert replayer.replay([mutated(moved, rb'"reason":"demand"', b'"reason":"breaker"')]).identical == 0


def test_decisions_of_small_calls_are_not_asked_again_in_larger_ones(founds, replayer):
    made, singles = engine(0), []
    for i in range(40):
        key = b"web:%d" % i
        made.apply(0, batch(c.PolicyColumns, {"key": key}))
        made.apply(0, batch(c.ClickColumns, {"key": key, "count": 30 + i}))
        singles += records_of(made, made.decide(0, T0 + DAY, "ACTIVE"))
    assert {found.record.batch for found in singles} == {32}
    assert {found.record.batch for found in founds} == {0, 128}
    report = replayer.replay(singles + founds)
    assert report.identical == len(singles) + len(founds)


@pytest.mark.parametrize(
    ("pattern", "replacement", "field"),
    [
        (rb'"features":\[(-?\d+\.\d)(\d)', rb'"features":[\g<1>9\2', f"features.{FEATURES[0].name}"),
        (rb'"q":\[(-?)\d', rb'"q":[\g<1>9', "candidates.q.-1000bp"),
        (rb'"inputs":"(.)(.)', rb'"inputs":"\2\1', "inputs"),
        (rb'"lower_bound":(\d)', rb'"lower_bound":1\1', "lower_bound"),
        (rb'"run_mode":"ACTIVE"', rb'"run_mode":"HALTED"', "features"),
        (rb'"price":(\d+)', rb'"price":9\1', "price"),
    ],
)
def test_a_changed_byte_is_a_difference_and_the_first_field_is_named(founds, replayer, pattern, replacement, field):
    report = replayer.replay([mutated(considered(founds), pattern, replacement)])
    assert (report.decisions, report.identical) == (1, 0)
    assert report.differences[0].field == field
    with pytest.raises(NotReproduced, match="1 decisions"):
        require_reproduced(report, None)


def test_one_damaged_record_does_not_hide_the_others(founds, replayer):
    found = considered(founds)
    damaged = found_at(
        0, 0, found.raw.replace(base64.b64encode(found.record.inputs), base64.b64encode(found.record.inputs[:-2]))
    )
    report = replayer.replay([*founds[:5], damaged, *founds[5:10]])
    assert (report.decisions, report.identical) == (11, 10)
    assert report.differences == [(found.record.decision_id, "inputs", "unreadable", None)]


@pytest.mark.parametrize(
    ("pattern", "replacement", "reason"),
    [
        (rb'"model":"[^"]*"', b'"model":"other/9@000000000000"', "model other/9@000000000000 is not at hand"),
        (rb'"rules":\d+', b'"rules":99', f"rules of version 99, this program has {VERSION}"),
        (rb',"rules":.*}', b"}", "recorded by an earlier version, without its inputs"),
    ],
)
def test_what_cannot_be_made_again_is_counted_by_reason(founds, replayer, pattern, replacement, reason):
    report = replayer.replay([founds[0], mutated(founds[1], pattern, replacement)])
    assert (report.decisions, report.identical, report.different) == (2, 1, 0)
    assert report.not_recomputed == {reason: 1}


def test_under_the_same_policies_and_by_the_same_model_nothing_would_have_been_otherwise(founds, replayer):
    for otherwise in (under_policies({}), by_model(MODEL)):
        effect = what_if(replayer, founds, otherwise)
        assert (effect.decisions, effect.changed, effect.value_then) == (2 * OFFERS, 0, effect.value)


def test_under_another_policy_a_family_is_as_it_was_on_record_and_another_family_is_not_known(founds, replayer):
    found = next(found for found in founds if found.record.outcome == "changed")
    recorded = question_of([found])
    recorded.recorded.policies[list(SIBLINGS)] = 5000, 5000, 1
    recorded.recorded.policies["family"] = 7
    for family, known in ((7, (5000, 5000, 1)), (8, (c.NONE,) * 3), (0, (0,) * 3)):
        policy = recorded.recorded.policies.copy()
        policy["family"], policy[list(SIBLINGS)] = family, 0
        then = under_policies({found.key: policy})([found], recorded.repeated(1), replayer)
        assert then.recorded.policies[list(SIBLINGS)][0].tolist() == known


def test_a_paused_offer_would_have_been_held_and_its_gain_lost(founds, replayer):
    found = considered(founds)
    policy = question_of([found]).recorded.policies.copy()
    policy["mode"] = c.PAUSED
    effect = what_if(replayer, founds, under_policies({found.key: policy}))
    assert (effect.changed, effect.outcomes) == (1, {"changed to held": 1})
    (one,) = effect.first
    assert (one.decision_id, one.reason_then, one.price_then) == (
        found.record.decision_id,
        "paused",
        found.record.previous_price,
    )
    assert effect.value_then - effect.value == pytest.approx(one.gain)
    q, chosen = found.record.candidates.q, found.record.chosen
    assert one.gain == pytest.approx(q[len(q) // 2] - q[chosen], abs=1e-6)
