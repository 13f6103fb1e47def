"""Fields of a source's records as arrays: what the scanner must know about a type, and what came out of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from msgspec import inspect

from schemas.binary import NULL, BinaryArray, Bytes, Int64
from schemas.currencies import NUMERIC_CODES
from schemas.field_table import CHOICE, CURRENCY, DIGITS, FLAG, INTEGER, NONE, TEXT, TIME, FieldTable
from schemas.timestamps import parse_ms

Choices = Mapping[str, Mapping[str, int]]
"""Field name → text → code."""

DIGITS_PATTERN = "^[0-9]{1,4}"
_UNBOUNDED = 2**62
_LETTERS = 26


@dataclass(frozen=True, slots=True)
class Layout:
    """Fields of one struct type, in the order in which it declares them."""

    names: tuple[str, ...]
    kinds: tuple[int, ...]
    choices: Choices
    table: FieldTable

    @classmethod
    def of(cls, struct: type[msgspec.Struct], choices: Choices) -> Layout:
        """Read the layout off a type.

        Args:
            struct: Its types, ranges and defaults are those of the records.
            choices: Codes of the fields that are one of a few texts.
        """
        info = inspect.type_info(struct)
        assert isinstance(info, inspect.StructType)
        kinds = tuple(_kind(field) for field in info.fields)
        names = tuple(field.name for field in info.fields)
        return cls(names, kinds, choices, _table(info.fields, kinds, choices))

    @property
    def times(self) -> list[str]:
        """Fields that hold a time."""
        return [name for name, kind in zip(self.names, self.kinds, strict=True) if kind == TIME]


@dataclass(frozen=True, slots=True)
class Fields:
    """Fields of n records."""

    layout: Layout
    data: Bytes
    values: Int64
    """[n, F] integers: a number, a code, ms; of a text where it begins in ``data``; `NONE` for null."""
    lengths: Int64
    """[n, F] of texts; `NULL` for null."""

    @classmethod
    def blank(cls, layout: Layout, data: Bytes, n: int) -> Fields:
        """Room for n records whose texts lie in ``data``."""
        shape = (n, len(layout.names))
        return cls(layout, data, np.zeros(shape, np.int64), np.zeros(shape, np.int64))

    def __len__(self) -> int:
        return len(self.values)

    def integer(self, name: str) -> Int64:
        """Values of a field that is no text, [n]."""
        values: Int64 = self.values[:, self.layout.names.index(name)]
        return values

    def text(self, name: str) -> BinaryArray:
        """Values of a field that is a text, [n]."""
        column = self.layout.names.index(name)
        return BinaryArray(self.data, self.values[:, column].copy(), self.lengths[:, column].copy())

    def length(self, name: str) -> Int64:
        """Length of a text or of digits, [n]."""
        lengths: Int64 = self.lengths[:, self.layout.names.index(name)]
        return lengths

    def filled(self, rows: list[int], structs: list[Any]) -> Fields:
        """Put decoded structs into the given places; a None is all zeros. The texts go behind the buffer."""
        texts: list[bytes] = []
        end = len(self.data)
        for row, struct in zip(rows, structs, strict=True):
            self.values[row], self.lengths[row] = 0, NULL
            for f, (name, kind) in enumerate(zip(self.layout.names, self.layout.kinds, strict=True)):
                value = None if struct is None else getattr(struct, name)
                if kind == TEXT and value is not None:
                    texts.append(value.encode())
                    self.values[row, f], self.lengths[row, f] = end, len(texts[-1])
                    end += len(texts[-1])
                elif struct is not None:
                    self.values[row, f] = self._code(name, kind, value)
                    self.lengths[row, f] = len(value) if kind == DIGITS and value is not None else NULL
        data = np.concatenate((self.data, np.frombuffer(b"".join(texts), np.uint8)))
        return Fields(self.layout, data, self.values, self.lengths)

    def _code(self, name: str, kind: int, value: Any) -> int:
        if value is None:
            return NONE
        if kind == CHOICE:
            return self.layout.choices[name][value]
        if kind == CURRENCY:
            return NUMERIC_CODES[value]
        return parse_ms(value) if kind == TIME else int(value)


def _kind(field: inspect.Field) -> int:
    if _is_time(field.type):
        return TIME
    return CURRENCY if field.name == "currency" else _kind_of_type(field.name, _bare(field.type))


def _is_time(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.UnionType):
        return any(map(_is_time, kind.types))
    return isinstance(kind, inspect.Metadata) and (
        (kind.extra_json_schema or {}).get("format") == "date-time" or _is_time(kind.type)
    )


def _kind_of_type(name: str, kind: inspect.Type) -> int:
    match kind:
        case inspect.IntType():
            return INTEGER
        case inspect.BoolType():
            return FLAG
        case inspect.LiteralType():
            return CHOICE
        case inspect.StrType(pattern=None):
            return TEXT
        case inspect.StrType(pattern=pattern) if pattern is not None and pattern.startswith(DIGITS_PATTERN):
            return DIGITS
        case other:
            raise TypeError(f"{name}: the scanner knows no {other}")


def _bare(kind: inspect.Type) -> inspect.Type:
    """The type behind what is only metadata or perhaps null."""
    if isinstance(kind, inspect.Metadata):
        return _bare(kind.type)
    if isinstance(kind, inspect.UnionType):
        (kind,) = (part for part in kind.types if not isinstance(part, inspect.NoneType))
        return _bare(kind)
    return kind


def _range(kind: inspect.Type) -> tuple[int, int]:
    """Least and greatest value of an integer, or length of a text."""
    match kind:
        case inspect.IntType(gt=gt, ge=ge, lt=lt, le=le):
            least = gt + 1 if gt is not None else -_UNBOUNDED if ge is None else ge
            return least, lt - 1 if lt is not None else _UNBOUNDED if le is None else le
        case inspect.StrType(pattern=None, min_length=least, max_length=most):
            return least or 0, _UNBOUNDED if most is None else most
        case inspect.StrType():
            return 1, 4  # as `DIGITS_PATTERN` says
        case _:
            return 0, 0


def _default(field: inspect.Field, kind: int, choices: Choices) -> int:
    if field.required or field.default is None:
        return NONE
    return choices[field.name][str(field.default)] if kind == CHOICE else int(field.default)


def _table(fields: tuple[inspect.Field, ...], kinds: tuple[int, ...], choices: Choices) -> FieldTable:
    words, rows = bytearray(), []
    chosen: list[tuple[int, int, int]] = []
    for field, kind in zip(fields, kinds, strict=True):
        name, first = (len(words), len(field.encode_name)), len(chosen)
        words += field.encode_name.encode("ascii")
        for text, code in choices.get(field.name, {}).items():
            chosen.append((len(words), len(text), code))
            words += text.encode("ascii")
        low, high = _range(_bare(field.type))
        nullable, default = _is_nullable(field.type), _default(field, kind, choices)
        rows.append((*name, kind, nullable, low, high, default, first, len(chosen)))
    names = [field.name for field in fields]
    return FieldTable(
        fields=np.array(rows, np.int64),
        choices=np.array(chosen, np.int64).reshape(-1, 3),
        words=np.frombuffer(bytes(words), np.uint8),
        currencies=_CURRENCIES,
        required=sum(1 << f for f, field in enumerate(fields) if field.required),
        channel=names.index("channel") if "channel" in names else NONE,
        sku=names.index("sku") if "sku" in names else NONE,
    )


def _is_nullable(kind: inspect.Type) -> bool:
    if isinstance(kind, inspect.Metadata):
        return _is_nullable(kind.type)
    return isinstance(kind, inspect.UnionType) and kind.includes_none


def _currencies() -> Int64:
    table = np.full(_LETTERS**3, NONE, np.int64)
    for alpha, numeric in NUMERIC_CODES.items():
        first, second, third = (ord(letter) - ord("A") for letter in alpha)
        table[(first * _LETTERS + second) * _LETTERS + third] = numeric
    return table


_CURRENCIES = _currencies()
