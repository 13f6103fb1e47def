"""CloudEvents 1.0 headers of a record, in the binary mode of its Kafka protocol binding.

The value of the record is the event's data, unwrapped; everything else about the event is in headers, so that
a router or a debugger needs no knowledge of our types. What does not change from record to record is encoded once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import msgspec

from schemas.alarms import AlarmRaised
from schemas.dead_letter import DeadLettered, Replayed
from schemas.decisions import PriceChanged, PriceDecided
from schemas.events import (
    ClickRecorded,
    CommandGiven,
    CompetitorPriceObserved,
    ExperimentSet,
    InventoryCounted,
    OrderRecorded,
    PriceApplied,
    RunModeSet,
    Ticked,
)
from schemas.models import ModelPinned, ModelPublished, ModelSetLive, ModelStatusSet, WeightsPart
from schemas.policies import OfferPolicy
from schemas.summaries import FamilySummarised, ShardSummarised
from schemas.timestamps import format_ms
from schemas.transitions import TransitionClosed

Headers = list[tuple[str, str | bytes | None]]
"""As confluent-kafka types them; ours are all bytes."""

SPECVERSION = "1.0"
CONTENT_TYPE = "application/json"
_STATIC = (("ce_specversion", SPECVERSION.encode()), ("content-type", CONTENT_TYPE.encode()))


@dataclass(frozen=True, slots=True)
class EventType:
    """The CloudEvents type of one of our structs: ``repricer.price-changed.v1``."""

    struct: type[msgspec.Struct]
    version: int
    """Of the schema. It grows when a consumer of the old schema could misread the new one."""

    @property
    def name(self) -> str:
        """Value of ``ce_type``."""
        words = re.sub(r"(?<!^)(?=[A-Z])", "-", self.struct.__name__).lower()
        return f"repricer.{words}.v{self.version}"

    def headers(self, *, event_id: str, source: str, time_ms: int) -> Headers:
        """Headers of one record.

        Args:
            event_id: Unique within ``source``; a resend keeps it.
            source: URI reference of the system that says it.
            time_ms: When it happened, ms since the epoch.
        """
        return [("ce_id", event_id.encode()), *self.shared_headers(source=source, time_ms=time_ms)]

    def shared_headers(self, *, source: str, time_ms: int) -> list[tuple[str, bytes]]:
        """Headers that all records have which one source says at one time: all but ``ce_id``."""
        return [("ce_source", source.encode()), ("ce_time", _time(time_ms)), *_type_headers(self)]


@lru_cache(maxsize=64)
def _type_headers(event_type: EventType) -> list[tuple[str, bytes]]:
    return [("ce_type", event_type.name.encode()), *_STATIC]


@lru_cache(maxsize=64)  # the records of one step share their time
def _time(ms: int) -> bytes:
    return format_ms(ms).encode()


ORDER_RECORDED = EventType(OrderRecorded, 1)
CLICK_RECORDED = EventType(ClickRecorded, 1)
COMPETITOR_PRICE_OBSERVED = EventType(CompetitorPriceObserved, 1)
INVENTORY_COUNTED = EventType(InventoryCounted, 1)
PRICE_APPLIED = EventType(PriceApplied, 1)
COMMAND_GIVEN = EventType(CommandGiven, 1)
TICKED = EventType(Ticked, 1)
OFFER_POLICY = EventType(OfferPolicy, 1)
RUN_MODE_SET = EventType(RunModeSet, 1)
EXPERIMENT_SET = EventType(ExperimentSet, 1)
PRICE_CHANGED = EventType(PriceChanged, 1)
PRICE_DECIDED = EventType(PriceDecided, 1)
DEAD_LETTERED = EventType(DeadLettered, 1)
REPLAYED = EventType(Replayed, 1)
ALARM_RAISED = EventType(AlarmRaised, 1)
SHARD_SUMMARISED = EventType(ShardSummarised, 1)
FAMILY_SUMMARISED = EventType(FamilySummarised, 1)
TRANSITION_CLOSED = EventType(TransitionClosed, 1)
MODEL_PUBLISHED = EventType(ModelPublished, 1)
WEIGHTS_PART = EventType(WeightsPart, 1)
MODEL_STATUS_SET = EventType(ModelStatusSet, 1)
MODEL_SET_LIVE = EventType(ModelSetLive, 1)
MODEL_PINNED = EventType(ModelPinned, 1)

EVENT_TYPES = {
    event_type.struct: event_type
    for event_type in (
        ORDER_RECORDED,
        CLICK_RECORDED,
        COMPETITOR_PRICE_OBSERVED,
        INVENTORY_COUNTED,
        PRICE_APPLIED,
        COMMAND_GIVEN,
        TICKED,
        OFFER_POLICY,
        RUN_MODE_SET,
        EXPERIMENT_SET,
        PRICE_CHANGED,
        PRICE_DECIDED,
        DEAD_LETTERED,
        REPLAYED,
        ALARM_RAISED,
        SHARD_SUMMARISED,
        FAMILY_SUMMARISED,
        TRANSITION_CLOSED,
        MODEL_PUBLISHED,
        WEIGHTS_PART,
        MODEL_STATUS_SET,
        MODEL_SET_LIVE,
        MODEL_PINNED,
    )
}
"""By struct."""
