"""`repricer policies import`: many policies from a CSV file, all of them or none.

A column that is not there leaves that field as it is: a file of sku, channel, currency and floor changes floors only.
What does not change is not published. Versions are given here, and grow; where the file names a version, it must be
that of the policy in force, so that nobody's edit in between is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas.binary import BinaryArray
from schemas.cloud_events import OFFER_POLICY
from schemas.codec import BatchDecoder, decoder_for, encode
from schemas.policies import OfferPolicy
from schemas.sources import SOURCES
from schemas.timestamps import format_ms
from schemas.topics import OFFER_POLICIES
from streams.clock import wall_ms
from streams.errors import InputRefused
from streams.operate.policy_export import FIELDS
from streams.publish.convert import Converter, Records
from streams.publish.csv_file import FIRST_LINE, CsvFile
from streams.publish.delivery import Delivery
from streams.publish.mapping import Given
from streams.settings import Settings
from streams.topic_presence import require_present

SHOWN = 20
NAMING = ("sku", "channel", "currency")
"""Columns that must be there: whose policy it is, and what money means."""
OURS = frozenset({"version", "updated_at"})
"""Fields that the import gives."""
STAND_INS = {"unit_cost": "0", "list_price": "1", "floor": "1", "ceiling": "1", "version": "1"}
"""For required fields without a column, until the policy in force says what they are."""


class Fault(NamedTuple):
    """A line that cannot be imported."""

    line: int
    what: str


class Edit(NamedTuple):
    """A policy that would be published."""

    policy: OfferPolicy
    before: OfferPolicy | None


@dataclass(slots=True)
class Plan:
    """What an import does."""

    edits: list[Edit] = field(default_factory=list)
    unchanged: int = 0
    faults: list[Fault] = field(default_factory=list)


def plan(path: Path, known: Mapping[str, OfferPolicy]) -> Plan:
    """Compare a file with the policies in force.

    Args:
        path: CSV in UTF-8, with a header line of names of fields.
        known: Policies in force, by offer.

    Raises:
        InputRefused: the file cannot be read, or its columns are not those of a policy.
    """
    file = CsvFile(path)
    unknown = [name for name in file.columns if name not in FIELDS]
    missing = [name for name in NAMING if name not in file.columns]
    if unknown:
        raise InputRefused(f"{path}: no field is called {', '.join(unknown)}; there are {', '.join(FIELDS)}")
    if missing:
        raise InputRefused(f"{path}: there is no column {', '.join(missing)}; each line needs {', '.join(NAMING)}")
    lines = _Lines(file, known)
    line = FIRST_LINE
    for table in file.tables():
        lines.read(table, line)
        line += len(table)
    return lines.plan


class _Lines:
    """The lines of one file, in their order."""

    def __init__(self, file: CsvFile, known: Mapping[str, OfferPolicy]) -> None:
        self.plan = Plan()
        self._known = known
        self._now = wall_ms()
        self._given = [name for name in file.columns if name not in OURS]
        self._absent = [name for name, one in FIELDS.items() if one.required and name not in {*file.columns, *OURS}]
        self._kept_money = [name for name, one in FIELDS.items() if one.kind == "money" and name not in file.columns]
        at = Given(format_ms(self._now), is_column=False)
        stand_ins = {name: Given(STAND_INS[name], is_column=False) for name in (*self._absent, "version")}
        columns = {name: Given(name, is_column=True) for name in self._given}
        mapping = {**columns, **stand_ins, "updated_at": at}
        # Types and ranges only: whether a policy is sensible is asked when it is whole.
        lenient = BatchDecoder(replace(SOURCES[OFFER_POLICIES.name], checks=()))
        self._convert = Converter(OfferPolicy, mapping, lenient, file_digest=file.digest, time_format=None)
        self._decode = msgspec.json.Decoder(OfferPolicy).decode
        self._strict = decoder_for(OFFER_POLICIES)
        self._first: dict[str, int] = {}

    def read(self, table: pl.DataFrame, first_line: int) -> None:
        """Plan the lines of a table."""
        records = self._convert(table, first_line, self._now)
        found = [Fault(first_line + one.index, f"{one.reason}: {one.detail}") for one in records.rejects]
        versions = table["version"].to_list() if "version" in table.columns else [None] * len(table)
        for position, value in zip(records.position, records.values, strict=True):
            what = self._plan(self._decode(value), versions[position], first_line + position)
            if what is not None:
                found.append(Fault(first_line + position, what))
        self.plan.faults += sorted(found)

    def _plan(self, written: OfferPolicy, version: str | None, line: int) -> str | None:
        """Plan one line. Returns what is wrong with it, if something is."""
        before = self._known.get(f"{written.channel}:{written.sku}")
        what = self._why_not(written, before, version, line)
        if what is not None:
            return what
        names = [name for name in FIELDS if before is not None and name not in self._given]
        kept = {name: getattr(before, name) for name in names}
        fresh = {"version": _in_force(before) + 1, "updated_at": format_ms(self._now)}
        policy = msgspec.structs.replace(written, **{**kept, **fresh})
        if before is not None and not _differences(policy, before):
            self.plan.unchanged += 1
            return None
        key = f"{policy.channel}:{policy.sku}".encode()
        decoded = self._strict(BinaryArray.of([key]), BinaryArray.of([encode(policy)]), self._now)
        if decoded.rejects:
            return f"{decoded.rejects[0].reason}: {decoded.rejects[0].detail}"
        self.plan.edits.append(Edit(policy, before))
        return None

    def _why_not(self, written: OfferPolicy, before: OfferPolicy | None, version: str | None, line: int) -> str | None:
        """Why a line cannot be put together with the policy in force."""
        offer = f"{written.channel}:{written.sku}"
        if (first := self._first.setdefault(offer, line)) != line:
            return f"{offer} is on line {first} already: leave one of them out"
        if version is not None and version.strip() != str(_in_force(before)):
            return (
                f"{offer}: the file has version {version}, in force is {_in_force(before)}: export again, and edit that"
            )
        if before is None:
            needed = ", ".join(self._absent)
            return f"{offer} has no policy yet, and a new one needs the columns {needed}" if needed else None
        if before.currency != written.currency and self._kept_money:
            needed = ", ".join(self._kept_money)
            return f"{offer} is in {before.currency}: amounts in {written.currency} need the columns {needed}, too"
        return None


def _in_force(policy: OfferPolicy | None) -> int:
    """Version; 0 where there is no policy."""
    return 0 if policy is None else policy.version


def publish(settings: Settings, found: Plan) -> int:
    """Publish what was planned.

    Returns:
        How many policies there were.

    Raises:
        BrokerUnreachable: no broker answered.
        TopicMismatch: the topic is missing.
        NotDelivered: not all were taken; run the import again.
    """
    require_present(settings, (OFFER_POLICIES,))
    policies, now = [edit.policy for edit in found.edits], wall_ms()
    delivery = Delivery(settings, OFFER_POLICIES.full_name(settings.topic_prefix), OFFER_POLICY, "/csv")
    keys = [f"{one.channel}:{one.sku}".encode("ascii") for one in policies]
    ids = [f"{key.decode()}-{one.version}" for key, one in zip(keys, policies, strict=True)]
    values = [encode(one) for one in policies]
    delivery.send(Records(list(range(len(keys))), keys, values, ids, [now] * len(keys), []))
    return delivery.finish()


def require_sound(path: Path, found: Plan) -> None:
    """Refuse a file with a line that cannot be imported.

    Raises:
        InputRefused: there is one; nothing of the file is published.
    """
    if found.faults:
        raise InputRefused(f"{path}: {len(found.faults):,} lines cannot be imported, so none is; they are listed above")


def print_plan(found: Plan, console: Console) -> None:
    """Say it to a person: counts, the first changes, and every line that cannot be imported."""
    if found.edits:
        table = Table("offer", "what changes")
        for edit in found.edits[:SHOWN]:
            said = "new" if edit.before is None else ", ".join(_differences(edit.policy, edit.before))
            table.add_row(Text(f"{edit.policy.channel}:{edit.policy.sku}"), Text(said))
        console.print(table)
    for fault in found.faults:
        console.print(Text(f"line {fault.line}: {fault.what}"), soft_wrap=True)
    new = sum(edit.before is None for edit in found.edits)
    more = f"; the first {SHOWN} are shown" if len(found.edits) > SHOWN else ""
    console.print(
        f"{new:,} new policies, {len(found.edits) - new:,} changed, {found.unchanged:,} as they are, "
        f"{len(found.faults):,} lines that cannot be imported{more}",
        soft_wrap=True,
    )


def _differences(policy: OfferPolicy, before: OfferPolicy) -> list[str]:
    """Fields that differ, each with its value before and after; minor units."""
    pairs = ((name, getattr(before, name), getattr(policy, name)) for name in FIELDS if name not in OURS)
    return [f"{name} {_said(was)} → {_said(now)}" for name, was, now in pairs if was != now]


def _said(value: object) -> str:
    return "none" if value is None else str(value)
