"""`repricer policies export`: all policies as a CSV file that `import` reads back as they are."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

import msgspec

from schemas.money import Money
from schemas.policies import OfferPolicy
from streams.errors import InputRefused
from streams.publish.mapping import Field, fields_of

FIELDS = fields_of(OfferPolicy)


def write_policies(path: Path, policies: Iterable[OfferPolicy]) -> int:
    """Write one line for each policy, money in units of its currency, and nothing where there is nothing.

    Returns:
        How many policies there were.

    Raises:
        InputRefused: a policy holds what a cell cannot say, or the file cannot be written.
    """
    count = 0
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(FIELDS)
            for policy in policies:
                rows.writerow([_cell(policy, field) for field in FIELDS.values()])
                count += 1
    except OSError as error:
        raise InputRefused(f"{path} cannot be written: {error.strerror}") from error
    return count


def _cell(policy: OfferPolicy, field: Field) -> str:
    value = getattr(policy, field.name)
    if value is None:
        return ""
    if field.kind == "money":
        return str(Money(value, policy.currency)).partition(" ")[0]
    if field.kind == "flag":
        return "true" if value else "false"
    if field.kind == "names":
        if not value or any(";" in name for name in value):
            raise InputRefused(
                f"{policy.channel}:{policy.sku}: {field.name} is {msgspec.json.encode(value).decode()}, which a cell "
                "cannot say: leave this offer out with --channel or --category, and edit its policy by itself"
            )
        return ";".join(value)
    return str(value)
