"""Shards of a real pipeline, told in JSON what happens, and asked what they publish."""

import msgspec
import numpy as np

from pricing_core.engine import PricingEngine
from pricing_core.features import HOLD
from pricing_core.model_file import load_model
from schemas.binary import BinaryArray
from schemas.codec import encode
from schemas.events import PriceApplied, RunModeSet, Ticked
from schemas.examples import POLICY
from schemas.timestamps import format_ms
from schemas.topics import (
    ALARMS,
    HOT_SOURCES,
    OFFER_POLICIES,
    PRICE_APPLIED,
    PRICE_CHANGES,
    PRICE_DECISIONS,
    PRICING_CONTROL,
    TICKS,
    offer_key,
)
from streams.changelog import FORMAT, ShardRecord, decode_shard_record, encode_shard_record
from streams.metrics import Metrics
from streams.partitioner import partitions_of
from streams.pipeline import Pipeline
from streams.records import Records
from streams.settings import Settings
from streams.takeover import ShardLog
from streams.transport.record_batch import RecordBatch
from tests.pricing_core.engines import opinionated
from tests.pricing_core.events import T0

PLAIN = msgspec.structs.replace(
    POLICY, version=1, min_margin_bp=None, price_ending=None, max_stock_age_s=None, promotion_price=None,
    promotion_from=None, promotion_to=None, updated_at=format_ms(T0),
)  # fmt: skip


class Shards:
    """A worker without Kafka, whose model always chooses the same move."""

    def __init__(self, count=1, offers=1024, move=HOLD, **settings):
        self.settings = Settings(partitions=count, max_offers=max(offers, 1024), **settings)
        self.engine = PricingEngine(load_model(), capacity=max(offers, 1024))
        self.metrics = Metrics()
        self.pipeline = Pipeline(self.settings, self.engine, self.metrics)
        self.now, self.wall, self.controls = T0, T0, []
        self.at = {(topic.name, p): 0 for topic in HOT_SOURCES for p in range(count)}
        self.published, self.shards = [], {}
        self.rows = {p: {} for p in range(count)}
        self.policies = {p: [] for p in range(count)}
        for p in range(count):
            self._own(p)
        self.model(move)

    def model(self, move, q=0.0):
        opinionated(self.engine, move, q)

    def _own(self, partition, record=None):
        positions = {topic.name: self.at[topic.name, partition] for topic in HOT_SOURCES}
        log = ShardLog(partition, applied=positions, ends=dict(positions), record=record, controls=list(self.controls))
        log.keys, log.rows = (BinaryArray.of(each) for each in (self.rows[partition], self.rows[partition].values()))
        log.policies = self.policies[partition]
        self.shards[partition] = self.pipeline.restore(log, self.wall)
        nothing = BinaryArray.of([])
        self._step([self._batch(topic, partition, nothing, nothing) for topic in HOT_SOURCES])  # all are at their ends

    def record(self, partition=0):
        """The shard record, as the next owner would read it."""
        shard, sequence = self.shards[partition], self.engine.sequence(partition)
        place = (FORMAT, "a", 1, shard.applied, shard.seen, shard.now, sequence, self.wall)
        record = ShardRecord(*place, alarms=shard.alarms, breaker=shard.breaker)
        return decode_shard_record(encode_shard_record(record), partition)

    def restart(self, partition=0):
        """Another owner takes the shard over."""
        record = self.record(partition)
        keys, rows = self.engine.snapshot(partition)
        self.rows[partition] |= {key: row.tobytes() for key, row in zip(keys, rows, strict=True)}
        self.engine.drop_shard(partition)
        self._own(partition, record)

    def tell(self, topic, *events):
        """Records of one source; a step for all shards."""
        keys = BinaryArray.of(offer_key(event.channel, event.sku) for event in events)
        values = BinaryArray.of(map(encode, events))
        places = partitions_of(keys, len(self.shards))
        self._step([self._batch(topic, p, keys.take(rows), values.take(rows))
                    for p in self.shards if len(rows := np.flatnonzero(places == p))])  # fmt: skip

    def tick(self, later=0):
        """Time goes on by ``later`` ms, and what is due is decided."""
        self.now, self.wall = self.now + later, self.wall + later
        value = encode(Ticked(at=format_ms(self.now)))
        self._step([self._batch(TICKS, p, BinaryArray.of([None]), BinaryArray.of([value])) for p in self.shards])

    def control(self, mode, at=None):
        """A person sets the run mode of everything."""
        offset, at = len(self.controls), self.wall if at is None else at
        value = encode(RunModeSet(mode=mode, by="ann", why="because", at=format_ms(at)))
        self.controls.append((offset, b"*", value))
        for p, shard in self.shards.items():
            batch = RecordBatch.of(
                (PRICING_CONTROL.name, p), [(offset, b"*", value)], first_offset=offset, next_offset=offset + 1
            )
            self.pipeline.control(shard, batch, self.wall)

    def answer(self, changes, status="applied", price=None):
        """The catalog answers price changes."""
        self.tell(
            PRICE_APPLIED,
            *(PriceApplied(sku=change["sku"], channel=change["channel"], version=change["version"], status=status,
                           price=price or change["price" if status == "applied" else "previous_price"],
                           currency=change["currency"], applied_at=format_ms(self.now)) for change in changes),
        )  # fmt: skip

    def sell(self, count, **fields):
        """The merchant's policies for so many offers."""
        skus = (f"SKU-{i}" for i in range(count))
        self.tell(OFFER_POLICIES, *(msgspec.structs.replace(PLAIN, sku=sku, **fields) for sku in skus))

    def taken(self, topic):
        """What was published on a topic since it was asked last."""
        name = topic.full_name(self.settings.topic_prefix)
        found = [out for out in self.published if out.topic == name]
        self.published = [out for out in self.published if out.topic != name]
        return [msgspec.json.decode(value) for out in found for value in out.values]

    def changes(self):
        return self.taken(PRICE_CHANGES)

    def decisions(self):
        return self.taken(PRICE_DECISIONS)

    def alarms(self):
        return self.taken(ALARMS)

    def _batch(self, topic, partition, keys, values):
        first = self.at[topic.name, partition]
        following = self.at[topic.name, partition] = first + len(values)
        name, offsets = topic.full_name(self.settings.topic_prefix), np.arange(first, following)
        if topic is OFFER_POLICIES:
            self.policies[partition].append(Records(offsets, keys, values))
        return RecordBatch(name, partition, 0, first, following, offsets, keys, values, at_end=True)

    def _step(self, batches):
        applied = self.pipeline.apply([(self.shards[batch.partition], batch) for batch in batches], self.wall)
        decided = self.pipeline.decide([self.shards[batch.partition] for batch in batches], self.wall)
        for outputs in (*applied.values(), *decided.values()):
            self.published += outputs
