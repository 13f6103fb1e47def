"""What one shard tells the others: how much it has changed lately, whether it stands, what its families cost."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from schemas.events import Price, Timestamp


class Stopped(msgspec.Struct, frozen=True, gc=False):
    """Why a shard stands: what exceeded which limit (shares and moves in basis points, else counts)."""

    code: str
    limit: int
    value: int
    source: Annotated[str, Meta(description="The feed that is silent, or `fleet`: all shards together; else empty.")]
    at: Annotated[Timestamp, Meta(description="Event time.")]


class ShardSummarised(msgspec.Struct, frozen=True, gc=False):
    """What happened in one shard within five minutes of event time. Topic ``shard-summaries``, keyed by the shard.

    Every worker reads all of them, and stops its own shards if all together exceed a limit: there is no leader.
    """

    shard: int
    worker: Annotated[str, Meta(description="Instance that owns it.")]
    at: Annotated[Timestamp, Meta(description="Wall clock of the worker.")]
    event_time: Timestamp
    resumed_at: Annotated[
        Timestamp | None, Meta(description="When a person said ACTIVE last: what is older is not counted together.")
    ]
    offers: int
    moved: Annotated[int, Meta(description="Prices that changed, but for moves that a policy orders.")]
    repeated: Annotated[int, Meta(description="Of them those that were not the offer's first.")]
    notable: Annotated[int, Meta(description="Of these the ones of more than a routine move.")]
    distance_bp: Annotated[int, Meta(description="Sum of the sizes of repeated moves.")]
    extreme: int
    answered: Annotated[int, Meta(description="Answers of the catalog.")]
    rejected: int
    asked: Annotated[int, Meta(description="Answers of the model.")]
    anomalous: Annotated[int, Meta(description="Of them those that are no number, or a forbidden price.")]
    stopped: Stopped | None


class FamilySummarised(msgspec.Struct, frozen=True, gc=False):
    """Prices of a family's members in one shard. Topic ``family-summaries``, keyed by family and shard.

    Written in the transaction of the cut that changes it; a null value (tombstone) when the last member is gone. Every
    worker reads all of them: the prices of variants in different shards must not drift apart.
    """

    family: Annotated[
        str,
        Meta(
            pattern="^[0-9a-f]{16}$",
            description="First 8 bytes of BLAKE2b of channel, family and numeric currency, with a zero byte between.",
        ),
    ]
    shard: int
    channel: str
    currency: str
    lowest: Annotated[Price, Meta(description="Price in effect, or on its way to the catalog.")]
    highest: Price
    members: Annotated[int, Meta(ge=1)]
    event_time: Timestamp
