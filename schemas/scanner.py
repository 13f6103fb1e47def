"""The fast lane of decoding: JSON objects to integers and places of texts, without a Python object for any of them.

`scan` takes what nearly all records are: an object of known fields, in any order, with unknown ones that hold no
object or array; strings without escapes; integers of at most 18 digits. Of those it finds what msgspec would find.
About everything else it says no and leaves it to msgspec (`schemas.codec`), which is slower, knows the whole of JSON
and can say what is wrong. So it never refuses a record; ``tests/schemas/test_scanner.py`` holds the two together.

"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from schemas.binary import NULL, Bytes, Int64
from schemas.compiled import kernel

INTEGER, FLAG, CHOICE, TEXT, DIGITS, CURRENCY, TIME = range(7)
"""What a field's value is. `TEXT` is kept as a place in the buffer, all others as one integer."""

NONE = -1
MAX_DIGITS = 18
"""More might not fit into int64."""
MEMBERS = 64
"""Members of an object whose order is remembered from one record to the next."""

QUOTE, BACKSLASH, COLON, COMMA, OPEN, CLOSE, MINUS, POINT, ZERO, NINE = (ord(c) for c in '"\\:,{}-.09')
SPACE, TAB, LINE_FEED, CARRIAGE_RETURN, DELETE, UPPER_A = (ord(c) for c in " \t\n\r\x7fA")
LETTER_T, LETTER_F, LETTER_N = (ord(c) for c in "tfn")
LITERALS = np.frombuffer(b"truefalsenull", np.uint8)
DAYS_BEFORE_MONTH = np.array([0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365])
DAYS_TO_EPOCH = 719_162
"""From 0001-01-01 to 1970-01-01."""


class FieldTable(NamedTuple):
    """What `scan` must know about F fields of a type; made by `schemas.fields`.

    Few arrays of numbers: the kernels hand them on to one another, and each one costs.
    """

    fields: Int64
    """[F, `COLUMNS`]."""
    choices: Int64
    """[all choices, 3]: where its text begins in ``words``, the text's length, its code."""
    words: Bytes
    """Texts of all field names and choices."""
    currencies: Int64
    """[26³] numeric code of every three letters; `NONE` for those that are no currency."""
    required: int
    """One bit for each field that may not be absent."""
    channel: int
    """Fields of which the record's key is made; negative for a type without."""
    sku: int


COLUMNS = NAME, NAME_LENGTH, KIND, NULLABLE, LOW, HIGH, DEFAULT, FIRST_CHOICE, LAST_CHOICE = range(9)
"""Of ``FieldTable.fields``: the name in ``words``, the kind, whether null may stand for it, the least and greatest
value or length, what it is where it is absent, and its rows of ``choices``."""


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
    at = _blank(data, at, stop)
    if at >= stop or data[at] != OPEN:
        return False
    at = _blank(data, at + 1, stop)
    seen, member, more = 0, 0, at < stop and data[at] != CLOSE
    while more:
        if at >= stop or data[at] != QUOTE:
            return False
        end = _string(data, at + 1, stop)
        if end < 0:
            return False
        place = min(member, MEMBERS - 1)
        field = _field(fields, words, data, at + 1, end, order[place])
        order[place] = field
        at = _blank(data, end + 1, stop)
        if at >= stop or data[at] != COLON:
            return False
        at = _blank(data, at + 1, stop)
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
        at = _blank(data, at, stop)
        if at >= stop or (data[at] != COMMA and data[at] != CLOSE):
            return False
        more = data[at] == COMMA
        if more:
            at = _blank(data, at + 1, stop)
            member += 1
    if at >= stop:
        return False
    return _blank(data, at + 1, stop) == stop and (seen & required) == required


@kernel
def _blank(data: Any, at: int, stop: int) -> int:
    """Where white space ends."""
    while at < stop and (data[at] == SPACE or data[at] == LINE_FEED or data[at] == TAB or data[at] == CARRIAGE_RETURN):
        at += 1
    return at


@kernel
def _string(data: Any, at: int, stop: int) -> int:
    """Where the string that begins at ``at`` ends: at its quote. -1: an escape, a control character, not UTF-8."""
    while at < stop:
        c = data[at]
        if c == QUOTE:
            return at
        if c < SPACE or c == BACKSLASH:
            return -1
        if c < 0x80:
            at += 1
        else:
            at = _beyond_ascii(data, at, stop)
            if at < 0:
                return -1
    return -1


@kernel
def _beyond_ascii(data: Any, at: int, stop: int) -> int:
    """Where the UTF-8 sequence at ``at`` ends; -1 if it is none: too long for its value, a surrogate, cut off."""
    c = data[at]
    if 0xC2 <= c < 0xE0:
        size, least, most = 2, 0x80, 0xBF
    elif 0xE0 <= c < 0xF0:
        size, least, most = 3, (0xA0 if c == 0xE0 else 0x80), (0x9F if c == 0xED else 0xBF)
    elif 0xF0 <= c < 0xF5:
        size, least, most = 4, (0x90 if c == 0xF0 else 0x80), (0x8F if c == 0xF4 else 0xBF)
    else:
        return -1
    if at + size > stop or not least <= data[at + 1] <= most:
        return -1
    for j in range(at + 2, at + size):
        if data[j] & 0xC0 != 0x80:
            return -1
    return at + size


@kernel
def _same(data: Any, at: int, length: int, words: Any, word: int) -> bool:
    for j in range(length):
        if data[at + j] != words[word + j]:
            return False
    return True


@kernel
def _field(fields: Any, words: Any, data: Any, at: int, end: int, guess: int) -> int:
    """Number of the field of this name, first asked: the one that stood here in the last record. -1: unknown."""
    length = end - at
    if guess >= 0 and fields[guess, NAME_LENGTH] == length and _same(data, at, length, words, fields[guess, NAME]):
        return guess
    for f in range(len(fields)):
        if fields[f, NAME_LENGTH] == length and _same(data, at, length, words, fields[f, NAME]):
            return f
    return -1


@kernel
def _skip(data: Any, at: int, stop: int) -> int:
    """Where a value that nobody reads ends; -1 if it is not a plain one."""
    c = data[at]
    if c == QUOTE:
        end = _string(data, at + 1, stop)
        return end + 1 if end >= 0 else -1
    if c == MINUS or ZERO <= c <= NINE:
        end, _ = _integer(data, at, stop)
        if end < 0 or end >= stop or data[end] != POINT:
            return end
        digits = 0
        while end + 1 + digits < stop and ZERO <= data[end + 1 + digits] <= NINE:
            digits += 1
        return end + 1 + digits if 0 < digits < MAX_DIGITS else -1
    return _literal(data, at, stop)


@kernel
def _integer(data: Any, at: int, stop: int) -> tuple[int, int]:
    """Where the integer at ``at`` ends, and what it is; -1 if it is none, or a long one."""
    negative = data[at] == MINUS
    if negative:
        at += 1
    value, digits = 0, 0
    while at + digits < stop and ZERO <= data[at + digits] <= NINE:
        if digits == MAX_DIGITS:
            return -1, 0
        value = value * 10 + (data[at + digits] - ZERO)
        digits += 1
    if digits == 0 or (data[at] == ZERO and (digits > 1 or negative)):
        return -1, 0
    return at + digits, -value if negative else value


@kernel
def _literal(data: Any, at: int, stop: int) -> int:
    """Where ``true``, ``false`` or ``null`` ends; -1 if it is none of them."""
    first = LITERALS[:4] if data[at] == LETTER_T else LITERALS[4:9] if data[at] == LETTER_F else LITERALS[9:]
    if at + len(first) > stop or not _same(data, at, len(first), first, 0):
        return -1
    return at + len(first)


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
        return _literal(data, at, stop) if fields[f, NULLABLE] else -1
    if kind == INTEGER:
        if c != MINUS and not ZERO <= c <= NINE:
            return -1
        end, value = _integer(data, at, stop)
        values[f] = value
        return end if fields[f, LOW] <= value <= fields[f, HIGH] else -1
    if kind == FLAG:
        values[f] = c == LETTER_T
        return _literal(data, at, stop) if c == LETTER_T or c == LETTER_F else -1
    if c != QUOTE:
        return -1
    end = _string(data, at + 1, stop)
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
            if choices[row, 1] == length and _same(data, at, length, words, choices[row, 0]):
                values[f] = choices[row, 2]
                return True
        return False
    if kind == TIME:
        values[f], valid = _time(data, at, length)
        return valid
    if kind == CURRENCY:
        values[f] = _currency(currencies, data, at, length)
        return values[f] != NONE
    values[f], lengths[f] = _number(data, at, length), length  # DIGITS
    return fields[f, LOW] <= length <= fields[f, HIGH] and values[f] >= 0


@kernel
def _currency(currencies: Any, data: Any, at: int, length: int) -> int:
    if length != 3:
        return NONE
    place = 0
    for j in range(at, at + 3):
        letter = int(data[j]) - UPPER_A
        if not 0 <= letter < 26:
            return NONE
        place = place * 26 + letter
    return currencies[place]


@kernel
def _number(data: Any, at: int, digits: int) -> int:
    """Value of so many digits; negative if one is none."""
    value = 0
    for j in range(at, at + digits):
        digit = int(data[j]) - ZERO
        if not 0 <= digit <= 9:
            return -1
        value = value * 10 + digit
    return value


@kernel
def _time(data: Any, at: int, length: int) -> tuple[int, bool]:
    """Milliseconds since the epoch of ``YYYY-MM-DDTHH:MM:SS.mmmZ`` or ``YYYY-MM-DDTHH:MM:SSZ``."""
    if length != 24 and length != 20:
        return 0, False
    marks = data[at + 4] == MINUS and data[at + 7] == MINUS and data[at + 10] == 84
    marks = marks and data[at + 13] == COLON and data[at + 16] == COLON and data[at + length - 1] == 90
    year, month, day = _number(data, at, 4), _number(data, at + 5, 2), _number(data, at + 8, 2)
    hour, minute, second = _number(data, at + 11, 2), _number(data, at + 14, 2), _number(data, at + 17, 2)
    ms = 0
    if length == 24:
        marks = marks and data[at + 19] == POINT
        ms = _number(data, at + 20, 3)
    if not marks or year < 1 or not 1 <= month <= 12 or hour < 0 or minute < 0 or second < 0 or ms < 0:
        return 0, False
    leap = (year % 4 == 0 and year % 100 != 0) or year % 400 == 0
    month_days = DAYS_BEFORE_MONTH[month] - DAYS_BEFORE_MONTH[month - 1] + (1 if leap and month == 2 else 0)
    if not 1 <= day <= month_days or hour > 23 or minute > 59 or second > 59:
        return 0, False
    past = year - 1
    days = past * 365 + past // 4 - past // 100 + past // 400 + DAYS_BEFORE_MONTH[month - 1] + day - 1
    if leap and month > 2:
        days += 1
    seconds = ((days - DAYS_TO_EPOCH) * 24 + hour) * 3600 + minute * 60 + second
    return seconds * 1000 + ms, True


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
    same = _same(keys, at, width, data, values[channel])
    return same and _same(keys, at + width + 1, length - width - 1, data, values[sku])
