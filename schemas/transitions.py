"""What followed a decision: the value of a record on ``transitions``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.events import Channel, Sku, Timestamp

Acknowledgement = Literal["not_needed", "applied", "other_price", "rejected", "missing"]
End = Literal["decision", "price", "window"]
Count = Annotated[int, Meta(ge=0)]


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What happened within the interval of a decision. Amounts are minor units, of whole lines, after discounts."""

    orders: Annotated[Count, Meta(description="Lines placed.")] = 0
    units: Annotated[Count, Meta(description="Pieces in them.")] = 0
    revenue: Annotated[Count, Meta(description="What they cost the customers.")] = 0
    units_cancelled: Annotated[Count, Meta(description="Of the pieces above, cancelled before the record closed.")] = 0
    amount_cancelled: Count = 0
    units_returned: Annotated[Count, Meta(description="Of the pieces above, returned before the record closed.")] = 0
    amount_returned: Count = 0
    impressions: Count = 0
    clicks: Count = 0
    add_to_carts: Count = 0
    impressions_elsewhere: Annotated[
        Count, Meta(description="Of the impressions, those that showed another price than the one in force.")
    ] = 0
    late: Annotated[
        Count, Meta(description="Events counted here that came after the shard's clock had passed them.")
    ] = 0


class Next(msgspec.Struct, frozen=True, gc=False):
    """The decision that ended an interval: the state from which the future goes on."""

    decision_id: str
    features: list[float | None] | None
    legal: Annotated[list[bool] | None, Meta(description="Which candidates were legal.")]
    inputs: Annotated[bytes | None, Meta(description="Row and policy, packed, as in its audit record.")]


class TransitionClosed(msgspec.Struct, frozen=True, gc=False):
    """A decision joined with what followed, once nothing more is waited for. Topic ``transitions``.

    There is exactly one for each record of ``price-decisions``, and it never changes.

    **The interval** is the time in which the decision's price held and nobody had decided anew. It begins where the
    price holds: at the decision where the price stays; else where the catalog has applied it. The catalog's clock is
    believed where it lies between the decision and the shard's event time at which the answer was read; where it does
    not, it is another clock than the events', and that event time counts. So it is with the end, which is not believed
    to be more than an hour, or the allowed lateness if that is less, ago. The interval ends at the offer's next
    decision, when another price takes its place in the catalog (a person's, say), or when the window is over,
    whichever comes first. The time between the next decision and its price belongs to neither: which price was shown
    then is not known. Intervals of an offer do not overlap, so that no event counts twice.

    **A decision that had no choice** (``candidates`` is null in its record: no policy, halted, out of stock, waiting
    for an answer, cooling down, ...) has no interval and ends none: what was chosen before goes on. Its record is
    written at once, with ``starts_at`` null.

    **Events** count by their own time, as the worker counts them: without duplicates and dead letters. Cancellations
    and returns count to the interval of the order that they name, if they come within the allowed lateness after it:
    every line has as long to come back, however long its interval. A record closes when the shard's event time (the
    ``decided_at`` of its decisions) has passed the end by the allowed lateness; what comes later is left out and
    counted by a metric.

    **What is not known is marked**: ``acknowledgement`` missing (the price may or may not have held, the interval is
    empty), ``censored`` (stock ran out, or may have: as much was sold since the last count as it had left, as far as a
    window before the decision; demand was at least what was sold), ``truncated`` (the window ended it),
    ``incomplete`` (events had expired before they were read).
    """

    decision_id: str
    sku: Sku
    channel: Channel
    decided_at: Timestamp
    outcome: Literal["changed", "recommended", "proposed", "held"]
    reason: str
    model: str
    rules: int | None
    run_mode: str
    policy_version: int | None
    currency: str | None
    starts_at: Annotated[Timestamp | None, Meta(description="Event time; null: the price was never known to hold.")]
    ends_at: Timestamp | None
    ended_by: Annotated[End | None, Meta(description="Null where there is no interval.")]
    acknowledgement: Annotated[
        Acknowledgement,
        Meta(description="Of the price change; other_price: applied, and the catalog shows another price."),
    ]
    censored: bool
    truncated: bool
    incomplete: bool
    price: Annotated[int | None, Meta(description="In force within the interval; minor units.")]
    previous_price: int | None
    features: Annotated[list[float | None] | None, Meta(description="As recorded with the decision.")]
    prices: Annotated[list[int] | None, Meta(description="Candidate prices; null: there was no choice.")]
    legal: Annotated[list[bool] | None, Meta(description="Which candidates were legal.")]
    q: Annotated[list[float | None] | None, Meta(description="What the model that decided thought of them.")]
    chosen: Annotated[int | None, Meta(description="Candidate that the model chose, before the guards.")]
    action: Annotated[
        int | None,
        Meta(description="Candidate that was carried out: that of holding where the price stays; null: none was."),
    ]
    propensity: Annotated[float | None, Meta(description="Probability of the chosen candidate.")]
    epsilon: float | None
    profit_slope: Annotated[
        float | None, Meta(description="Share of an amount left after tax and commission, by the policy of then.")
    ]
    profit_offset: Annotated[
        float | None, Meta(description="Cost of a piece with fees, minor units; 0 where the goal is revenue.")
    ]
    stock_start: Annotated[int | None, Meta(description="Pieces on hand, as last counted; null: unknown.")]
    stock_end: int | None
    happened: Outcome
    next: Annotated[Next | None, Meta(description="Null unless a decision ended the interval.")] = None
    inputs: Annotated[
        bytes | None, Meta(description="All that was known of the offer: row and policy, packed, as in its record.")
    ] = None
