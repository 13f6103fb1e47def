"""What terminal and page say alike."""

from __future__ import annotations

from pricing_core.evaluation.intervals import Estimate
from schemas.money import currency
from streams.backtest.run import Group

MEANING = (
    "Profit a day and offer (revenue where that is the goal), with 95 % intervals over offers. The model decides each "
    "logged state again, exploring as much as was explored then; where the log could not have taken its price, what "
    "the log did stands. So this is about single decisions: where a model leads over weeks is not in it."
)


def money(value: float, code: str | None) -> str:
    """Minor units as an amount; at least three digits of it."""
    exponent = 0 if code is None else currency(code).exponent
    major = value / 10**exponent
    digits = max(exponent, 2 if abs(major) < 10 else 0)
    return f"{major:,.{digits}f}"


def interval(found: Estimate | None, code: str | None) -> str:
    """A value with the bounds of its interval."""
    return (
        "-"
        if found is None
        else f"{money(found.value, code)} ({money(found.lower, code)} to {money(found.upper, code)})"
    )


def gain(group: Group) -> str:
    """The model's gain, as a share of what was earned."""
    found = group.found
    if found.gain is None or found.logged is None:
        return "no claim"
    if not found.logged.value > 0.0:
        return interval(found.gain, group.currency)
    value, lower, upper = (getattr(found.gain, name) / found.logged.value for name in ("value", "lower", "upper"))
    return f"{value:+.1%} ({lower:+.1%} to {upper:+.1%})"


def headline(group: Group) -> str:
    """The answer, in one sentence."""
    found, unit = group.found, group.currency or "minor units"
    if found.gain is None or found.logged is None:
        return "The log does not say what this model would have earned."
    lower, upper = found.gain.lower, found.gain.upper
    verdict = "more" if lower > 0.0 else "less" if upper < 0.0 else "as much, as far as one can tell"
    return (
        f"The log earned {money(found.logged.value, group.currency)} {unit} a day and offer; the model would have "
        f"earned {verdict}: {gain(group)}."
    )


def title(group: Group) -> str:
    """Its name, with its currency."""
    return group.name if group.currency is None else f"{group.name}, {group.currency}"
