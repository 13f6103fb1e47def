"""A decision in a merchant's words: from which price to which, and because of what."""

from __future__ import annotations

import math

import msgspec

from pricing_core.features import FEATURES, PRIOR_ELASTICITY
from schemas.money import Money
from streams.demo.view import Line

PLACES = {feature.name: place for place, feature in enumerate(FEATURES)}
PLACES = {feature.name: place for place, feature in enumerate(FEATURES)}
NOTEWORTHY_GAP = 0.01
"""A rival closer than this asks "the same"."""
LIVELY = 0.3
"""|ln of units sold over units expected| from which on demand counts as changed."""


class Decision(msgspec.Struct, frozen=True):
    """What matters here of `schemas.decisions.PriceDecided`."""

    sku: str
    channel: str
    outcome: str
    reason: str
    price: int | None
    previous_price: int | None
    currency: str | None
    features: list[float | None] | None


def line(decision: Decision) -> Line | None:
    """Words for a price change; None for anything else."""
    price, before, currency = decision.price, decision.previous_price, decision.currency
    if decision.outcome != "changed" or price is None or before is None or currency is None:
        return None
    amounts = [str(Money(amount, currency)).removesuffix(f" {currency}") for amount in (before, price)]
    return Line(f"{decision.channel}:{decision.sku}", amounts[0], amounts[1], price > before, why(decision))


def why(decision: Decision) -> str:
    """The strongest reasons that the decision's record holds."""
    if decision.reason == "bounds_repair":
        return "the old price was outside the merchant's bounds"
    reasons = [_elasticity(decision), _demand(decision), _rival(decision)]
    return ", ".join(reason for reason in reasons if reason) or "the model expects more profit"


def _value(decision: Decision, name: str) -> float:
    """A feature in its own unit; it is recorded as the network sees it, divided by its scale. 0 if unknown."""
    place = PLACES[name]
    scaled = decision.features[place] if decision.features else None
    return 0.0 if scaled is None else scaled * FEATURES[place].scale


def _elasticity(decision: Decision) -> str:
    """How shoppers react to the price, as far as this offer's own sales say."""
    elasticity = PRIOR_ELASTICITY + _value(decision, "elasticity_30d")
    return f"1 % dearer sells {elasticity:.1f} % less"


def _demand(decision: Decision) -> str:
    surprise = _value(decision, "surprise_7d")
    if abs(surprise) < LIVELY:
        return ""
    return f"it sells {_percent(surprise)} % {'better' if surprise > 0 else 'worse'} than expected"


def _rival(decision: Decision) -> str:
    if not _value(decision, "rival_known"):
        return ""
    gap = _value(decision, "rival_gap")
    if abs(gap) < NOTEWORTHY_GAP:
        return "the cheapest rival asks the same"
    return f"the cheapest rival asks {_percent(gap)} % {'more' if gap > 0 else 'less'}"


def _percent(log_ratio: float) -> int:
    return round(abs(math.expm1(log_ratio)) * 100)
