"""The fast lane of decoding: JSON objects to integers and places of texts, without a Python object for any of them.

`scan` takes what nearly all records are: an object of known fields, in any order, with unknown ones that hold no
object or array; strings without escapes; integers of at most 18 digits. Of those it finds what msgspec would find.
About everything else it says no and leaves it to msgspec (`schemas.codec`), which is slower, knows the whole of JSON
and can say what is wrong. So it never refuses a record; ``tests/schemas/test_scanner.py`` holds the two together.

"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from schemas.binary import NULL, Bytes, Int64
from schemas.compiled import kernel
from schemas.field_table import (
    CHOICE,
    CURRENCY,
    DEFAULT,
    FIRST_CHOICE,
    FLAG,
    HIGH,
    INTEGER,
    KIND,
    LAST_CHOICE,
    LOW,
    NAME,
    NAME_LENGTH,
    NAMES,
    NONE,
    NULLABLE,
    TEXT,
    TIME,
)
from schemas.lexemes import (
    CLOSE,
    COLON,
    COMMA,
    DELETE,
    LETTER_F,
    LETTER_N,
    LETTER_T,
    MAX_DIGITS,
    MINUS,
    NINE,
    OPEN,
    POINT,
    QUOTE,
    SPACE,
    ZERO,
    blank,
    currency_code,
    digits_value,
    integer,
    literal_end,
    same,
    string_end,
    time_ms,
)

MEMBERS = 64
"""Members of an object whose order is remembered from one record to the next."""


@kernel
def scan(
    fields: Int64,
    choices: Int64,
    words: Bytes,
    currencies: Int64,
    required: int,
    channel: int,
    sku: int,
    key_data: Bytes,
    key_start: Int64,
    key_length: Int64,
    data: Bytes,
    start: Int64,
    length: Int64,
    max_bytes: int,
    order: Int64,
    values: Int64,
    lengths: Int64,
    done: NDArray[np.bool_],
) -> int:
    """Scan n records.

    Args:
        fields: `FieldTable`, as are the six that follow.
        choices: Of the fields.
        words: Of names and choices.
        currencies: By their letters.
        required: Bits.
        channel: Field.
        sku: Field.
        key_data: Buffer of the keys.
        key_start: [n].
        key_length: [n].
        data: Buffer of the values.
        start: [n].
        length: [n].
        max_bytes: A larger value is left alone.
        order: [`MEMBERS`], written: the field at each place of the last record, the first guess for the next one.
        values: [n, F], written: integers; of texts where they begin.
        lengths: [n, F], written: of texts and digits; `NULL` where there is none.
        done: [n], written: whether the record was understood.

    Returns:
        How many were.
    """
    order[:] = NONE
    count = 0
    for i in range(len(start)):
        done[i] = False
        if 0 < length[i] <= max_bytes:
            stop = start[i] + length[i]
            value, size = values[i], lengths[i]
            if _object(fields, choices, words, currencies, required, data, start[i], stop, order, value, size):
                done[i] = sku < 0 or _key_fits(key_data, key_start[i], key_length[i], data, value, size, channel, sku)
        count += done[i]
    return count


@kernel
def _object(
    fields: Any,
    choices: Any,
    words: Any,
    currencies: Any,
    required: int,
    data: Any,
    at: int,
    stop: int,
    order: Any,
    values: Any,
    lengths: Any,
) -> bool:
    """Read one object from ``at`` to ``stop``, white space around it included."""
    for f in range(len(fields)):
        values[f], lengths[f] = fields[f, DEFAULT], NULL
    at = blank(data, at, stop)
    if at >= stop or data[at] != OPEN:
        return False
    at = blank(data, at + 1, stop)
    seen, member, more = 0, 0, at < stop and data[at] != CLOSE
    while more:
        if at >= stop or data[at] != QUOTE:
            return False
        end = string_end(data, at + 1, stop)
        if end < 0:
            return False
        place = min(member, MEMBERS - 1)
        field = _field(fields, words, data, at + 1, end, order[place])
        order[place] = field
        at = blank(data, end + 1, stop)
        if at >= stop or data[at] != COLON:
            return False
        at = blank(data, at + 1, stop)
        if at >= stop:
            return False
        if field < 0:
            at = _skip(data, at, stop)
        elif seen & (1 << field):
            return False  # given twice
        else:
            seen |= 1 << field
            at = _value(fields, choices, words, currencies, field, data, at, stop, values, lengths)
        if at < 0:
            return False
        at = blank(data, at, stop)
        if at >= stop or (data[at] != COMMA and data[at] != CLOSE):
            return False
        more = data[at] == COMMA
        if more:
            at = blank(data, at + 1, stop)
            member += 1
    if at >= stop:
        return False
    return blank(data, at + 1, stop) == stop and (seen & required) == required


@kernel
def _field(fields: Any, words: Any, data: Any, at: int, end: int, guess: int) -> int:
    """Number of the field of this name, first asked: the one that stood here in the last record. -1: unknown."""
    length = end - at
    if guess >= 0 and fields[guess, NAME_LENGTH] == length and same(data, at, length, words, fields[guess, NAME]):
        return guess
    for f in range(len(fields)):
        if fields[f, NAME_LENGTH] == length and same(data, at, length, words, fields[f, NAME]):
            return f
    return -1


@kernel
def _skip(data: Any, at: int, stop: int) -> int:
    """Where a value that nobody reads ends; -1 if it is not a plain one."""
    c = data[at]
    if c == QUOTE:
        end = string_end(data, at + 1, stop)
        return end + 1 if end >= 0 else -1
    if c == MINUS or ZERO <= c <= NINE:
        end, _ = integer(data, at, stop)
        if end < 0 or end >= stop or data[end] != POINT:
            return end
        digits = 0
        while end + 1 + digits < stop and ZERO <= data[end + 1 + digits] <= NINE:
            digits += 1
        return end + 1 + digits if 0 < digits < MAX_DIGITS else -1
    return literal_end(data, at, stop)


@kernel
def _value(
    fields: Any,
    choices: Any,
    words: Any,
    currencies: Any,
    f: int,
    data: Any,
    at: int,
    stop: int,
    values: Any,
    lengths: Any,
) -> int:
    """Read the value of a known field; returns where it ends, -1 if it is not as it should be."""
    c, kind = data[at], fields[f, KIND]
    if c == LETTER_N:
        values[f] = NONE
        return literal_end(data, at, stop) if fields[f, NULLABLE] else -1
    if kind == INTEGER:
        if c != MINUS and not ZERO <= c <= NINE:
            return -1
        end, value = integer(data, at, stop)
        values[f] = value
        return end if fields[f, LOW] <= value <= fields[f, HIGH] else -1
    if kind == FLAG:
        values[f] = c == LETTER_T
        return literal_end(data, at, stop) if c == LETTER_T or c == LETTER_F else -1
    if c != QUOTE or kind == NAMES:  # a list is for the slow lane
        return -1
    end = string_end(data, at + 1, stop)
    if end < 0 or not _text(fields, choices, words, currencies, f, data, at + 1, end, values, lengths):
        return -1
    return end + 1


@kernel
def _text(
    fields: Any,
    choices: Any,
    words: Any,
    currencies: Any,
    f: int,
    data: Any,
    at: int,
    end: int,
    values: Any,
    lengths: Any,
) -> bool:
    """Read what is written as a string."""
    length, kind = end - at, fields[f, KIND]
    if kind == TEXT:  # counted in bytes: what has fewer characters than bytes may be left to the slow lane
        values[f], lengths[f] = at, length
        return fields[f, LOW] <= length <= fields[f, HIGH]
    if kind == CHOICE:
        for row in range(fields[f, FIRST_CHOICE], fields[f, LAST_CHOICE]):
            if choices[row, 1] == length and same(data, at, length, words, choices[row, 0]):
                values[f] = choices[row, 2]
                return True
        return False
    if kind == TIME:
        values[f], valid = time_ms(data, at, length)
        return valid
    if kind == CURRENCY:
        values[f] = currency_code(currencies, data, at, length)
        return values[f] != NONE
    values[f], lengths[f] = digits_value(data, at, length), length  # DIGITS
    return fields[f, LOW] <= length <= fields[f, HIGH] and values[f] >= 0


@kernel
def _key_fits(keys: Any, at: int, length: int, data: Any, values: Any, lengths: Any, channel: int, sku: int) -> bool:
    """Whether the key is ``channel:sku`` in printable ASCII, the channel without a colon."""
    width = lengths[channel]
    if length != width + 1 + lengths[sku] or keys[at + width] != COLON:
        return False
    for j in range(length):
        c = keys[at + j]
        if not SPACE <= c < DELETE or (c == COLON and j < width):
            return False
    if not same(keys, at, width, data, values[channel]):
        return False
    return same(keys, at + width + 1, length - width - 1, data, values[sku])
