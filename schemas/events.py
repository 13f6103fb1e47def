"""Facts that other systems publish. Frozen, past tense, money in integer minor units, times in UTC.

Unknown fields are accepted (producers evolve) and never stored. Times are RFC 3339 text and not
``datetime``, because the codec parses a whole batch of them at once (`schemas.codec`).
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

MAX_AMOUNT = 10**13
"""Largest amount of money in minor units. Products with basis points stay inside int64."""

MAX_QUANTITY = 10**9
MAX_VERSION = 2**53 - 1
"""Largest integer that every JSON reader keeps exact."""

EventId = Annotated[str, Meta(min_length=1, max_length=128, description="Unique per source; a resend keeps it.")]
# The codec checks these patterns for whole batches; on each value they would double the cost of decoding.
Sku = Annotated[
    str,
    Meta(min_length=1, max_length=128, description="Printable ASCII.", extra_json_schema={"pattern": "^[ -~]*$"}),
]
Channel = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="Printable ASCII without a colon.",
        extra_json_schema={"pattern": "^[ -9;-~]*$"},
    ),
]
Currency = Annotated[
    str,
    Meta(min_length=3, max_length=3, description="ISO 4217 code.", extra_json_schema={"pattern": "^[A-Z]{3}$"}),
]
Price = Annotated[int, Meta(gt=0, le=MAX_AMOUNT, description="Minor units of the currency.")]
Amount = Annotated[int, Meta(ge=0, le=MAX_AMOUNT, description="Minor units of the currency.")]
Quantity = Annotated[int, Meta(gt=0, le=MAX_QUANTITY)]
CompetitorName = Annotated[str, Meta(min_length=1, max_length=128)]
Timestamp = Annotated[
    str,
    Meta(max_length=64, description="RFC 3339, UTC.", extra_json_schema={"format": "date-time"}),
]


class OrderRecorded(msgspec.Struct, frozen=True, gc=False):
    """A line of an order was placed, cancelled or returned. Topic ``orders``."""

    event_id: EventId
    type: Literal["placed", "cancelled", "returned"]
    order_id: Annotated[str, Meta(min_length=1, max_length=128)]
    sku: Sku
    channel: Channel
    quantity: Quantity
    line_total: Annotated[
        Amount, Meta(description="What the line costs the customer after discounts; minor units, all pieces together.")
    ]
    currency: Currency
    occurred_at: Timestamp


class ClickRecorded(msgspec.Struct, frozen=True, gc=False):
    """Shoppers saw, clicked or put an offer into the cart, ``count`` times at one price. Topic ``clicks``."""

    event_id: EventId
    kind: Literal["impression", "click", "add_to_cart"]
    sku: Sku
    channel: Channel
    price_shown: Price
    occurred_at: Timestamp
    count: Quantity = 1


class CompetitorPriceObserved(msgspec.Struct, frozen=True, gc=False):
    """A competitor's price for the same product. Topic ``competitor-prices``."""

    event_id: EventId
    sku: Sku
    channel: Channel
    competitor: CompetitorName
    price: Price
    currency: Currency
    observed_at: Timestamp
    shipping: Amount = 0
    in_stock: bool = True


class InventoryCounted(msgspec.Struct, frozen=True, gc=False):
    """How many pieces can be sold now. Topic ``inventory``."""

    event_id: EventId
    sku: Sku
    channel: Channel
    on_hand: Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
    occurred_at: Timestamp


class PriceApplied(msgspec.Struct, frozen=True, gc=False):
    """The catalog's answer to a price change, or a price that a person set there. Topic ``price-applied``.

    ``version`` is the version of the price change that is answered; a ``manual`` price repeats the last
    version that the catalog knows (0 if none).
    """

    sku: Sku
    channel: Channel
    version: Annotated[int, Meta(ge=0, le=MAX_VERSION)]
    status: Literal["applied", "rejected", "manual"]
    price: Annotated[Price, Meta(description="The price that the catalog shows now; minor units.")]
    currency: Currency
    applied_at: Timestamp
    decision_id: str | None = None
    reason: str | None = None


class CommandGiven(msgspec.Struct, frozen=True, gc=False):
    """A person's command about one offer. Topic ``commands``.

    ``pause`` holds the offer until somebody resumes it, whatever policies come. ``approve`` and ``reject`` answer the
    decision that has proposed a price. ``rollback`` goes back to ``price``, or to the nearest one inside of today's
    bounds, and pauses the offer. The next decision about the offer carries the command out, or refuses it and says why.
    """

    event_id: EventId
    sku: Sku
    channel: Channel
    command: Literal["pause", "resume", "approve", "reject", "rollback"]
    by: Annotated[str, Meta(min_length=1, max_length=128)]
    why: Annotated[str, Meta(min_length=1, max_length=512)]
    at: Timestamp
    decision_id: Annotated[
        Annotated[str, Meta(min_length=1, max_length=64)] | None, Meta(description="That is approved or rejected.")
    ] = None
    price: Annotated[Price | None, Meta(description="To go back to; with its currency.")] = None
    currency: Currency | None = None
    expires_at: Annotated[
        Timestamp | None, Meta(description="Not carried out from this event time on; not of pauses and resumes.")
    ] = None


class Ticked(msgspec.Struct, frozen=True, gc=False):
    """Event time went on. Published to every partition of ``ticks``, so that quiet offers are reached."""

    at: Timestamp


class ExperimentSet(msgspec.Struct, frozen=True, gc=False):
    """A person planned an experiment, or ended it early. Published to every partition of ``pricing-control``.

    The key is ``experiment:`` and the name. Offers of the control arm go to their list price and stay there while the
    experiment runs; which ones follows from the name alone. The last record of a name counts.
    """

    experiment: Annotated[
        str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$", description="A new name draws new arms.")
    ]
    kind: Annotated[
        Literal["offers", "switchback"],
        Meta(description="Some offers are control all the time, or all offers every other block of time."),
    ]
    starts_at: Timestamp
    ends_at: Timestamp
    by: Annotated[str, Meta(min_length=1, max_length=128)]
    why: Annotated[str, Meta(min_length=1, max_length=512)]
    at: Timestamp
    control_share_bp: Annotated[
        int, Meta(ge=1, le=9_999, description="Of the offers; hundredths of a percent. Of a switchback a half.")
    ] = 5_000
    block_s: Annotated[int, Meta(ge=60, le=31_536_000, description="Length of a block of a switchback.")] = 86_400


class RunModeSet(msgspec.Struct, frozen=True, gc=False):
    """A person halted, reduced or resumed price changes. Published to every partition of ``pricing-control``.

    The scope is one channel, one category, or everything where neither is named; the key says the same: ``*``,
    ``channel:web``, ``category:shoes``. The last record of a scope counts, and of an offer's scopes the strictest.
    REDUCING: prices move towards the list price only, and into new bounds.
    """

    mode: Literal["ACTIVE", "REDUCING", "HALTED"]
    by: Annotated[str, Meta(min_length=1, max_length=128)]
    why: Annotated[str, Meta(min_length=1, max_length=512)]
    at: Timestamp
    channel: Channel | None = None
    category: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
