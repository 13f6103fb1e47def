"""What a merchant allows and wants for one offer: the type behind the compacted topic ``offer-policies``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from schemas.events import MAX_VERSION, Amount, Channel, CompetitorName, Currency, Price, Sku, Timestamp

MAX_AGE_S = 31_536_000
"""A year. An input older than that says nothing."""

MAX_MONTHLY_UNITS = 1_000_000_000
LEAST_ELASTICITY_BP, MOST_ELASTICITY_BP = 5_000, 80_000
MAX_NAMED = 8
"""Competitors that a policy can name; a state row remembers as many."""

MaxAge = Annotated[int, Meta(ge=1, le=MAX_AGE_S)]
PriceEnding = Annotated[str, Meta(pattern=r"^[0-9]{1,4}(?![\s\S])")]  # `$` would let a line break through
CategoryName = Annotated[str, Meta(min_length=1, max_length=128)]
FamilyName = Annotated[str, Meta(min_length=1, max_length=128)]
BasisPoints = Annotated[int, Meta(ge=0, le=10_000, description="Hundredths of a percent.")]


class OfferPolicy(msgspec.Struct, frozen=True, gc=False):
    """Bounds, costs and wishes for one offer. A null value (tombstone) on the topic removes it.

    Precedence: the law; floor, ceiling and minimum margin; MAP; a promotion; the family; competitors; maximum step
    and daily change; the ending. There is one promotion window, so that promotions cannot be stacked.
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
    mode: Annotated[
        Literal["auto", "recommend", "approve", "paused"],
        Meta(description="Recommend: decisions without changes. Approve: no price before a person has approved it."),
    ] = "auto"
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
    goal: Annotated[
        Literal["profit", "revenue"], Meta(description="What the model counts; the minimum margin holds either way.")
    ] = "profit"
    emergency_price: Annotated[
        Price | None, Meta(description="What the offer cost before a declared emergency; null while there is none.")
    ] = None
    max_emergency_rise_bp: Annotated[BasisPoints, Meta(description="Largest rise above emergency_price.")] = 1_000
    reductions: Annotated[
        Literal["silent", "announced", "announced_or_held"],
        Meta(
            description="Announced: price changes carry the lowest price of the last 30 days (98/6/EC, Art. 6a) where "
            "they are below it. Announced or held: a reduction that must not be announced is not made."
        ),
    ] = "silent"
    promotion_price: Annotated[
        Price | None, Meta(description="The only price from promotion_from until promotion_to; all three or none.")
    ] = None
    promotion_from: Timestamp | None = None
    promotion_to: Timestamp | None = None
    competitor_rule: Annotated[
        Literal["free", "match", "undercut", "within"],
        Meta(description="Where the price must lie beside the cheapest competitor's, as far as other rules allow."),
    ] = "free"
    competitor_bp: Annotated[
        BasisPoints, Meta(description="Undercut: least distance below; within: largest distance either way.")
    ] = 0
    competitors: Annotated[
        Annotated[list[CompetitorName], Meta(max_length=MAX_NAMED)] | None,
        Meta(description="Those to heed; null: all."),
    ] = None
    max_rung: Annotated[
        Literal["rules", "bandit", "q_function"],
        Meta(description="Highest rung of the evidence ladder: below the last one no network decides."),
    ] = "q_function"
    expected_elasticity_bp: Annotated[
        Annotated[int, Meta(ge=LEAST_ELASTICITY_BP, le=MOST_ELASTICITY_BP)] | None,
        Meta(
            description="Price elasticity that offers of this kind have, 10,000 is 1: a percent dearer sells a percent "
            "less. What the offer sells corrects it. Null: 2.5."
        ),
    ] = None
    expected_monthly_units: Annotated[
        Annotated[int, Meta(ge=1, le=MAX_MONTHLY_UNITS)] | None,
        Meta(description="Units that it sells in 30 days at its list price, before its own sales say; null: unknown."),
    ] = None
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
    category: Annotated[
        CategoryName | None, Meta(description="A scope of `repricer control` and `rollback`; compared byte for byte.")
    ] = None
    family: Annotated[
        FamilyName | None, Meta(description="Variants of one product, wherever they lie; compared byte for byte.")
    ] = None
    max_family_spread_bp: Annotated[
        BasisPoints | None,
        Meta(
            description="No price is higher than that of another member on the same channel in the same currency by "
            "more, as a share of the lower one. Null: the offer is no member."
        ),
    ] = None
