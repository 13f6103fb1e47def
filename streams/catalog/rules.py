"""The catalog's own rules: whether a price change may be shown. Pure and exact: integers in, a reason out."""

from __future__ import annotations

from typing import NamedTuple

from schemas.decisions import PriceChanged
from schemas.policies import OfferPolicy
from schemas.timestamps import parse_ms

OLDER_VERSION = "older_version"
VERSION_CONFLICT = "version_conflict"
EXPIRED = "expired"
MANUAL_PRICE = "manual_price"
NO_POLICY = "no_policy"
NOT_AUTOMATIC = "not_automatic"
CURRENCY_MISMATCH = "currency_mismatch"
FLOOR = "floor"
CEILING = "ceiling"
MINIMUM_MARGIN = "minimum_margin"
MAP = "map"
EMERGENCY_CAP = "emergency_cap"
ROLLBACK = "rollback"
"""Reason of a change that a person has ordered: it is wanted whoever sets the prices otherwise."""
PROMOTION = "promotion"

BASIS_POINTS = 10_000


class Standing(NamedTuple):
    """What the catalog knows of an offer when a change arrives. Times are ms of the wall clock."""

    latest_version: int
    """Highest version that was ever judged; 0 if none."""
    manual_at: int
    """When a person last set the price; 0 if never."""
    policy: OfferPolicy | None
    """The current policy; None if it was removed."""


def reason_to_reject(change: PriceChanged, valid_from: int, expires_at: int, offer: Standing, now: int) -> str | None:
    """Why a change that was not judged before must not be shown; None if it may.

    Args:
        change: As read from ``price-changes``.
        valid_from: When it was emitted, ms.
        expires_at: When it expires, ms.
        offer: What the catalog knows of the offer.
        now: Wall clock, ms.
    """
    if change.version <= offer.latest_version:
        return OLDER_VERSION
    if expires_at <= now:
        return EXPIRED
    if valid_from <= offer.manual_at:  # decided before a person intervened
        return MANUAL_PRICE
    return NO_POLICY if offer.policy is None else _broken_wish(offer.policy, change, now)


def _broken_wish(policy: OfferPolicy, change: PriceChanged, now: int) -> str | None:
    """What the merchant, as he wants it now, says against the change."""
    if policy.mode not in {"auto", "approve"} and change.reason != ROLLBACK:
        return NOT_AUTOMATIC
    if is_promoted(policy, now) and change.price != policy.promotion_price:
        return PROMOTION
    return broken_bound(policy, change.price, change.currency)


def broken_bound(policy: OfferPolicy, price: int, currency: str) -> str | None:
    """Name of the first absolute bound of ``policy`` that ``price`` breaks; None if it keeps them all."""
    rules = {
        CURRENCY_MISMATCH: currency != policy.currency,
        FLOOR: price < policy.floor,
        CEILING: price > policy.ceiling,
        MINIMUM_MARGIN: not keeps_margin(policy, price),
        MAP: policy.map_price is not None and price < policy.map_price,
        EMERGENCY_CAP: policy.emergency_price is not None
        and price * BASIS_POINTS > policy.emergency_price * (BASIS_POINTS + policy.max_emergency_rise_bp),
    }
    return next((rule for rule, is_broken in rules.items() if is_broken), None)


def is_promoted(policy: OfferPolicy, now: int) -> bool:
    """Whether ``now`` lies inside of the window of a promotion."""
    if policy.promotion_from is None or policy.promotion_to is None:
        return False
    return parse_ms(policy.promotion_from) <= now < parse_ms(policy.promotion_to)


def keeps_margin(policy: OfferPolicy, price: int) -> bool:
    """Whether (net - cost - fees) / net reaches the policy's minimum, without rounding anything.

    Both sides are multiplied by 10,000 * (10,000 + tax), so that the net price is an integer too.
    """
    if policy.min_margin_bp is None:
        return True
    gross_bp = BASIS_POINTS + (policy.tax_rate_bp if policy.prices_include_tax else 0)
    # net * (1 - margin) >= cost + fee + commission * price,  net = price * 10,000 / gross_bp
    kept = price * BASIS_POINTS * (BASIS_POINTS - policy.min_margin_bp)
    spent = (policy.unit_cost + policy.fixed_fee) * BASIS_POINTS + price * policy.commission_bp
    return kept >= spent * gross_bp
