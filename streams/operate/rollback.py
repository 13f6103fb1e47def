"""`repricer rollback`: back to the prices before a moment, by one command for each offer that has changed since.

The price before the moment is the one that was in force when the first change after it was decided: the change itself
says so. Changes that were only sent again are no changes. What is at that price again is left alone; and should a
command come twice all the same, the second one finds the price where it should be.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.events import CommandGiven
from schemas.money import Money
from schemas.timestamps import parse_ms
from schemas.topics import PRICE_CHANGES
from streams.operate.commands import Giver
from streams.operate.reading import Meant, read_topic
from streams.settings import Settings

SHOWN = 20


class _Change(msgspec.Struct, gc=False):
    """What is needed of a price change."""

    version: int
    price: int
    previous_price: int
    currency: str
    reason: str
    valid_from: str


class Back(NamedTuple):
    """An offer and the price to which it goes back."""

    offer: str
    price: int
    """That was published last."""
    target: int
    currency: str


class Plan(NamedTuple):
    """What a rollback does."""

    back: list[Back]
    unchanged: int
    """Offers that have changed and are at that price again, rolled back or by themselves."""


def plan(settings: Settings, since_ms: int, meant: Meant) -> Plan:
    """Find the offers whose price was changed since a moment of the wall clock.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: a topic is missing.
    """
    decode = msgspec.json.Decoder(_Change).decode
    versions: dict[bytes, int] = {}
    first: dict[bytes, _Change] = {}
    last: dict[bytes, _Change] = {}
    for _, key, value in read_topic(settings, PRICE_CHANGES):
        change = decode(value or b"")
        if change.version <= versions.get(key, 0):  # sent again
            continue
        versions[key] = change.version
        if parse_ms(change.valid_from) >= since_ms:
            first.setdefault(key, change)
            last[key] = change
    wanted = meant.among(settings, [key.decode() for key in first])
    moved = [
        Back(name, last[key].price, first[key].previous_price, last[key].currency)
        for key in sorted(first)
        if (name := key.decode()) in wanted
    ]
    back = [one for one in moved if one.price != one.target]
    return Plan(back, len(moved) - len(back))


def commands(found: Plan, by: str | None, why: str, *, expires_at: str | None) -> list[CommandGiven]:
    """One command for each offer.

    Raises:
        ConfigurationError: nobody knows who you are.
        InputRefused: the name or the reason is too long or empty.
    """
    give = Giver(by, why)
    fields: dict[str, Any] = {} if expires_at is None else {"expires_at": expires_at}
    return [give(one.offer, "rollback", price=one.target, currency=one.currency, **fields) for one in found.back]


def print_plan(found: Plan, console: Console) -> None:
    """Say it to a person."""
    if found.back:
        table = Table("offer", "now", "back to")
        for one in found.back[:SHOWN]:
            prices = (str(Money(amount, one.currency)) for amount in (one.price, one.target))
            table.add_row(Text(one.offer), *prices)
        console.print(table)
    more = f"; the first {SHOWN} are shown" if len(found.back) > SHOWN else ""
    console.print(f"{len(found.back):,} offers go back, {found.unchanged:,} are there already{more}", soft_wrap=True)
