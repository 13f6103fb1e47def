"""Prices that wait for a person's approval, and the answers to them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pricing_core.commands import PROPOSAL_LIFETIME_MS
from schemas.decisions import PriceDecided
from schemas.events import CommandGiven
from schemas.timestamps import parse_ms
from streams.clock import wall_ms
from streams.errors import InputRefused
from streams.explain.words import amount, in_words
from streams.operate.commands import Giver
from streams.replay.decision_log import DecisionLog, Found
from streams.settings import Settings

LATEST_MS = 2**53
"""Later than all times."""


def waiting(settings: Settings) -> list[Found]:
    """Proposals that nobody has answered, and that nothing has superseded, the one that expires first at the front.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: the topic is missing.
    """
    now = wall_ms()
    found: dict[bytes, Found] = {}
    for one in DecisionLog(settings).between(now - PROPOSAL_LIFETIME_MS, LATEST_MS):
        if one.record.outcome == "proposed":
            found[one.key] = one
        elif one.record.outcome == "changed" or one.record.reason in {"rejected", "rollback"}:
            found.pop(one.key, None)
    return sorted((one for one in found.values() if _expires_at(one.record) > now), key=lambda one: one.now)


def answers(
    settings: Settings, decision_ids: Iterable[str], verb: Literal["approve", "reject"], by: str | None, why: str
) -> list[CommandGiven]:
    """Commands that answer proposals; whether they come in time and are allowed says the owner of each offer.

    Raises:
        ConfigurationError: nobody knows who you are.
        InputRefused: there is no such decision, or it proposed nothing.
    """
    give, log, given = Giver(by, why), DecisionLog(settings), []
    for name in decision_ids:
        found = log.by_id(name)
        if found.record.outcome != "proposed":
            raise InputRefused(f"decision {name} proposed no price: it is {found.record.outcome}")
        given.append(give(found.key.decode(), verb, decision_id=name))
    return given


def as_rows(found: Iterable[Found]) -> list[dict[str, object]]:
    """The same for JSON."""
    names = ("decision_id", "price", "previous_price", "currency", "reason", "decided_at", "proposal_expires_at")
    return [{"offer": one.key.decode(), **{n: getattr(one.record, n) for n in names}} for one in found]


def print_waiting(found: list[Found], console: Console) -> None:
    """The same for a terminal."""
    table = Table("decision", "offer", "now", "proposed", "why", "until", title=f"{len(found):,} prices wait")
    for one in found:
        r = one.record
        prices = (amount(price, r.currency) for price in (r.previous_price, r.price))
        table.add_row(r.decision_id, Text(one.key.decode()), *prices, in_words(r.reason), r.proposal_expires_at)
    console.print(table)


def _expires_at(record: PriceDecided) -> int:
    return 0 if record.proposal_expires_at is None else parse_ms(record.proposal_expires_at)
