"""Rows of bytes, many of them zero, as fewer bytes: Cap'n Proto's packing without its runs of full words.

Of each eight bytes those that are not zero are kept, behind a byte that says which they are. Behind such a byte of
zero stands how many more eights of zeros follow. Rows of integers shrink to about a third; nothing is lost.

Source: Cap'n Proto, encoding specification, section "Packing".
"""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.binary import BinaryArray, Bytes, Int64
from schemas.compiled import kernel

WORD = 8
MOST = 255
"""Words that one count can name."""


class PackingError(ValueError):
    """Bytes are not the packed form of a row of the wanted width."""


def warm_up() -> None:
    """Compile the loop that packs."""
    pack(np.zeros((1, WORD), np.uint8))


def pack(rows: Bytes) -> BinaryArray:
    """Pack each row.

    Args:
        rows: uint8 [n, width], the width a multiple of `WORD`.
    """
    n, width = rows.shape
    if width % WORD:
        raise ValueError(f"rows are {width} bytes wide, which is no multiple of {WORD}")
    out, ends = np.empty(n * (width + width // WORD + 1), np.uint8), np.zeros(n + 1, np.int64)
    _pack(np.ascontiguousarray(rows), out, ends)
    return BinaryArray(out, ends[:-1].copy(), np.diff(ends))


def unpack(packed: BinaryArray, width: int) -> Bytes:
    """Restore the rows, uint8 [n, width].

    Raises:
        PackingError: One is no packed row of this width.
    """
    rows = np.zeros((len(packed), width), np.uint8)
    fault = np.full(1, -1)
    _unpack(packed.data, packed.start, packed.length, rows, fault)
    if fault[0] >= 0:
        raise PackingError(f"row {fault[0]} is no packed row of {width} bytes")
    return rows


@kernel
def _pack(rows: Any, out: Bytes, ends: Int64) -> None:
    at = 0
    for i in range(rows.shape[0]):
        word = 0
        while word < rows.shape[1]:
            tag_at, tag = at, 0
            at += 1
            for j in range(WORD):
                if rows[i, word + j]:
                    tag |= 1 << j
                    out[at] = rows[i, word + j]
                    at += 1
            out[tag_at] = tag
            word += WORD
            if tag == 0:
                zeros = _zero_words(rows, i, word)
                out[at] = zeros
                at += 1
                word += WORD * zeros
        ends[i + 1] = at


@kernel
def _zero_words(rows: Any, i: int, start: int) -> int:
    """Count the words of zeros from ``start`` on, as many as one byte can say."""
    count = 0
    for at in range(start, rows.shape[1]):
        if rows[i, at] or count == MOST:
            break
        if (at - start) % WORD == WORD - 1:
            count += 1
    return count


@kernel
def _unpack(data: Bytes, start: Int64, length: Int64, rows: Any, fault: Int64) -> None:
    for i in range(rows.shape[0]):
        if not _unpack_row(data, start[i], start[i] + length[i], rows, i):
            fault[0] = i
            return


@kernel
def _unpack_row(data: Bytes, at: int, stop: int, rows: Any, i: int) -> bool:
    """Fill row ``i``; says whether the bytes are exactly its packed form."""
    word = 0
    while at < stop and word < rows.shape[1]:
        tag = data[at]
        at += 1
        for j in range(WORD):
            if tag >> j & 1:
                if at >= stop:
                    return False
                rows[i, word + j] = data[at]
                at += 1
        word += WORD
        if tag == 0:
            if at >= stop:
                return False
            word += WORD * data[at]
            at += 1
    return at == stop and word == rows.shape[1]
