"""The sentences that the terminal and the page share."""

from __future__ import annotations

from pricing_core.decision_inputs import MINUTE_MS
from pricing_core.explanation import Answer, Known
from pricing_core.price_window import MONTH_MS
from streams.explain.explanation import Explanation
from streams.explain.words import RUNGS, amount, in_words, span

_MONEY, _MINUTES = "minor units", "minutes"
_RULES_OF_TIME = frozenset({"stale_input", "cooldown", "pending_acknowledgement"})
_RULES_OF_SHARES = frozenset({"maximum_daily_change"})


def headline(explanation: Explanation) -> str:
    """What was decided."""
    record = explanation.found.record
    price, before = amount(record.price, record.currency), amount(record.previous_price, record.currency)
    done = {"changed": "changed", "recommended": "recommended", "proposed": "proposed"}.get(record.outcome)
    offer = f"{record.channel}:{record.sku}"
    return f"{offer}: {before} → {price}, {done}" if done else f"{offer}: {price} held"


def reason(explanation: Explanation) -> str:
    """Why, with the limit and the value of the rule that decided."""
    record = explanation.found.record
    verdict, currency = record.verdict, record.currency
    # Where the price is not known for 30 days, the rule of the prior price asks for time and not for an amount.
    code = "cooldown" if verdict.code == "prior_price" and verdict.limit == MONTH_MS else verdict.code
    parts = [f"{record.reason}: {in_words(record.reason)}"]
    if verdict.limit is not None:
        parts.append(f"limit {_quantity(code, verdict.limit, currency)}")
    if verdict.value is not None:
        parts.append(f"found {_quantity(code, verdict.value, currency)}")
    if explanation.was_explored:
        parts.append("drawn by chance among the nearly best prices, to learn")
    return "; ".join(parts)


def rung(explanation: Explanation) -> str:
    """On which rung of the evidence ladder the candidates were valued, and what that means."""
    record = explanation.found.record
    if record.rung is None:
        return "none: no candidates were made"
    changed = "" if record.demand is None else "; demand was found to have changed"
    return f"{record.rung}: {RUNGS[record.rung]}{changed}"


def cause(explanation: Explanation) -> str:
    """What happened to the offer since the decision before."""
    counts = [f"{one.found} {one.topic}" for one in explanation.causes if one.found]
    since = explanation.previous
    before = "since the first record that is still there" if since is None else f"since {since.record.decision_id}"
    whole = "" if all(one.is_whole for one in explanation.causes) else "; older records have expired"
    return f"{', '.join(counts)} {before}{whole}" if counts else f"nothing {before}: time alone made it due{whole}"


def flip(explanation: Explanation) -> str:
    """The smallest change of one input that would have flipped the decision."""
    if explanation.obstacle is not None:
        return f"not looked for: {explanation.obstacle}"
    known = explanation.flip
    if known is None:
        return f"none within the ranges of {len(explanation.known)} inputs"
    return f"{known.name}: {flips(known, explanation.found.record.currency)}"


def flips(known: Known, currency: str | None) -> str:
    """Where one input flips the decision, and to what."""
    if known.flips_at is None or known.answer is None:
        low, high = value(known, known.low, currency), value(known, known.high, currency)
        return f"none from {low} to {high}"
    return (
        f"{value(known, known.flips_at, currency)} instead of {value(known, known.value, currency)} gives "
        f"{_answer(known.answer, currency)}"
    )


def value(known: Known, number: int, currency: str | None) -> str:
    """A value of an input, with its unit."""
    if known.unit == _MONEY:
        return amount(number, currency)
    if known.unit == _MINUTES:
        return span(number * MINUTE_MS)
    if known.unit == "0 or 1":
        return "yes" if number else "no"
    return f"{number} {known.unit}"


def _answer(answer: Answer, currency: str | None) -> str:
    price = amount(answer.price if answer.price > 0 else None, currency)
    return f"{answer.outcome} {price} ({answer.reason})"


def _quantity(code: str, number: int, currency: str | None) -> str:
    if code in _RULES_OF_TIME:
        return span(number)
    if code == "stock_out":
        return f"{number} pieces"
    return f"{number}" if code in _RULES_OF_SHARES | {"currency_mismatch"} else amount(number, currency)
