"""What the compiled writer says of a decision is what the struct promises, field for field."""

import msgspec
import numpy as np
import orjson
import pytest

from pricing_core.decisions import CHANGED, OUTCOMES
from pricing_core.engine import Moment
from pricing_core.rules import CODES, VERSION
from pricing_core.run_modes import RunModes
from schemas import columns as c
from schemas.currencies import ALPHA_CODES
from schemas.decisions import PriceChanged, PriceDecided
from schemas.json_writer import JsonWriter
from streams.emit import Emitter
from streams.metrics import DECISIONS, HOLDS, PRICE_CHANGES, Metrics
from streams.settings import Settings
from streams.shard import Shard
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, T0, batch

WALL = T0 + 1234
AWKWARD = b'web:a:"b\\c'
SHARD = Shard(3, {"orders": 7, "clicks": 9}, {}, {})


@pytest.fixture(scope="module")
def decided():
    """Changes, recommendations and holds of all kinds, and what was published of them."""
    made, metrics = engine(3), Metrics()
    offers = [
        {"key": b"web:%d" % i, "mode": (c.AUTO, c.RECOMMEND, c.ON_APPROVAL)[i % 3], "floor": 1000 + 150 * i}
        for i in range(8)
    ]
    made.apply(3, batch(c.PolicyColumns, *offers, {"key": AWKWARD}))
    made.apply(3, batch(c.ClickColumns, *({"key": offer["key"], "count": 40} for offer in offers)))
    made.apply(3, batch(c.OrderColumns, {"key": b"web:without a policy"}))
    emitter = Emitter(Settings(partitions=4), made, metrics)
    found = made.decide_together({3: Moment(T0 + DAY)})
    return found.decisions, emitter.decisions(found, {3: SHARD}, WALL)[3], metrics, made


def null(value):
    return None if value == c.NONE else value


def test_the_audit_record_holds_all_columns_of_a_decision(decided):
    found, (audit, *_), _, made = decided
    assert len(set(found.outcome.tolist())) == len(OUTCOMES)
    assert len(audit) == len(found)
    for i, (key, raw, name) in enumerate(zip(audit.keys, audit.values, audit.ids, strict=True)):
        record = msgspec.json.decode(raw, type=PriceDecided)
        assert list(orjson.loads(raw)) == list(PriceDecided.__struct_fields__)
        assert name.decode() == record.decision_id == f"3-{found.sequence[i]}"
        assert f"{record.channel}:{record.sku}".encode() == key == found.keys[i]
        assert (record.outcome, record.reason) == (OUTCOMES[found.outcome[i]], found.reasons[i])
        for field, column in {
            "price": found.price,
            "previous_price": found.previous_price,
            "version": found.version,
            "policy_version": found.policy_version,
            "chosen": found.chosen,
            "lower_bound": found.lower,
            "prior_price": found.prior_price,
            "command": found.command,
            "upper_bound": found.upper,
        }.items():
            assert getattr(record, field) == null(column[i]), field
        assert (record.currency, record.run_mode, record.applied) == (
            ALPHA_CODES.get(int(found.currency[i])),
            "ACTIVE",
            SHARD.applied,
        )
        assert (record.verdict.code, record.verdict.limit, record.verdict.value) == (
            found.reasons[i],
            null(found.limit[i]),
            null(found.value[i]),
        )
        assert (record.model, record.epsilon) == (made.model.label, made.model.epsilon)
        assert (np.float32(record.uniform), record.batch) == (found.uniform[i], found.batch[i])
        assert (record.rules, record.inputs) == (VERSION, found.recorded.packed()[i])
        assert (record.propensity is None) == (record.chosen is None)
        assert record.propensity is None or np.float32(record.propensity) == found.propensity[i]
        if not found.considered[i]:
            assert (record.features, record.candidates) == (None, None)
            continue
        assert np.array_equal(np.array(record.features, np.float32), found.features[i])
        assert record.candidates.prices == found.prices[i].tolist()
        assert np.array_equal(np.array(record.candidates.q, np.float32), found.q[i])
        assert record.candidates.masked == [CODES[rule] if rule else None for rule in found.masked[i].tolist()]


def test_a_price_change_is_published_for_each_decision_that_changes_a_price(decided):
    found, (_, changes), _, _ = decided
    changed = np.flatnonzero(found.outcome == CHANGED).tolist()
    records = [msgspec.json.decode(raw, type=PriceChanged) for raw in changes.values]
    assert [list(orjson.loads(raw)) for raw in changes.values] == [list(PriceChanged.__struct_fields__)] * len(changed)
    assert [
        (
            f"{r.channel}:{r.sku}".encode(),
            r.decision_id,
            r.price,
            r.previous_price,
            r.prior_price,
            r.version,
            r.policy_version,
            r.reason,
        )
        for r in records
    ] == [
        (
            found.keys[i],
            f"3-{found.sequence[i]}",
            found.price[i],
            found.previous_price[i],
            null(found.prior_price[i]),
            found.version[i],
            found.policy_version[i],
            found.reasons[i],
        )
        for i in changed
    ]
    assert list(changes.ids) == [r.decision_id.encode() for r in records]
    assert {(r.currency, r.valid_from < r.expires_at) for r in records} == {("EUR", True)}


def test_decisions_are_counted_by_outcome_and_reason(decided):
    found, _, metrics, _ = decided
    assert sum(metrics.value(DECISIONS, outcome) for outcome in OUTCOMES) == len(found)
    changes = sum(metrics.value(PRICE_CHANGES, reason) for reason in set(found.reasons))
    assert changes == (found.outcome == CHANGED).sum()
    assert metrics.value(HOLDS, "no_policy") == found.reasons.count("no_policy") > 0


def test_nothing_is_published_of_no_decision():
    JsonWriter.warm_up()
    made = engine(3)
    nothing = made.decide_together({3: Moment(T0)})
    assert Emitter(Settings(), made, Metrics()).decisions(nothing, {3: SHARD}, WALL) == {}


def test_records_of_several_shards_are_those_of_each_one_alone():
    """One call of the writers for all: each shard keeps its own time, run mode, positions and numbers."""
    shards = {
        p: Shard(p, {"orders": 10 * p}, {}, {}, run_modes=RunModes.everywhere(mode))
        for p, mode in {0: "ACTIVE", 1: "HALTED", 2: "ACTIVE"}.items()
    }
    moments = {p: Moment(T0 + p, shard.run_modes) for p, shard in shards.items()}
    published = []
    for together in (True, False):
        made = engine(*shards)
        for p in shards:
            made.apply(p, batch(c.PolicyColumns, *({"key": b"web:%d%d" % (p, i), "floor": 1300} for i in range(p))))
        emitter = Emitter(Settings(partitions=4), made, Metrics())
        asked = [moments] if together else [{p: moment} for p, moment in moments.items()]
        outputs = [emitter.decisions(made.decide_together(each), shards, WALL) for each in asked]
        published.append(
            [
                (out.topic, p, [*out.keys], [*out.values], [*out.ids], out.headers)
                for each in outputs
                for p, batches in each.items()
                for out in batches
            ]
        )
    assert published[0] == published[1]
    assert [(topic, p) for topic, p, *_ in published[0]] == [
        ("repricer.price-decisions", 1),
        ("repricer.price-decisions", 2),
        ("repricer.price-changes", 2),
    ]
