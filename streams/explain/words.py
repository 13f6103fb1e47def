"""Rules, outcomes and amounts in a merchant's words."""

from __future__ import annotations

from schemas.decisions import PriceDecided
from schemas.money import Money

CODES = {
    "legal": "allowed",
    "floor": "below the floor",
    "ceiling": "above the ceiling",
    "minimum_margin": "leaves less than the minimum margin",
    "map": "below the minimum advertised price",
    "maximum_step": "a larger step than the policy allows",
    "maximum_daily_change": "a larger change within a day than the policy allows",
    "price_ending": "has not the wanted ending",
    "minimum_change": "not worth a relabelling",
    "bounds_repair": "the price was outside the policy's bounds, and goes to the nearest one inside",
    "duplicate": "the same price as that of a smaller move",
    "no_policy": "the offer has no policy",
    "halted": "price changes are halted",
    "paused": "the policy pauses the offer",
    "currency_mismatch": "the offer's currency is not that of its policy",
    "contradictory_bounds": "the policy's bounds contradict each other",
    "pending_acknowledgement": "the catalog has not yet answered the last change",
    "stock_out": "nothing is left to sell",
    "stale_input": "an input is older than the policy allows, or was never seen",
    "cooldown": "the last change is too recent",
    "non_finite": "the model's answer was no number",
    "model_holds": "no allowed price is worth more than the present one",
    "demand": "the model values this price most",
    "emergency_cap": "above what the law allows in the declared emergency",
    "prior_price": "not below the lowest price of the last 30 days, or these are not known: no reduction to announce",
    "maximum_jump": "ten times the present price or a tenth of it: whoever counts cents as euros errs like that",
    "promotion": "the promotion's price stands until it ends",
    "promotion_over": "the promotion is over, and the price goes back to that before it",
    "rollback": "a person has ordered the price back to that before",
    "approved": "the price that a person has approved is in force already",
    "paused_by_operator": "a person has paused the offer",
    "pending_approval": "a proposed price waits for a person's approval",
    "rejected": "a person has rejected the proposed price, and it is not proposed again for a day",
    "superseded": "the decision that the command answers no longer waits for an answer",
    "expired": "the command, or the proposal that it answers, is out of date",
    "reducing": "not towards the list price, and prices may only go back to it",
    "held_out": "the offer is in the control arm of an experiment: it stays at the list price, or goes there",
    "competitors": "not where the policy wants the price beside the cheapest competitor's",
    "family_spread": "too far from the prices of the family's other members",
    "family_unknown": "it is not yet known what the family's other members cost",
    "breaker": "too many prices would have changed at once: the breaker has stopped them (`repricer breaker`)",
}
"""Of every reason code; a test holds that none is missing."""


RUNGS = {
    "rules": "too little was sold to learn from; priced as a usual offer of these costs would be",
    "bandit": "a demand curve was drawn from what was sold, and the price is the best one if that curve is true",
    "q_function": "enough was sold for the model to value each price",
}
"""Of every rung of the evidence ladder; a test holds that none is missing."""


def in_words(code: str) -> str:
    """The rule, in words."""
    return CODES.get(code, code.replace("_", " "))


def mode_of(record: PriceDecided) -> str:
    """The run mode, and which scope has set it."""
    scope = "" if record.run_mode_scope is None else f" for {record.run_mode_scope}"
    return f"run mode {record.run_mode}{scope}"


def amount(minor: int | None, currency: str | None) -> str:
    """Money for a person; plain minor units where the currency is not known."""
    if minor is None:
        return "none"
    return str(Money(minor, currency)) if currency is not None else f"{minor} minor units"


def span(ms: int) -> str:
    """A duration in its two largest units."""
    seconds = ms // 1000
    days, hours, minutes = seconds // 86_400, seconds // 3600 % 24, seconds // 60 % 60
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds % 60} s"
