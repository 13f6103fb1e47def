"""What the repricer says: price changes for the catalog, and the audit record of every decision."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.events import Channel, Currency, Price, Sku, Timestamp


class PriceChanged(msgspec.Struct, frozen=True, gc=False):
    """An instruction to the catalog: show ``price`` from now on. Topic ``price-changes``.

    A catalog applies a version of an offer once and never an older one, checks its own, newer policy
    again, and answers on ``price-applied``.
    """

    decision_id: str
    sku: Sku
    channel: Channel
    version: Annotated[int, Meta(ge=1, description="Grows by one with every change of the offer.")]
    price: Price
    previous_price: Price
    currency: Currency
    policy_version: int
    reason: str
    valid_from: Timestamp
    expires_at: Annotated[Timestamp, Meta(description="A catalog that reads it later rejects it as expired.")]
    prior_price: Annotated[
        Price | None,
        Meta(
            description="Lowest price of the last 30 days, if the change may be announced as a reduction, which is "
            "then one from this price (98/6/EC, Art. 6a); null: announce no reduction."
        ),
    ] = None


class Candidates(msgspec.Struct, frozen=True, gc=False):
    """The prices that were considered, as columns of equal length."""

    prices: list[int]
    q: Annotated[list[float | None], Meta(description="Q-value of each price; null if it is not finite.")]
    masked: Annotated[list[str | None], Meta(description="Rule that forbids each price; null if it is legal.")]


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """A rule that decided the outcome, with its limit and the value that met it (minor units, bp or ms)."""

    code: str
    limit: int | None = None
    value: int | None = None


class PriceDecided(msgspec.Struct, frozen=True, gc=False):
    """The audit record of one decision, holds included. Topic ``price-decisions``.

    It names everything that the decision depended on, so that it can be recomputed and explained.
    """

    decision_id: str
    sku: Sku
    channel: Channel
    outcome: Literal["changed", "recommended", "proposed", "held"]
    reason: str
    decided_at: Annotated[Timestamp, Meta(description="Event time: the shard's watermark, not a wall clock.")]
    price: Annotated[int | None, Meta(description="Price after the decision; null while no policy is known.")]
    previous_price: int | None
    currency: str | None
    version: int | None
    policy_version: int | None
    run_mode: Annotated[str, Meta(description="Of the strictest scope of the offer.")]
    model: str
    features: Annotated[
        list[float | None] | None,
        Meta(description="float32, in the order of the model's feature list; null without candidates."),
    ]
    candidates: Candidates | None
    chosen: int | None
    propensity: float | None
    lower_bound: int | None
    upper_bound: int | None
    verdict: Verdict
    applied: Annotated[dict[str, int], Meta(description="Next offset of every source topic, at this partition.")]
    prior_price: Annotated[int | None, Meta(description="As in the price change.")] = None
    rules: Annotated[int | None, Meta(description="Version of the rules; null in records of earlier versions.")] = None
    epsilon: Annotated[float | None, Meta(description="Share of exploring decisions.")] = None
    uniform: Annotated[float | None, Meta(description="float32 in [0, 1): what chance said.")] = None
    batch: Annotated[
        int | None, Meta(description="Rows of the compiled call that valued the candidates; 0 without one.")
    ] = None
    run_mode_scope: Annotated[
        Literal["everything", "channel", "category", "experiment", "breaker"] | None,
        Meta(description="Which scope has set the run mode; null: none restrains the offer."),
    ] = None
    command: Annotated[
        int | None,
        Meta(description="Offset in the partition of `commands` of the command that this carries out or refuses."),
    ] = None
    proposal_expires_at: Annotated[
        Timestamp | None, Meta(description="Of a proposed price: event time from which it cannot be approved any more.")
    ] = None
    rung: Annotated[
        Literal["rules", "bandit", "q_function"] | None,
        Meta(description="Of the evidence ladder, by which the candidates were valued; null without candidates."),
    ] = None
    demand: Annotated[
        Literal["changed"] | None, Meta(description="Changed: what was sold until now shows that demand has.")
    ] = None
    inputs: Annotated[
        bytes | None,
        Meta(
            description="All that was known of the offer, for `repricer explain` and `replay`: row and policy, packed."
        ),
    ] = None
