"""Which field of an event comes from which column of a file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec
from msgspec import inspect

from schemas.events import MAX_AMOUNT
from streams.errors import InputRefused

CONST = "const:"
DERIVED = frozenset({"event_id"})
"""Made from the file and the line where they are not mapped."""

Kind = Literal["text", "names", "whole", "flag", "money", "time"]


@dataclass(frozen=True, slots=True)
class Given:
    """Where a field's text comes from: a column, or the same text in every row."""

    text: str
    is_column: bool


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event."""

    name: str
    kind: Kind
    required: bool
    default: object
    """Stands for an empty cell; None where the field is required."""


def fields_of(struct: type[msgspec.Struct]) -> dict[str, Field]:
    """The fields of an event type, with the kind of text that each is written in."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return {
        field.name: Field(
            field.name,
            _kind(field.type),
            field.required,
            None if field.default is msgspec.NODEFAULT else field.default,
        )
        for field in info.fields
    }


def parse(texts: Iterable[str]) -> dict[str, Given]:
    """Read ``field=column`` and ``field=const:VALUE``.

    Raises:
        InputRefused: a text of another form, or a field that is given twice.
    """
    mapping: dict[str, Given] = {}
    for text in texts:
        field, equals, source = text.partition("=")
        if not (field and equals and source):
            raise InputRefused(f"--map {text}: write field=column or field={CONST}VALUE")
        if field in mapping:
            raise InputRefused(f"--map {text}: {field} is mapped twice")
        mapping[field] = Given(source.removeprefix(CONST), is_column=not source.startswith(CONST))
    return mapping


def complete(mapping: Mapping[str, Given], struct: type[msgspec.Struct], columns: Sequence[str]) -> dict[str, Given]:
    """Add the columns that are called like a field, and check that the event can be built.

    A type without a currency of its own needs one all the same where it has money, to know how many digits the
    minor unit has.

    Raises:
        InputRefused: an unknown field or column, or a required field from nowhere.
    """
    fields = fields_of(struct)
    wanted = {*fields, "currency"} if any(field.kind == "money" for field in fields.values()) else set(fields)
    same_name = {name: Given(name, is_column=True) for name in columns if name in wanted}
    whole = {**same_name, **mapping}
    unknown = sorted(set(whole) - wanted)
    if unknown:
        raise InputRefused(f"no field {', '.join(unknown)}; there are {', '.join(sorted(wanted))}")
    absent = sorted(given.text for given in whole.values() if given.is_column and given.text not in columns)
    if absent:
        raise InputRefused(f"no column {', '.join(absent)}; there are {', '.join(columns)}")
    required = {name for name in wanted if name not in fields or fields[name].required}
    missing = sorted(required - set(whole) - DERIVED)
    if missing:
        raise InputRefused(
            f"nothing says what {', '.join(missing)} is; add --map {missing[0]}=COLUMN or "
            f"--map {missing[0]}={CONST}VALUE (columns: {', '.join(columns)})"
        )
    return whole


def _kind(type_info: inspect.Type) -> Kind:
    """Told by the type alone, so that a new field needs no entry anywhere else."""
    if isinstance(type_info, inspect.Metadata):
        is_time = (type_info.extra_json_schema or {}).get("format") == "date-time"
        return "time" if is_time else _kind(type_info.type)
    if isinstance(type_info, inspect.UnionType):  # only optional ones
        (present,) = (member for member in type_info.types if not isinstance(member, inspect.NoneType))
        return _kind(present)
    if isinstance(type_info, inspect.BoolType):
        return "flag"
    if isinstance(type_info, inspect.IntType):
        return "money" if type_info.le == MAX_AMOUNT else "whole"
    return "names" if isinstance(type_info, inspect.ListType) else "text"
