"""Every kind of damage to a right log is found, by the check that is named for it."""

import random

import numpy as np
import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streams.dlq.coordinates import Coordinates
from streams.partitioner import partition_of
from streams.verify import require_clean, verify_log
from streams.verify.changelog import ROW, SALES, SHARD_KEY, SHOPPERS
from tests.streams.verify.memory_log import Record
from tests.streams.verify.synthetic_worker import SETTINGS, SyntheticWorker

TOTALS = SALES + SHOPPERS


class NothingToDamage(Exception):
    """This log has no such record."""


def require(condition):
    if not condition:
        raise NothingToDamage


class Damage:
    """Takes a right log and makes one thing wrong in it. Which one is drawn by ``chance``."""

    def __init__(self, log, chance):
        self.log, self.chance = log, chance

    def records(self, topic, wanted=lambda _: True):
        found = [r for p in range(SETTINGS.partitions) for r in self.log.topics[topic, p] if wanted(r)]
        require(found)
        return found

    def some(self, topic, wanted=lambda _: True):
        """A record of a topic, and the list that it is in."""
        record = self.chance.choice(self.records(topic, wanted))
        (records,) = (r for (name, _), r in self.log.topics.items() if name == topic and any(record is x for x in r))
        return record, records

    def change(self, record, **fields):
        record.value = orjson.dumps(orjson.loads(record.value) | fields)

    def again(self, topic, record, **fields):
        (p,) = (p for (name, p), found in self.log.topics.items() if name == topic and any(record is x for x in found))
        self.log.append(topic, p, record.key, orjson.dumps(orjson.loads(record.value) | fields))

    def row(self):
        """The last row of some offer: the one that counts."""
        record, records = self.some("changelog", lambda r: r.key != SHARD_KEY)
        return next(r for r in reversed(records) if r.key == record.key)

    def one_event(self, factor):
        column = self.chance.choice(TOTALS)
        record = self.row()
        row = np.frombuffer(record.value, ROW).copy()
        row["totals"][0, TOTALS.index(column)] += factor * self.chance.randrange(1, 100)
        record.value = row.tobytes()

    def set_in_row(self, name, value):
        record = self.row()
        row = np.frombuffer(record.value, ROW).copy()
        require(row[name][0] != value)
        row[name] = value
        record.value = row.tobytes()


def is_changed(record):
    return orjson.loads(record.value)["outcome"] == "changed"


def is_later_change(record):
    return orjson.loads(record.value)["version"] > 1


def lost_event(d):
    d.one_event(-1)


def doubled_event(d):
    d.one_event(1)


def event_that_nobody_applied(d):
    """The cut is moved over a record that is in no total: as if it had been lost on the way."""
    record, records = d.some("orders", lambda r: b'"type":"placed"' in r.value)
    event = orjson.loads(record.value) | {"event_id": "another"}
    (p,) = (p for (_, p), found in d.log.topics.items() if found is records)
    require(partition_of(record.key, SETTINGS.partitions) == p)
    d.log.append("orders", p, record.key, orjson.dumps(event))
    (last,) = [r for r in d.log.topics["changelog", p] if r.key == SHARD_KEY][-1:]
    applied = orjson.loads(last.value)["applied"]
    d.change(last, applied=applied | {"orders": applied["orders"] + 1})
    d.log.group["orders", p] += 1


def offer_without_a_row(d):
    record = d.row()
    for records in d.log.topics.values():
        records[:] = [r for r in records if r.key != record.key or len(r.value) != ROW.itemsize]


def row_without_records(d):
    d.log.append("changelog", 0, b"web:nobody", d.row().value)


def wrong_stock(d):
    d.set_in_row("on_hand", 1234)


def wrong_price(d):
    d.set_in_row("price", 777)


def damaged_row(d):
    d.row().value += b"\0"


def row_of_another_format(d):
    d.row().value = b"\x63" + d.row().value[1:]


def missing_source_record(d):
    record, records = d.some("inventory")
    require(record is not records[-1])
    records.remove(record)


def bad_record_without_a_dead_letter(d):
    record, records = d.some("dead-letters", lambda r: b"malformed" in r.value)
    records.remove(record)


def stray_without_a_dead_letter(d):
    record, records = d.some("dead-letters", lambda r: b"wrong_partition" in r.value)
    records.remove(record)


def dead_letter_twice(d):
    d.again("dead-letters", d.some("dead-letters")[0])


def dead_letter_of_nothing(d):
    d.change(d.some("dead-letters")[0], offset=10**6)


def dead_letter_with_other_bytes(d):
    d.change(d.some("dead-letters")[0], value="AAAA")


def dead_letter_with_another_hash(d):
    d.change(d.some("dead-letters")[0], sha256="0" * 64)


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


def price_below_the_floor(d):
    record, _ = d.some("price-decisions", is_changed)
    d.change(record, price=899, lower_bound=1, candidates={"prices": [899, 899], "masked": [None, None], "q": []})


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


DAMAGES = {
    lost_event: "totals",
    doubled_event: "totals",
    event_that_nobody_applied: "totals",
    offer_without_a_row: "offers",
    row_without_records: "offers",
    wrong_stock: "last_values",
    wrong_price: "last_values",
    damaged_row: "readable",
    row_of_another_format: "readable",
    missing_source_record: "records",
    bad_record_without_a_dead_letter: "records",
    stray_without_a_dead_letter: "records",
    dead_letter_twice: "dead_letters",
    dead_letter_of_nothing: "dead_letters",
    dead_letter_with_other_bytes: "dead_letters",
    dead_letter_with_another_hash: "dead_letters",
    doubled_decision: "decision_ids",
    missing_decision: "sequence",
    decision_of_no_cut: "readable",
    doubled_price_change: "price_changes",
    price_change_sent_again_too_often: "price_changes",
    missing_price_change: "price_changes",
    price_change_without_a_decision: "price_changes",
    another_price_than_decided: "price_changes",
    hole_in_the_versions: "versions",
    price_below_the_floor: "policy_bounds",
    policy_version_that_never_was: "policy_bounds",
    price_out_of_its_own_bounds: "own_bounds",
    price_that_a_rule_forbids: "own_bounds",
    price_that_was_not_chosen: "own_bounds",
    decision_without_a_source: "causes",
    decision_without_a_model: "causes",
    decision_without_its_time: "causes",
    propensity_of_nothing: "causes",
    change_while_halted: "causes",
    offset_that_goes_back: "decision_order",
    decision_ahead_of_the_shard_record: "decision_order",
    older_version_after_a_newer_one: "version_order",
    shard_record_that_goes_back: "shard_record_order",
    group_that_was_reset: "group_offsets",
    group_without_offsets: "group_offsets",
}


def damaged(damage, seed, events):
    log = SyntheticWorker(seed, events).log
    damage(Damage(log, random.Random(seed)))
    return verify_log(log, SETTINGS)


@pytest.mark.parametrize(("damage", "check"), DAMAGES.items(), ids=[damage.__name__ for damage in DAMAGES])
def test_a_damage_is_found_by_the_check_that_is_named_for_it(damage, check):
    report = damaged(damage, seed=1, events=200)
    assert check in report.violated
    assert next(c for c in report.checks if c.name == check).examples


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(DAMAGES)), st.integers(0, 2**32), st.integers(30, 120))
def test_any_single_damage_to_any_log_is_found(damage, seed, events):
    try:
        report = damaged(damage, seed, events)
    except NothingToDamage:
        assume(False)
    assert DAMAGES[damage] in report.violated


def test_a_report_with_violations_is_an_error_that_names_them():
    with pytest.raises(Exception, match="dead_letters violated") as raised:
        require_clean(damaged(dead_letter_twice, seed=1, events=200))
    assert raised.value.exit_code == 20


def test_a_replay_that_counts_twice_is_found_and_one_within_the_window_is_not_counted():
    log = SyntheticWorker(1, 0).log
    order = (
        b'{"event_id":"r","type":"placed","quantity":1,"line_total":5,"currency":"EUR","sku":"SKU-1","channel":"web"}'
    )
    original = str(Coordinates("orders", 0, 0))
    log.append("orders", 0, b"web:SKU-1", order.replace(b'"r"', b'"another"'))
    for _ in range(3):
        log.append("orders", 0, b"web:SKU-1", order, original)
    assert not verify_log(log, SETTINGS).violated  # nothing of it is below the cut
    far = SETTINGS.duplicate_window + 10
    log.topics["orders", 0].append(Record(far, b"web:SKU-1", order, original))
    (last,) = [r for r in log.topics["changelog", 0] if r.key == SHARD_KEY][-1:]
    applied = orjson.loads(last.value)["applied"] | {"orders": far + 1}
    last.value = orjson.dumps(orjson.loads(last.value) | {"applied": applied})
    done = {"topic": "orders", "partition": 0, "offset": 0, "state": "done", "to_partition": 0, "to_offset": 1}
    log.append("replays", 0, original.encode(), orjson.dumps(done))
    assert "replays" in verify_log(log, SETTINGS).violated
