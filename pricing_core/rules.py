"""The closed list of reason codes. Codes are stable: dashboards, audits and state rows name them."""

from __future__ import annotations

VERSION = 3
"""Of what `ladder`, `guardrails` and `deciding` say, named by every audit record: grows when one judges otherwise."""

CODES = (
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
    "emergency_cap",
    "prior_price",
    "maximum_jump",
    "promotion",
    "promotion_over",
    "competitors",
    "reducing",
    "held_out",
    "rollback",
    "approved",
    "paused_by_operator",
    "pending_approval",
    "rejected",
    "superseded",
    "expired",
    "breaker",
    "family_spread",
    "family_unknown",
)
"""Why a candidate is masked and why a decision came out as it did, by number. State rows keep the number: append only.

`bounds_repair`, `promotion`, `promotion_over` and `rollback` move a price whatever the model says, and mask all other
candidates; so do `family_spread` and `competitors` where the price is not where it must be beside theirs, and
`held_out` where it is not yet the list price. `breaker`: it would have changed, and too many others with it.
`duplicate` masks a candidate that equals one of a smaller move.
"""

CODE = {code: number for number, code in enumerate(CODES)}

REPAIR, PROMOTION, PROMOTION_OVER = CODE["bounds_repair"], CODE["promotion"], CODE["promotion_over"]
ROLLBACK, APPROVED, BREAKER = CODE["rollback"], CODE["approved"], CODE["breaker"]
FORCED = (REPAIR, PROMOTION, PROMOTION_OVER, ROLLBACK, APPROVED)
"""Why a price must move (`offers.Offers.must`); the last two, because a person says so."""

_RULED = (REPAIR, PROMOTION, PROMOTION_OVER, ROLLBACK)
WAIVED = {
    **dict.fromkeys(("stock_out", "stale_input", "cooldown"), FORCED),
    **dict.fromkeys(("maximum_step", "maximum_daily_change", "price_ending", "minimum_change", "competitors"), _RULED),
    **dict.fromkeys(("family_spread", "family_unknown"), _RULED),
    "prior_price": (REPAIR, PROMOTION_OVER, ROLLBACK),
    "reducing": (REPAIR, ROLLBACK),
    "held_out": FORCED,
    **dict.fromkeys(("halted", "paused", "paused_by_operator", "pending_acknowledgement", "maximum_jump"), (ROLLBACK,)),
}
"""Rules that do not stop a forced move, and which one. Law, floor, ceiling, margin, MAP and jump stop all of them;
a promotion is the announced reduction that the rule of the prior price is about. A rollback is a person's last means,
and goes to a price that was in force: it is as long as the way there was, and neither pause nor halt stops it."""

MAX_JUMP = 10
"""No change multiplies or divides a price by more: whoever counts cents as euros is out by a hundred."""
