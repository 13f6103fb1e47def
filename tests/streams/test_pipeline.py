"""What the pipeline does with a shard's log; the step itself is tested on brokers."""

import pytest

from pricing_core.engine import PricingEngine
from pricing_core.model_file import load_model
from pricing_core.state import ROW
from schemas.codec import encode
from schemas.examples import NOW, POLICY
from schemas.topics import HOT_SOURCES, offer_key
from streams.errors import ShardLost
from streams.metrics import Metrics
from streams.partitioner import partition_of
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.takeover import ShardLog

POSITIONS = {topic.name: 0 for topic in HOT_SOURCES}


def log_with(rows):
    return ShardLog(0, applied=dict(POSITIONS), ends=dict(POSITIONS), rows=rows)


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
        log = ShardLog(partition, applied=dict(POSITIONS), ends=dict(POSITIONS), policies=[(key, encode(POLICY))])
        pipeline.restore(log, wall=NOW)
        assert pipeline.engine.offer_count(partition) == (partition == home)
