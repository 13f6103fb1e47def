"""The closed list of reason codes. Codes are stable: dashboards, audits and state rows name them."""

from __future__ import annotations

VERSION = 1
"""Of what `ladder`, `guardrails` and `deciding` say, named by every audit record: grows when one judges otherwise."""

RULES = (
    "legal",
    "floor",
    "ceiling",
    "minimum_margin",
    "map",
    "maximum_step",
    "maximum_daily_change",
    "price_ending",
    "minimum_change",
    "bounds_repair",
    "duplicate",
)
"""Why a candidate is masked, by number. The first eight rules also judge the chosen price; `bounds_repair` masks all
but the repair of a price out of bounds; `duplicate` masks a candidate that equals one of a smaller move."""

CODES = (
    *RULES,
    "no_policy",
    "halted",
    "paused",
    "currency_mismatch",
    "contradictory_bounds",
    "pending_acknowledgement",
    "stock_out",
    "stale_input",
    "cooldown",
    "non_finite",
    "model_holds",
    "demand",
)
"""Why a decision came out as it did, by number. State rows keep the number: append only."""

CODE = {code: number for number, code in enumerate(CODES)}
