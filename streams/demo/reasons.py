"""A decision in a merchant's words: from which price to which, and because of what.

What the features mean is read from the manifest of the model that decided, and not from `pricing_core`, which
would bring JAX into a process that only watches.
"""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path
from typing import Self

import msgspec

from schemas.money import Money
from streams.demo.view import Line

PRIOR_ELASTICITY = 2.5
"""As in `pricing_core.features`: what is believed of an offer that has not sold yet."""
PRIOR_ELASTICITY = 2.5
"""As in `pricing_core.features`: what is believed of an offer that has not sold yet."""
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


class _Feature(msgspec.Struct, frozen=True):
    name: str
    scale: float


class _Format(msgspec.Struct, frozen=True):
    features: list[_Feature]


class _Manifest(msgspec.Struct, frozen=True):
    format: _Format


class Reasons:
    """Puts the decisions of one model into words."""

    def __init__(self, features: list[_Feature]) -> None:
        self._features = features
        self._places = {feature.name: place for place, feature in enumerate(features)}

    @classmethod
    def of_model(cls, weights: Path | None) -> Self:
        """Take the meaning of features from the manifest beside ``weights``; None: of the model that ships."""
        shipped = resources.files("pricing_core") / "models" / "default.json"
        manifest = shipped if weights is None else weights.with_suffix(".json")
        return cls(msgspec.json.decode(manifest.read_bytes(), type=_Manifest).format.features)

    def line(self, decision: Decision) -> Line | None:
        """Words for a price change; None for anything else."""
        price, before, currency = decision.price, decision.previous_price, decision.currency
        if decision.outcome != "changed" or price is None or before is None or currency is None:
            return None
        amounts = [str(Money(amount, currency)).removesuffix(f" {currency}") for amount in (before, price)]
        return Line(f"{decision.channel}:{decision.sku}", amounts[0], amounts[1], price > before, self.why(decision))

    def why(self, decision: Decision) -> str:
        """The strongest reasons that the decision's record holds."""
        if decision.reason == "bounds_repair":
            return "the old price was outside the merchant's bounds"
        reasons = (self._elasticity(decision), self._demand(decision), self._rival(decision))
        return ", ".join(reason for reason in reasons if reason)

    def _value(self, decision: Decision, name: str) -> float:
        """A feature in its own unit; it is recorded as the network sees it, divided by its scale. 0 if unknown."""
        place = self._places[name]
        scaled = decision.features[place] if decision.features else None
        return 0.0 if scaled is None else scaled * self._features[place].scale

    def _elasticity(self, decision: Decision) -> str:
        """How shoppers react to the price, as far as this offer's own sales say."""
        elasticity = PRIOR_ELASTICITY + self._value(decision, "elasticity_30d")
        return f"1 % dearer sells {elasticity:.1f} % less"

    def _demand(self, decision: Decision) -> str:
        surprise = self._value(decision, "surprise_7d")
        if abs(surprise) < LIVELY:
            return ""
        return f"it sells {_percent(surprise)} % {'better' if surprise > 0 else 'worse'} than expected"

    def _rival(self, decision: Decision) -> str:
        if not self._value(decision, "rival_known"):
            return ""
        gap = self._value(decision, "rival_gap")
        if abs(gap) < NOTEWORTHY_GAP:
            return "the cheapest rival asks the same"
        return f"the cheapest rival asks {_percent(gap)} % {'more' if gap > 0 else 'less'}"


def _percent(log_ratio: float) -> int:
    return round(abs(math.expm1(log_ratio)) * 100)
