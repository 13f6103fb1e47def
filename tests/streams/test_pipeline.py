"""What the pipeline does with a shard's log; the step itself is tested on brokers."""

import numpy as np
import orjson
import pytest
from msgspec.structs import replace

from pricing_core.engine import PricingEngine
from pricing_core.model_file import load_model
from pricing_core.state import ROW
from schemas.binary import BinaryArray
from schemas.codec import encode
from schemas.examples import NOW, ORDER, POLICY
from schemas.timestamps import format_ms
from schemas.topics import HOT_SOURCES, offer_key
from streams.changelog import FORMAT, ShardRecord, decode_shard_record, encode_shard_record
from streams.errors import ShardLost
from streams.metrics import Metrics
from streams.partitioner import partition_of
from streams.pipeline import Pipeline
from streams.records import Records
from streams.settings import Settings
from streams.takeover import ShardLog
from streams.transport.record_batch import RecordBatch

POSITIONS = {topic.name: 0 for topic in HOT_SOURCES}


def log_with(rows):
    keys, values = BinaryArray.of(rows), BinaryArray.of(rows.values())
    return ShardLog(0, applied=dict(POSITIONS), ends=dict(POSITIONS), keys=keys, rows=values)


@pytest.mark.parametrize(
    "row",
    [b"", b"\xff" * 10, b"\x63" + b"\0" * (ROW.itemsize - 1)],
    ids=["empty", "too short", "another format"],
)
def test_a_poisoned_changelog_row_is_named_and_nothing_is_built_on_it(row):
    pipeline = Pipeline(Settings(), PricingEngine(load_model(), capacity=1024), Metrics())
    with pytest.raises(ShardLost, match="partition 0: "):
        pipeline.restore(log_with({b"web:sku-1": row}), wall=0)


def test_more_rows_than_fit_say_what_to_do():
    pipeline = Pipeline(Settings(), PricingEngine(load_model(), capacity=1), Metrics())
    rows = {f"web:sku-{i}".encode(): (b"\1\0" + b"\0" * (ROW.itemsize - 2)) for i in range(2)}
    with pytest.raises(ShardLost, match="partition 0: "):
        pipeline.restore(log_with(rows), wall=0)


def test_a_policy_that_was_refused_for_its_partition_founds_no_offer_when_policies_are_read_again():
    pipeline = Pipeline(Settings(partitions=4), PricingEngine(load_model(), capacity=1024), Metrics())
    key = offer_key(POLICY.channel, POLICY.sku)
    home = partition_of(key, 4)
    for partition in range(4):
        policies = [Records.of([0], [key], [encode(POLICY)])]
        log = ShardLog(partition, applied=dict(POSITIONS), ends=dict(POSITIONS), policies=policies)
        pipeline.restore(log, wall=NOW)
        assert pipeline.engine.offer_count(partition) == (partition == home)


class Partition0:
    """A shard of the only partition, stepped through records of ``orders``, and restored from its own record."""

    def __init__(self):
        self.pipeline = Pipeline(Settings(partitions=1), PricingEngine(load_model(), capacity=1024), Metrics())
        self.shard = self.pipeline.restore(log_with({}), wall=NOW)
        self.records = []

    def read(self, *orders, wall=NOW):
        """Step through the records as one batch. Returns the reasons of the dead letters."""
        first = len(self.records)
        self.records += [(offer_key(order.channel, order.sku), encode(order)) for order in orders]
        keys, values = (BinaryArray.of(record[part] for record in self.records[first:]) for part in range(2))
        end = len(self.records)
        batch = RecordBatch("repricer.orders", 0, 0, first, end, np.arange(first, end), keys, values, at_end=True)
        outputs = self.pipeline.apply([(self.shard, batch)], wall)[0]
        letters = [letter for out in outputs if out.topic == "repricer.dead-letters" for letter in out.values]
        return [orjson.loads(letter)["reason"] for letter in letters]

    def restart(self, wall):
        keys, rows = self.pipeline.engine.snapshot(0)
        record = ShardRecord(
            format=FORMAT,
            transactional_id="a",
            generation=1,
            applied=self.shard.applied,
            seen=self.shard.seen,
            now=self.shard.now,
            sequence=self.pipeline.engine.sequence(0),
            written_at=wall,
            refused=self.shard.refused_lately(),
        )
        self.pipeline.engine.drop_shard(0)
        log = log_with({key: rows[i : i + 1].tobytes() for i, key in enumerate(keys)})
        log.applied, log.record = self.shard.applied, decode_shard_record(encode_shard_record(record), 0)
        log.recent = {
            "orders": [
                Records.of([offset], [key], [value])  # a page each
                for offset, (key, value) in enumerate(self.records)
            ]
        }
        self.shard = self.pipeline.restore(log, wall)

    @property
    def units(self):
        return self.pipeline.engine.totals(0)[b"web:SKU-1"]["units_placed"]


DOLLARS, RIGHT = replace(ORDER, event_id="again", currency="USD"), replace(ORDER, event_id="again")
TOMORROW = replace(ORDER, event_id="again", occurred_at=format_ms(NOW + 86_400_000))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_right_resend_of_a_refused_record_is_applied_once(restarted):
    partition = Partition0()
    assert partition.read(ORDER, DOLLARS) == ["currency_mismatch"]
    if restarted:
        partition.restart(NOW)
    assert partition.read(RIGHT) == partition.read(RIGHT) == []
    assert partition.units == 2 * ORDER.quantity


def test_a_record_from_the_future_may_be_sent_again_when_its_time_has_come_after_a_restart_too():
    partition = Partition0()
    assert partition.read(ORDER, TOMORROW) == ["future_timestamp"]
    partition.restart(NOW + 90_000_000)
    assert partition.read(TOMORROW, TOMORROW, wall=NOW + 90_000_000) == []
    assert partition.units == 2 * ORDER.quantity


def test_a_batch_of_which_nothing_is_left_only_moves_the_position():
    partition = Partition0()
    assert partition.read(replace(ORDER, quantity=-1)) == ["schema_violation"]
    assert partition.read() == []
    assert partition.shard.applied["orders"] == 1


def test_a_resend_in_the_same_batch_as_the_refused_record_is_judged_by_itself():
    partition = Partition0()
    assert partition.read(ORDER, DOLLARS, DOLLARS, RIGHT, RIGHT) == ["currency_mismatch", "currency_mismatch"]
    assert partition.units == 2 * ORDER.quantity


def test_a_batch_of_nothing_and_one_of_nothing_good_move_the_position_and_nothing_else():
    partition = Partition0()
    assert partition.read(TOMORROW) == ["future_timestamp"]
    end = RecordBatch.of(("repricer.orders", 0), [], first_offset=1, next_offset=2)  # a transaction's marker
    assert partition.pipeline.apply([(partition.shard, end)], NOW) == {0: []}
    assert partition.pipeline.decide([partition.shard], NOW) == {}
    assert partition.shard.applied["orders"] == 2
    assert partition.pipeline.engine.totals(0) == {}
