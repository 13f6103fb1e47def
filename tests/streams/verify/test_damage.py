"""Every kind of damage to a right log is found, by the check that is named for it."""

import random

import orjson
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from streams.dlq.coordinates import Coordinates
from streams.verify import require_clean, verify_log
from streams.verify.changelog import SHARD_KEY
from tests.streams.verify import damage, damage_of_outputs
from tests.streams.verify.memory_log import Record
from tests.streams.verify.synthetic_worker import SETTINGS, SyntheticWorker

DAMAGES = {
    damage.lost_event: "totals",
    damage.doubled_event: "totals",
    damage.event_that_nobody_applied: "totals",
    damage.offer_without_a_row: "offers",
    damage.row_without_records: "offers",
    damage.wrong_stock: "last_values",
    damage.wrong_price: "last_values",
    damage.damaged_row: "readable",
    damage.row_of_another_format: "readable",
    damage.shard_record_that_is_none: "readable",
    damage.missing_source_record: "records",
    damage.bad_record_without_a_dead_letter: "records",
    damage.stray_without_a_dead_letter: "records",
    damage.dead_letter_twice: "dead_letters",
    damage.dead_letter_of_nothing: "dead_letters",
    damage.dead_letter_with_other_bytes: "dead_letters",
    damage.dead_letter_with_another_hash: "dead_letters",
    damage_of_outputs.doubled_decision: "decision_ids",
    damage_of_outputs.missing_decision: "sequence",
    damage_of_outputs.decision_of_no_cut: "readable",
    damage_of_outputs.doubled_price_change: "price_changes",
    damage_of_outputs.price_change_sent_again_too_often: "price_changes",
    damage_of_outputs.missing_price_change: "price_changes",
    damage_of_outputs.price_change_without_a_decision: "price_changes",
    damage_of_outputs.another_price_than_decided: "price_changes",
    damage_of_outputs.hole_in_the_versions: "versions",
    damage_of_outputs.command_that_nobody_gave: "commands",
    damage_of_outputs.command_that_was_carried_out_twice: "commands",
    damage_of_outputs.price_below_the_floor: "policy_bounds",
    damage_of_outputs.price_that_jumped: "policy_bounds",
    damage_of_outputs.price_beside_the_promotion: "policy_bounds",
    damage_of_outputs.price_above_the_emergency_cap: "policy_bounds",
    damage_of_outputs.policy_version_that_never_was: "policy_bounds",
    damage_of_outputs.price_out_of_its_own_bounds: "own_bounds",
    damage_of_outputs.price_that_a_rule_forbids: "own_bounds",
    damage_of_outputs.price_that_was_not_chosen: "own_bounds",
    damage_of_outputs.decision_without_a_source: "causes",
    damage_of_outputs.decision_without_a_model: "causes",
    damage_of_outputs.decision_without_its_time: "causes",
    damage_of_outputs.propensity_of_nothing: "causes",
    damage_of_outputs.change_while_halted: "causes",
    damage_of_outputs.offset_that_goes_back: "decision_order",
    damage_of_outputs.decision_ahead_of_the_shard_record: "decision_order",
    damage_of_outputs.older_version_after_a_newer_one: "version_order",
    damage_of_outputs.shard_record_that_goes_back: "shard_record_order",
    damage_of_outputs.group_that_was_reset: "group_offsets",
    damage_of_outputs.group_without_offsets: "group_offsets",
}


def damaged(how, seed, events):
    log = SyntheticWorker(seed, events).log
    how(damage.Damage(log, random.Random(seed)))
    return verify_log(log, SETTINGS)


@pytest.mark.parametrize(("how", "check"), DAMAGES.items(), ids=[how.__name__ for how in DAMAGES])
def test_a_damage_is_found_by_the_check_that_is_named_for_it(how, check):
    report = damaged(how, seed=1, events=200)
    assert check in report.violated
    assert next(c for c in report.checks if c.name == check).examples


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(DAMAGES)), st.integers(0, 2**32), st.integers(30, 120))
def test_any_single_damage_to_any_log_is_found(how, seed, events):
    try:
        report = damaged(how, seed, events)
    except damage.NothingToDamage:
        assume(False)
    assert DAMAGES[how] in report.violated


def test_a_report_with_violations_is_an_error_that_names_them():
    with pytest.raises(Exception, match="dead_letters violated") as raised:
        require_clean(damaged(damage.dead_letter_twice, seed=1, events=200))
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
