"""What a merchant allows and wants for one offer: the type behind the compacted topic ``offer-policies``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.events import MAX_VERSION, Amount, Channel, Currency, Price, Sku, Timestamp

MAX_AGE_S = 31_536_000
"""A year. An input older than that says nothing."""

MaxAge = Annotated[int, Meta(ge=1, le=MAX_AGE_S)]
PriceEnding = Annotated[str, Meta(pattern=r"^[0-9]{1,4}(?![\s\S])")]  # `$` would let a line break through
BasisPoints = Annotated[int, Meta(ge=0, le=10_000, description="Hundredths of a percent.")]


class OfferPolicy(msgspec.Struct, frozen=True, gc=False):
    """Bounds, costs and wishes for one offer. A null value (tombstone) on the topic removes it.

    Precedence: floor, ceiling and minimum margin; then MAP; then maximum step and daily change; then the ending.
    """

    sku: Sku
    channel: Channel
    version: Annotated[int, Meta(ge=1, le=MAX_VERSION, description="Grows with every edit; an older one is ignored.")]
    currency: Currency
    unit_cost: Annotated[Amount, Meta(description="Landed cost of one piece, without tax; minor units.")]
    list_price: Annotated[Price, Meta(description="The offer sells at this until the catalog reports a price.")]
    floor: Price
    ceiling: Price
    updated_at: Timestamp
    mode: Literal["auto", "recommend", "paused"] = "auto"
    tax_rate_bp: Annotated[BasisPoints, Meta(description="Sales tax or VAT inside the price.")] = 0
    prices_include_tax: bool = True
    commission_bp: Annotated[BasisPoints, Meta(description="Share of the shown price that the channel keeps.")] = 0
    fixed_fee: Annotated[Amount, Meta(description="Per piece sold; minor units.")] = 0
    min_margin_bp: Annotated[
        BasisPoints | None, Meta(description="(net price - cost - fees) / net price must not be smaller.")
    ] = None
    map_price: Annotated[Price | None, Meta(description="Minimum advertised price.")] = None
    max_step_bp: Annotated[BasisPoints, Meta(description="Largest single move from the current price.")] = 1_000
    max_daily_change_bp: Annotated[
        BasisPoints, Meta(description="No two prices in effect within 24 h differ by more.")
    ] = 3_000
    cooldown_s: Annotated[int, Meta(ge=0, le=MAX_AGE_S, description="Least time between two changes.")] = 3_600
    min_change_bp: Annotated[BasisPoints, Meta(description="Smaller moves are not worth a relabelling.")] = 50
    price_ending: Annotated[PriceEnding | None, Meta(description="Last digits of every price, such as 99.")] = None
    season_ends_at: Annotated[
        Timestamp | None,
        Meta(description="The stock is to be sold by then and does not come again; null: it comes again."),
    ] = None
    salvage_value: Annotated[
        Amount | None, Meta(description="What a piece that is left then is worth, minor units; null: its unit cost.")
    ] = None
    max_stock_age_s: Annotated[
        MaxAge | None, Meta(description="Hold unless stock was counted within this time; null: not required.")
    ] = None
    max_competitor_age_s: Annotated[
        MaxAge | None, Meta(description="Hold unless a competitor was seen within this time; null: not required.")
    ] = None
