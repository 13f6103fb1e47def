"""What decisions look like as records: `schemas.decisions.PriceDecided` and `PriceChanged`, made of columns.

The structs say what a reader may rely on; a test compares the two.
"""

from __future__ import annotations

from dataclasses import fields

from pricing_core.decisions import OUTCOMES, Decisions
from pricing_core.features import FEATURES, MOVES_BP
from pricing_core.rules import CODES
from pricing_core.run_modes import MODES, SCOPES
from pricing_core.rungs import RUNGS
from schemas.cloud_events import PRICE_CHANGED, PRICE_DECIDED
from schemas.currencies import ALPHA_CODES
from schemas.json_layout import Base64, Float, Integer, Joined, Name, Object, OnlyIf, Shared, Text
from schemas.json_writer import JsonWriter

_CURRENCIES = [ALPHA_CODES.get(number) for number in range(1000)]
_ID = Joined([Shared("prefix"), Integer("sequence"), Shared("quote")])
DECISION_ID = JsonWriter(Joined([Shared("prefix"), Integer("sequence")]))
AUDIT = JsonWriter(
    Object(
        {
            "decision_id": _ID,
            "sku": Text("sku"),
            "channel": Text("channel"),
            "outcome": Name("outcome", OUTCOMES),
            "reason": Name("code", CODES),
            "decided_at": Shared("decided_at"),
            "price": Integer("price"),
            "previous_price": Integer("previous_price"),
            "currency": Name("currency", _CURRENCIES),
            "version": Integer("version"),
            "policy_version": Integer("policy_version"),
            "run_mode": Name("run_mode", MODES),
            "model": Shared("model"),
            "features": OnlyIf("considered", Float("features", len(FEATURES))),
            "candidates": OnlyIf(
                "considered",
                Object(
                    {
                        "prices": Integer("prices", len(MOVES_BP)),
                        "q": Float("q", len(MOVES_BP)),
                        "masked": Name("masked", [None, *CODES[1:]], len(MOVES_BP)),
                    }
                ),
            ),
            "chosen": Integer("chosen"),
            "propensity": OnlyIf("is_chosen", Float("propensity")),
            "lower_bound": Integer("lower"),
            "upper_bound": Integer("upper"),
            "verdict": Object({"code": Name("code", CODES), "limit": Integer("limit"), "value": Integer("value")}),
            "applied": Shared("applied"),
            "prior_price": Integer("prior_price"),
            "rules": Shared("rules"),
            "epsilon": Shared("epsilon"),
            "uniform": Float("uniform"),
            "batch": Integer("batch"),
            "run_mode_scope": Name("run_mode_scope", SCOPES),
            "command": Integer("command"),
            "proposal_expires_at": OnlyIf("is_proposed", Shared("proposal_expires_at")),
            "rung": OnlyIf("considered", Name("rung", RUNGS)),
            "demand": Name("demand", (None, "changed")),
            "inputs": Base64("inputs"),
        }
    )
)
"""`PriceDecided` of the columns of `Decisions`."""
_NOT_RECORDED = {"now", "rows", "policies", "loops", "probabilities"}
AUDIT_COLUMNS = tuple(f.name for f in fields(Decisions) if f.name not in _NOT_RECORDED)
CHANGE = JsonWriter(
    Object(
        {
            "decision_id": _ID,
            "sku": Text("sku"),
            "channel": Text("channel"),
            "version": Integer("version"),
            "price": Integer("price"),
            "previous_price": Integer("previous_price"),
            "currency": Name("currency", _CURRENCIES),
            "policy_version": Integer("policy_version"),
            "reason": Name("code", CODES),
            "valid_from": Shared("valid_from"),
            "expires_at": Shared("expires_at"),
            "prior_price": Integer("prior_price"),
        }
    )
)
"""`PriceChanged` of the columns of `Decisions` or `Resends`."""
WRITERS = {PRICE_DECIDED: AUDIT, PRICE_CHANGED: CHANGE}
CHANGE_COLUMNS = (
    "keys", "sequence", "version", "price", "previous_price", "prior_price", "currency", "policy_version", "code",
)  # fmt: skip
