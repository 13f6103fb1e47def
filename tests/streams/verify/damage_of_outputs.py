"""Ways to damage a right log: its decisions, price changes and shard records, and the group beside it."""

from __future__ import annotations

import orjson

from streams.verify.changelog import SHARD_KEY
from tests.streams.verify.damage import require
from tests.streams.verify.synthetic_worker import SETTINGS


def is_changed(record):
    return orjson.loads(record.value)["outcome"] == "changed"


def is_later_change(record):
    return orjson.loads(record.value)["version"] > 1


def doubled_decision(d):
    d.again("price-decisions", d.some("price-decisions")[0])


def missing_decision(d):
    record, records = d.some("price-decisions")
    records.remove(record)


def decision_of_no_cut(d):
    d.again("price-decisions", d.some("price-decisions")[0], decision_id="0-100000")


def doubled_price_change(d):
    d.again("price-changes", d.some("price-changes")[0])


def price_change_sent_again_too_often(d):
    record, _ = d.some("price-changes")
    for second in range(4):
        d.again("price-changes", record, valid_from=f"2027-01-01T00:00:0{second}.000Z")


def missing_price_change(d):
    record, _ = d.some("price-changes")
    name = orjson.loads(record.value)["decision_id"]
    for p in range(SETTINGS.partitions):
        records = d.log.topics["price-changes", p]
        records[:] = [r for r in records if orjson.loads(r.value)["decision_id"] != name]


def price_change_without_a_decision(d):
    held, _ = d.some("price-decisions", lambda r: not is_changed(r))
    d.again("price-changes", d.some("price-changes")[0], decision_id=orjson.loads(held.value)["decision_id"])


def another_price_than_decided(d):
    record, _ = d.some("price-changes")
    d.change(record, price=orjson.loads(record.value)["price"] + 1)


def hole_in_the_versions(d):
    record, _ = d.some("price-changes")
    d.change(record, version=orjson.loads(record.value)["version"] + 50)


def command_that_nobody_gave(d):
    d.change(d.some("price-decisions")[0], command=7)


def command_that_was_carried_out_twice(d):
    record, records = d.some("price-decisions")
    require(record is not records[0])
    for decision in (record, records[0]):
        d.change(decision, command=7)


def price_below_the_floor(d):
    record, _ = d.some("price-decisions", is_changed)
    d.change(record, price=899, lower_bound=1, candidates={"prices": [899, 899], "masked": [None, None], "q": []})


def price_that_jumped(d):
    record, _ = d.some("price-decisions", is_changed)
    d.change(record, previous_price=100_000, reason="bounds_repair")


def change_policy(d, **fields):
    """Of an offer whose price moved: every copy, for one of them lies where nobody reads it."""
    changed, _ = d.some("price-decisions", is_changed)
    for policy in d.records("offer-policies", lambda r: r.key == changed.key):
        d.change(policy, **fields)


def price_beside_the_promotion(d):
    window = {"promotion_from": "2020-01-01T00:00:00Z", "promotion_to": "2100-01-01T00:00:00Z"}
    change_policy(d, promotion_price=1, **window)


def price_above_the_emergency_cap(d):
    change_policy(d, emergency_price=800, max_emergency_rise_bp=0)


def policy_version_that_never_was(d):
    d.change(d.some("price-decisions", is_changed)[0], policy_version=99)


def price_out_of_its_own_bounds(d):
    record, _ = d.some("price-decisions", is_changed)
    d.change(record, upper_bound=orjson.loads(record.value)["price"] - 1)


def price_that_a_rule_forbids(d):
    record, _ = d.some("price-decisions", is_changed)
    d.change(record, candidates=orjson.loads(record.value)["candidates"] | {"masked": [None, "floor"]})


def price_that_was_not_chosen(d):
    d.change(d.some("price-decisions", is_changed)[0], chosen=0)


def decision_without_a_source(d):
    record, _ = d.some("price-decisions")
    applied = orjson.loads(record.value)["applied"]
    d.change(record, applied={name: at for name, at in applied.items() if name != "clicks"})


def decision_without_a_model(d):
    d.change(d.some("price-decisions")[0], model="")


def decision_without_its_time(d):
    d.change(d.some("price-decisions")[0], decided_at="yesterday")


def propensity_of_nothing(d):
    d.change(d.some("price-decisions")[0], propensity=0.0)


def change_while_halted(d):
    d.change(d.some("price-decisions", is_changed)[0], run_mode="HALTED")


def offset_that_goes_back(d):
    record, records = d.some("price-decisions")
    require(record is not records[0])
    applied = orjson.loads(record.value)["applied"]
    d.change(record, applied=applied | {"offer-policies": 0})


def decision_ahead_of_the_shard_record(d):
    record, _ = d.some("price-decisions")
    applied = orjson.loads(record.value)["applied"]
    d.change(record, applied=applied | {"orders": 10**6})


def older_version_after_a_newer_one(d):
    record, _ = d.some("price-changes", is_later_change)
    p = next(p for p in range(SETTINGS.partitions) if any(record is r for r in d.log.topics["price-changes", p]))
    older = next(r for r in d.log.topics["price-changes", p] if r.key == record.key)
    require(older.value != record.value)
    d.again("price-changes", older, valid_from="2027-01-01T00:00:00.000Z")


def shard_record_that_goes_back(d):
    record, records = d.some("changelog", lambda r: r.key == SHARD_KEY)
    require(record is not next(r for r in reversed(records) if r.key == SHARD_KEY))
    d.change(record, now=2**50)


def group_that_was_reset(d):
    place = d.chance.choice([place for place, offset in d.log.group.items() if offset])
    d.log.group[place] = 0


def group_without_offsets(d):
    d.log.group |= dict.fromkeys(d.log.group)
