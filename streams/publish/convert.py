"""A table of text becomes records: keys and JSON values, or the reason why a line does not.

Columns are converted as a whole by polars, amounts of money from their decimal digits to minor units by integers
only. What comes out is then validated by the codec that the worker uses, so that nothing is published that the
worker would refuse.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
import polars as pl

from schemas.binary import BinaryArray
from schemas.codec import BatchDecoder, Reject
from schemas.columns import Columns
from schemas.currencies import CURRENCIES
from schemas.dead_letter import Reason
from streams.publish.mapping import Field, Given, Kind, fields_of

EXPECTED: dict[Kind, str] = {
    "whole": "a whole number",
    "flag": "true or false",
    "money": "a plain decimal amount of the currency",
    "time": "a time of the given format",
    "text": "",
    "names": "names with a semicolon between them",
}
FLAGS = {"true": True, "yes": True, "y": True, "1": True, "false": False, "no": False, "n": False, "0": False}
_EXPONENTS = {code: currency.exponent for code, currency in CURRENCIES.items()}
_POWERS = {exponent: 10**exponent for exponent in range(5)}
_USUAL_EXPONENT = 2
"""For a code that is no currency; the codec then refuses the record for that."""


@dataclass(frozen=True, slots=True)
class Records:
    """What one table became. Positions are rows of the table."""

    position: list[int]
    """Row of each record, ascending."""
    keys: list[bytes]
    values: list[bytes]
    event_ids: list[str]
    times: list[int]
    """Event time, ms."""
    rejects: list[Reject]
    """``index`` is the row."""


class Converter:
    """Converts tables of one file."""

    def __init__(
        self,
        struct: type[msgspec.Struct],
        mapping: Mapping[str, Given],
        decoder: BatchDecoder[Columns],
        *,
        file_digest: str,
        time_format: str | None,
    ) -> None:
        """Keep what all tables share.

        Args:
            struct: Type of the events.
            mapping: Complete (`mapping.complete`).
            decoder: Of the topic.
            file_digest: Names the file in event ids: the same file gives the same ids again.
            time_format: strftime form of times; None for RFC 3339 and what is close to it.
        """
        self._fields = fields_of(struct)
        self._mapping = mapping
        self._decoder = decoder
        self._digest = file_digest
        self._time_format = time_format

    def __call__(self, table: pl.DataFrame, first_line: int, received_at: int) -> Records:
        """Convert one table.

        Args:
            table: All columns as text.
            first_line: Line of its first row in the file.
            received_at: Wall clock, ms.
        """
        names = [pl.format(f"{self._digest}:{{}}", pl.int_range(first_line, first_line + pl.len())).alias("record_id")]
        made = table.select(
            *(self._converted(field).alias(name) for name, field in self._fields.items() if name in self._mapping),
            *(self._unreadable(field).alias(f"unreadable {name}") for name, field in self._converted_fields()),
            *names,
        ).with_row_index("position")
        faults = self._faults(table, made)
        good = made.filter(~pl.col("position").is_in(list(faults)))
        return self._validated(good, faults, received_at)

    def _converted_fields(self) -> list[tuple[str, Field]]:
        return [(n, field) for n, field in self._fields.items() if n in self._mapping and field.kind != "text"]

    def _text(self, name: str) -> pl.Expr:
        given = self._mapping[name]
        return pl.col(given.text).str.strip_chars() if given.is_column else pl.lit(given.text, pl.String)

    def _converted(self, field: Field) -> pl.Expr:
        text = self._text(field.name)
        return _fill(self._of_kind(field.kind, text), field.default)

    def _unreadable(self, field: Field) -> pl.Expr:
        text = self._text(field.name)
        return text.is_not_null() & self._of_kind(field.kind, text).is_null()

    def _of_kind(self, kind: Kind, text: pl.Expr) -> pl.Expr:
        match kind:
            case "whole":
                return text.cast(pl.Int64, strict=False)
            case "flag":
                return text.str.to_lowercase().replace_strict(FLAGS, default=None, return_dtype=pl.Boolean)
            case "money":
                exponent = self._text("currency").replace_strict(
                    _EXPONENTS, default=_USUAL_EXPONENT, return_dtype=pl.Int64
                )
                return _minor_units(text, exponent)
            case "time":
                return _time(text, self._time_format)
            case "names":
                return text.str.split(";")
            case "text":
                return text

    def _faults(self, table: pl.DataFrame, made: pl.DataFrame) -> dict[int, Reject]:
        """What could not be converted, by row; the first field counts."""
        faults: dict[int, Reject] = {}
        for name, field in self._converted_fields():
            rows = made.filter(pl.col(f"unreadable {name}"))["position"].to_list()
            texts = table.select(text=self._text(name)).get_column("text")
            for row in rows:
                text = texts[row if len(texts) > 1 else 0]  # a constant is there once
                detail = f"{name}: {text[:80]!r} is not {EXPECTED[field.kind]}"
                faults.setdefault(row, Reject(row, Reason.SCHEMA_VIOLATION, detail))
        return faults

    def _validated(self, good: pl.DataFrame, faults: dict[int, Reject], received_at: int) -> Records:
        """Through the worker's codec."""
        fields = [pl.col(name) for name in self._fields if name in self._mapping]
        if "event_id" in self._fields and "event_id" not in self._mapping:
            fields.append(pl.col("record_id").alias("event_id"))
        values = good.select(fields).write_ndjson().encode().splitlines()
        key = pl.concat_str("channel", pl.lit(":"), "sku", ignore_nulls=True)
        keys = [text.encode() for text in good.select(key.alias("key"))["key"]]
        decoded = self._decoder(BinaryArray.of(keys), BinaryArray.of(values), received_at)
        position = good["position"].to_list()
        rejects = [Reject(position[reject.index], reject.reason, reject.detail) for reject in decoded.rejects]
        kept = decoded.columns.index.tolist()
        names = good["record_id"].to_list()
        return Records(
            position=[position[i] for i in kept],
            keys=[keys[i] for i in kept],
            values=[values[i] for i in kept],
            event_ids=[name.decode() for name in decoded.event_ids.present()] or [names[i] for i in kept],
            times=decoded.columns.time.tolist(),
            rejects=sorted([*faults.values(), *rejects], key=lambda reject: reject.index),
        )


def _fill(converted: pl.Expr, default: object) -> pl.Expr:
    return converted if default is None else converted.fill_null(pl.lit(default))


def _minor_units(text: pl.Expr, exponent: pl.Expr) -> pl.Expr:
    """Decimal digits of major units to minor units; null if they are none, or too many for the currency.

    Too many: the power of what the currency has to spare is null then.
    """
    parts = text.str.extract_groups(r"^([+-]?)([0-9]{1,13})(?:\.([0-9]*?)0*)?$").struct
    fraction = parts.field("3").fill_null("")
    spare = exponent - fraction.str.len_chars().cast(pl.Int64)
    whole = parts.field("2").cast(pl.Int64) * _power(exponent)
    minor = whole + fraction.cast(pl.Int64, strict=False).fill_null(0) * _power(spare)
    return pl.when(parts.field("1") == "-").then(-minor).otherwise(minor)


def _power(exponent: pl.Expr) -> pl.Expr:
    """10 to the exponent; null unless it is 0 to 4."""
    return exponent.replace_strict(_POWERS, default=None, return_dtype=pl.Int64)


def _time(text: pl.Expr, time_format: str | None) -> pl.Expr:
    """RFC 3339 in UTC. Without a format, only what is a `T`, a time of day or a `Z` short of it is changed."""
    if time_format is not None:
        moment = text.str.to_datetime(time_format, time_unit="ms", time_zone="UTC", strict=False)
        return moment.dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    day = text.str.replace(r"^(\d{4}-\d\d-\d\d)$", "${1}T00:00:00Z")
    return day.str.replace(r"^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d+)?)$", "${1}T${2}Z")
