"""Every topic: name, key, type, cleanup. The list lives here and nowhere else.

A topic's full name is ``<prefix>.<name>``. All topics have the same number of partitions; partition *p* of
every source and of the changelog belongs to one worker.
"""

from __future__ import annotations

import builtins
from dataclasses import dataclass
from typing import Literal

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
from schemas.transitions import TransitionClosed

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic and the contract on it."""

    name: str
    key: Literal["offer", "source", "scope", "subject", "shard", "family", "model", "none"]
    """``offer``: the offer key in ASCII; ``source``: coordinates of the source record; ``scope``: of a run mode,
    or an experiment; ``subject``: what an alarm is about; ``shard``: its number; ``family``: and shard; ``model``: see
    `schemas.models`; ``none``: explicit partition."""
    type: type[msgspec.Struct] | None
    """Type of the JSON value; None for the binary changelog."""
    cleanup: Literal["delete", "compact"]
    retention_ms: int | None
    """Least retention; None: for ever (compacted topics)."""
    about: str
    others: tuple[builtins.type[msgspec.Struct], ...] = ()
    """Other types of values: the key tells them apart."""

    def full_name(self, prefix: str) -> str:
        """Name on the broker."""
        return f"{prefix}.{self.name}"


ORDERS = Topic("orders", "offer", OrderRecorded, "delete", 7 * DAY_MS, "order lines placed, cancelled, returned")
CLICKS = Topic("clicks", "offer", ClickRecorded, "delete", 7 * DAY_MS, "impressions, clicks and add-to-carts")
COMPETITOR_PRICES = Topic(
    "competitor-prices", "offer", CompetitorPriceObserved, "delete", 7 * DAY_MS, "what competitors ask"
)
INVENTORY = Topic("inventory", "offer", InventoryCounted, "delete", 7 * DAY_MS, "pieces on hand")
PRICE_APPLIED = Topic("price-applied", "offer", PriceApplied, "delete", 7 * DAY_MS, "the catalog's answers")
COMMANDS = Topic("commands", "offer", CommandGiven, "delete", 30 * DAY_MS, "what persons order for single offers")
TICKS = Topic("ticks", "none", Ticked, "delete", DAY_MS, "event time, to every partition")
OFFER_POLICIES = Topic("offer-policies", "offer", OfferPolicy, "compact", None, "what the merchant allows")
PRICING_CONTROL = Topic(
    "pricing-control",
    "scope",
    RunModeSet,
    "compact",
    None,
    "run modes by scope and experiments, each to every partition",
    others=(ExperimentSet,),
)
PRICE_CHANGES = Topic("price-changes", "offer", PriceChanged, "delete", 30 * DAY_MS, "what the catalog reads")
PRICE_DECISIONS = Topic("price-decisions", "offer", PriceDecided, "delete", 30 * DAY_MS, "audit record, holds too")
DEAD_LETTERS = Topic("dead-letters", "source", DeadLettered, "delete", 30 * DAY_MS, "refused records with reasons")
SHADOW_DECISIONS = Topic(
    "shadow-decisions", "offer", PriceDecided, "delete", 30 * DAY_MS, "what another model would have decided"
)
TRANSITIONS = Topic(
    "transitions", "offer", TransitionClosed, "delete", 90 * DAY_MS, "decisions joined with what followed"
)
REPLAYS = Topic("replays", "source", Replayed, "compact", None, "dead letters that were published once more")
ALARMS = Topic("alarms", "subject", AlarmRaised, "delete", 30 * DAY_MS, "what a person should look at")
SHARD_SUMMARIES = Topic(
    "shard-summaries", "shard", ShardSummarised, "compact", None, "how much each shard has changed lately"
)
FAMILY_SUMMARIES = Topic(
    "family-summaries", "family", FamilySummarised, "compact", None, "prices of families, by shard"
)
Q_MODELS = Topic(
    "q-models",
    "model",
    ModelPublished,
    "compact",
    None,
    "models: manifests, weights, what became of each, and which one prices",
    others=(WeightsPart, ModelStatusSet, ModelSetLive, ModelPinned),
)
CHANGELOG = Topic("changelog", "offer", None, "compact", None, "state rows and shard records, binary")

HOT_SOURCES = (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY, PRICE_APPLIED, OFFER_POLICIES, COMMANDS, TICKS)
"""Sources that reach their agents as record batches and are committed inside the cut's transaction."""

TOPICS = (
    *HOT_SOURCES,
    PRICING_CONTROL,
    PRICE_CHANGES,
    PRICE_DECISIONS,
    SHADOW_DECISIONS,
    TRANSITIONS,
    DEAD_LETTERS,
    REPLAYS,
    ALARMS,
    SHARD_SUMMARIES,
    FAMILY_SUMMARIES,
    Q_MODELS,
    CHANGELOG,
)


def offer_key(channel: str, sku: str) -> bytes:
    """Key of every record about an offer: ``channel:sku``."""
    return f"{channel}:{sku}".encode("ascii")


def family_key(family: str, shard: int) -> bytes:
    """Key of what a shard says of a family."""
    return f"{family}/{shard}".encode("ascii")


def experiment_key(name: str) -> bytes:
    """Key of an experiment on ``pricing-control``."""
    return f"experiment:{name}".encode("ascii")


def control_key(channel: str | None, category: str | None) -> bytes:
    """Key of the run mode of a channel, of a category, or of everything: ``channel:web``, ``category:shoes``, ``*``."""
    if channel is not None:
        return f"channel:{channel}".encode()
    return b"*" if category is None else f"category:{category}".encode()
