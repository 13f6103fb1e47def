"""An explanation for a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from streams.explain import telling
from streams.explain.explanation import Explanation
from streams.explain.words import amount, in_words, mode_of, span


def print_explanation(explanation: Explanation, console: Console) -> None:
    """Print all of it, the answer first."""
    record = explanation.found.record
    _lines(
        console,
        {
            "decision": f"{record.decision_id} ({explanation.found.place}) at {record.decided_at}",
            "what": telling.headline(explanation),
            "why": telling.reason(explanation),
            "rung": telling.rung(explanation),
            "cause": telling.cause(explanation),
            "flips if": telling.flip(explanation),
            "bounds": f"{_bound(explanation, record.lower_bound)} to {_bound(explanation, record.upper_bound)}",
            "versions": f"model {record.model}, rules {record.rules}, policy {record.policy_version}, "
            + mode_of(record),
            "made again": _made_again(explanation),
        },
    )
    _print_causes(explanation, console)
    _print_candidates(explanation, console)
    _print_inputs(explanation, console)
    _print_features(explanation, console)


def _lines(console: Console, lines: dict[str, str]) -> None:
    for name, text in lines.items():
        line = Text.assemble((f"{name:>10}", "bold"), "  ", text)  # no markup: a key like web:a: holds an emoji's name
        console.print(line, soft_wrap=True)


def _bound(explanation: Explanation, price: int | None) -> str:
    return amount(price, explanation.found.record.currency)


def _made_again(explanation: Explanation) -> str:
    if explanation.obstacle is not None:
        return f"no: {explanation.obstacle}"
    return "identical, byte for byte" if explanation.is_reproduced else "differently: see `repricer replay`"


def _print_causes(explanation: Explanation, console: Console) -> None:
    rows = [(record.place, record.value or "removed") for cause in explanation.causes for record in cause.last]
    _table(console, "Records since the decision before", ("record", "what it says"), rows)
    ranges = [f"{one.topic} {one.first} to {one.next}" for one in explanation.causes]
    console.print(f"[dim]looked through, offsets of partition {explanation.found.partition}: {', '.join(ranges)}[/]")


def _print_candidates(explanation: Explanation, console: Console) -> None:
    currency = explanation.found.record.currency
    rows = [
        (
            f"{candidate.move_bp / 100:+g} %",
            amount(candidate.price, currency),
            "none" if candidate.q is None else f"{candidate.q:.4f}",
            "chosen" if candidate.is_chosen else "",
            f"{candidate.masked}: {in_words(candidate.masked)}" if candidate.masked else "",
        )
        for candidate in explanation.candidates
    ]
    _table(console, "Candidate prices", ("move", "price", "Q", "", "masked by"), rows)


def _print_inputs(explanation: Explanation, console: Console) -> None:
    currency = explanation.found.record.currency
    rows = [
        (known.name, telling.value(known, known.value, currency), telling.flips(known, currency))
        for known in explanation.known
    ]
    _table(console, "Inputs, one by one", ("input", "was", "the decision flips"), rows)
    _table(console, "Ages", ("what", "ago"), [(name, span(ms)) for name, ms in explanation.ages.items()])


def _print_features(explanation: Explanation, console: Console) -> None:
    rows = [
        (one.name, "none" if one.value is None else f"{one.value:.4g}", one.unit, f"{one.scaled}")
        for one in explanation.features
    ]
    _table(console, "Features", ("feature", "value", "unit", "as the network saw it"), rows)


def _table(console: Console, title: str, heads: Iterable[str], rows: Sequence[tuple[str, ...]]) -> None:
    if not rows:
        return
    table = Table(*heads, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(Text, row))
    console.print(table)
