"""What the scanner must know about the fields of a type, as arrays."""

from __future__ import annotations

from typing import NamedTuple

from schemas.binary import Bytes, Int64

INTEGER, FLAG, CHOICE, TEXT, DIGITS, CURRENCY, TIME, NAMES = range(8)
"""What a field's value is. `TEXT` is kept as a place in the buffer, and so are `NAMES`, a list of texts with a NUL
between them; all others as one integer."""

NONE = -1


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
