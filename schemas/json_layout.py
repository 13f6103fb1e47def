"""What a record of columns looks like as JSON: the parts of which a layout is made, for `schemas.json_writer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shared:
    """JSON that all records of a call have in common."""

    name: str


@dataclass(frozen=True, slots=True)
class Integer:
    """A column int64 [n], or with a width [n, width]; `NONE` is null."""

    column: str
    width: int = 0


@dataclass(frozen=True, slots=True)
class Float:
    """A column float32 [n], or with a width [n, width]; what is not finite is null."""

    column: str
    width: int = 0


@dataclass(frozen=True, slots=True)
class Name:
    """A column of integers [n], or with a width [n, width]: each the place of a string or null in a table."""

    column: str
    table: Sequence[str | None]
    width: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """A column of UTF-8 strings [n], all of them in one buffer."""

    column: str


@dataclass(frozen=True, slots=True)
class Base64:
    """A column of byte strings [n], all of them in one buffer; RFC 4648, with padding."""

    column: str


@dataclass(frozen=True, slots=True)
class Joined:
    """Values one behind the other, without anything between them."""

    parts: Sequence[Value]


@dataclass(frozen=True, slots=True)
class OnlyIf:
    """What stands there where a column bool [n] says so; else null."""

    column: str
    value: Value


@dataclass(frozen=True, slots=True)
class Object:
    """Fields in their order."""

    fields: Mapping[str, Value]


Value = Shared | Integer | Float | Name | Text | Base64 | Joined | OnlyIf | Object
