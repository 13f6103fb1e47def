"""Audit records as a worker writes them, without Kafka: what is read back from the topic."""

import msgspec

from pricing_core.decisions import DecidedTogether
from schemas.decisions import PriceDecided
from streams.emit import Emitter
from streams.metrics import Metrics
from streams.replay.decision_log import Found
from streams.settings import Settings
from streams.shard import Shard
from tests.pricing_core.events import T0

APPLIED = {
    "orders": 7,
    "clicks": 9,
    "competitor-prices": 3,
    "inventory": 2,
    "price-applied": 1,
    "offer-policies": 4,
    "ticks": 5,
    "commands": 1,
}
SETTINGS = Settings(partitions=4, max_offers=1024)


def found_at(partition, offset, raw):
    return Found(partition, offset, raw, msgspec.json.decode(raw, type=PriceDecided))


def records_of(
    engine,
    decisions,
    shard=0,
):
    """The records of decisions, as `DecisionLog` finds them."""
    emitter = Emitter(SETTINGS, engine, Metrics())
    place = Shard(shard, APPLIED, {}, {})
    whole = DecidedTogether(decisions, {shard: slice(0, len(decisions))})
    audit = emitter.decisions(whole, {shard: place}, T0)[shard][0]
    return [found_at(shard, offset, raw) for offset, raw in enumerate(audit.values.present())]
