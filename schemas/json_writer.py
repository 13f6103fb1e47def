"""Columns to JSON: n records at once, by a compiled loop that makes no Python object. The mirror of `schemas.scanner`.

What a record looks like is declared once and becomes a short program, which the loop runs for each row::

    write = JsonWriter(Object({"sku": Text("sku"), "price": Integer("price"), "model": Shared("model")}))
    write({"sku": skus, "price": prices}, {"model": b'"demand/3"'})
    write.groups({"sku": skus, "price": prices}, [{"model": b'"demand/3"'}, {"model": b'"demand/4"'}], sizes=[7, 2])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import orjson

from schemas.base64_text import base64_text, base64_width
from schemas.binary import BinaryArray, Bytes, Int64
from schemas.columns import NONE
from schemas.compiled import kernel
from schemas.copying import copy_bytes
from schemas.float_text import FLOAT_WIDTH, INTEGER_WIDTH, NULL_WIDTH, float_text, integer_text, null_text
from schemas.json_columns import StackedColumns, strings_of
from schemas.json_layout import Base64, Float, Integer, Joined, Name, Object, OnlyIf, Shared, Text, Value

LITERAL, SHARED, INTEGERS, FLOATS, NAMES, TEXT, ONLY_IF, BASE64 = range(8)
"""Instructions, each with three arguments. `LITERAL`: start, length. `SHARED`: number. Numbers and names: first column,
how many (0: one, without brackets), and of names where their table begins. `TEXT` and `BASE64`: column. `ONLY_IF`:
column, and how many instructions belong to it."""
QUOTE, BACKSLASH, SPACE = ord('"'), ord("\\"), ord(" ")
COMMA, OPEN, CLOSE = ord(","), ord("["), ord("]")
HEX = np.frombuffer(b"0123456789abcdef", np.uint8)
CONTROL = np.frombuffer(b"\\u00", np.uint8)
ESCAPED_WIDTH = 6
"""Bytes of the longest escape, ``\\u001f``."""


class JsonWriter:
    """Writes records of one kind."""

    def __init__(self, value: Value) -> None:
        self._program: list[list[int]] = []
        self._literals = bytearray()
        self._shared: list[str] = []
        """Names of the values that come with each call."""
        self._names: list[tuple[int, int]] = []
        """Start and length of each, in the literals."""
        self._limits: dict[str, int] = {}
        """How many names the table of a column has."""
        self._integers, self._floats = StackedColumns(np.int64), StackedColumns(np.float32)
        self._texts: list[str] = []
        self._blobs: list[str] = []
        self._width = 0
        """Bytes of a record at most, but for strings and what is shared."""
        self._compile(value)
        self._compiled = np.array(self._program, np.int64), np.array(self._names, np.int64).reshape(-1, 2)

    @staticmethod
    def warm_up() -> None:
        """Compile the loop."""
        JsonWriter(Integer("n"))({"n": np.zeros(1, np.int64)}, {})

    def __call__(self, columns: Mapping[str, Any], shared: Mapping[str, bytes]) -> BinaryArray:
        """Write n records that share values; as `groups` with one group."""
        return self.groups(columns, [shared], [len(next(iter(columns.values())))])

    def groups(
        self, columns: Mapping[str, Any], shared: Sequence[Mapping[str, bytes]], sizes: Sequence[int]
    ) -> BinaryArray:
        """Write n records: groups of consecutive ones, each of which shares values.

        Args:
            columns: By name, as their kinds say; at least one.
            shared: JSON of each shared value, of each group.
            sizes: Records of each group; n in all.

        Raises:
            IndexError: If a name's number is outside of its table.
        """
        n = len(next(iter(columns.values())))
        self._require_names(columns, n)
        literals, places = self._with_shared(shared)
        group = np.repeat(np.arange(len(shared)), sizes)
        texts, blobs = strings_of(columns, self._texts, n), strings_of(columns, self._blobs, n)
        longest = int(places[:, :, 1].sum(axis=1).max(initial=0))
        room = n * (self._width + longest) + ESCAPED_WIDTH * int(texts[2].sum())
        room += base64_width(int(blobs[2].sum()) + 3 * blobs[2].size)  # each is padded by itself
        out, ends = np.empty(room, np.uint8), np.zeros(n + 1, np.int64)
        integers, bits = self._integers.stack(columns, n), self._floats.stack(columns, n).view(np.int32)
        program, names = self._compiled
        _write(program, literals, places, group, names, integers, bits, *texts, *blobs, out, ends)
        if ends[-1] > room:
            raise AssertionError(f"{ends[-1]} bytes were written into {room}")
        return BinaryArray(out, ends[:-1].copy(), np.diff(ends))

    def _require_names(self, columns: Mapping[str, Any], n: int) -> None:
        for name, limit in self._limits.items():
            if n and not 0 <= columns[name].min() <= columns[name].max() < limit:
                raise IndexError(f"{name}: a number that is none of the {limit} of its table")

    def _with_shared(self, shared: Sequence[Mapping[str, bytes]]) -> tuple[Bytes, Int64]:
        """All literals, and where those of each group are: [groups, shared values, 2] start and length."""
        literals = bytearray(self._literals)
        places = np.zeros((len(shared), len(self._shared), 2), np.int64)
        for group, values in enumerate(shared):
            for number, name in enumerate(self._shared):
                places[group, number] = len(literals), len(values[name])
                literals += values[name]
        return np.frombuffer(literals, np.uint8), places

    def _compile(self, value: Value) -> None:
        match value:
            case Shared():
                self._program.append([SHARED, len(self._shared), 0, 0])
                self._shared.append(value.name)
            case Integer():
                self._add(INTEGERS, self._integers.add(value.column, value.width), value.width, INTEGER_WIDTH)
            case Float():
                self._add(FLOATS, self._floats.add(value.column, value.width), value.width, FLOAT_WIDTH)
            case Name():
                self._add_names(value)
            case Text():
                self._program.append([TEXT, len(self._texts), 0, 0])
                self._texts.append(value.column)
                self._width += 2
            case Base64():
                self._program.append([BASE64, len(self._blobs), 0, 0])
                self._blobs.append(value.column)
                self._width += 2
            case Joined():
                for part in value.parts:
                    self._compile(part)
            case OnlyIf():
                self._add_condition(value)
            case Object():
                for number, (name, inner) in enumerate(value.fields.items()):
                    self._add_literal((b"," if number else b"{") + orjson.dumps(name) + b":")
                    self._compile(inner)
                self._add_literal(b"}")

    def _add(self, kind: int, first: int, width: int, longest: int, table: int = 0) -> None:
        self._program.append([kind, first, width, table])
        self._width += max(width, 1) * (max(longest, NULL_WIDTH) + 1) + 2

    def _add_literal(self, text: bytes) -> None:
        self._program.append([LITERAL, len(self._literals), len(text), 0])
        self._literals += text
        self._width += len(text)

    def _add_names(self, value: Name) -> None:
        texts, table = [orjson.dumps(name) for name in value.table], len(self._names)
        for text in texts:
            self._names.append((len(self._literals), len(text)))
            self._literals += text
        self._limits[value.column] = min(len(texts), self._limits.get(value.column, len(texts)))
        self._add(NAMES, self._integers.add(value.column, value.width), value.width, max(map(len, texts)), table)

    def _add_condition(self, value: OnlyIf) -> None:
        at = len(self._program)
        self._program.append([ONLY_IF, self._integers.add(value.column, 0), 0, 0])
        self._compile(value.value)
        self._program[at][2] = len(self._program) - at - 1
        self._width += NULL_WIDTH


@kernel
def _write(
    program: Int64,
    literals: Bytes,
    places: Int64,
    group: Int64,
    names: Int64,
    integers: Int64,
    bits: Any,
    data: Bytes,
    start: Int64,
    length: Int64,
    blobs: Bytes,
    blob_start: Int64,
    blob_length: Int64,
    out: Bytes,
    ends: Int64,
) -> None:
    """Run the program for each row.

    Args:
        program: [m, 4], see the instructions.
        literals: What they, the places and the names point into.
        places: [g, s, 2] start and length of the shared values of each group.
        group: [n].
        names: [k, 2] start and length.
        integers: [n, c].
        bits: int32 [n, d]: of the float32.
        data: Where the texts lie.
        start: [n, t].
        length: [n, t].
        blobs: Where the byte strings lie.
        blob_start: [n, b].
        blob_length: [n, b].
        out: Long enough, written.
        ends: [n + 1], written but for the first, which is 0.
    """
    at = 0
    for i in range(len(integers)):
        step = 0
        while step < len(program):
            kind, first, width, table = program[step]
            step += 1
            if kind == LITERAL:
                copy_bytes(out, at, literals, first, width)
                at += width
            elif kind == SHARED:
                place = places[group[i], first]
                copy_bytes(out, at, literals, place[0], place[1])
                at += place[1]
            elif kind == TEXT:
                at = _write_text(out, at, data, start[i, first], length[i, first])
            elif kind == BASE64:
                out[at] = QUOTE
                at = base64_text(out, at + 1, blobs, blob_start[i, first], blob_length[i, first])
                out[at] = QUOTE
                at += 1
            elif kind == ONLY_IF:
                if integers[i, first] == 0:
                    at = null_text(out, at)
                    step += width
            else:
                if width:
                    out[at] = OPEN
                    at += 1
                for j in range(max(width, 1)):
                    if j:
                        out[at] = COMMA
                        at += 1
                    if kind == FLOATS:
                        at = float_text(out, at, bits[i, first + j])
                    elif kind == NAMES:
                        name = table + integers[i, first + j]
                        copy_bytes(out, at, literals, names[name, 0], names[name, 1])
                        at += names[name, 1]
                    elif integers[i, first + j] == NONE:
                        at = null_text(out, at)
                    else:
                        at = integer_text(out, at, integers[i, first + j])
                if width:
                    out[at] = CLOSE
                    at += 1
        ends[i + 1] = at


@kernel
def _write_text(out: Bytes, at: int, data: Bytes, start: int, length: int) -> int:
    out[at] = QUOTE
    at += 1
    for j in range(start, start + length):
        byte = data[j]
        if byte < SPACE:
            copy_bytes(out, at, CONTROL, 0, 4)
            out[at + 4], out[at + 5] = HEX[byte >> 4], HEX[byte & 15]
            at += ESCAPED_WIDTH
            continue
        if byte == QUOTE or byte == BACKSLASH:
            out[at] = BACKSLASH
            at += 1
        out[at] = byte
        at += 1
    out[at] = QUOTE
    return at + 1
