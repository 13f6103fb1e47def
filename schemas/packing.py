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
BYTE = np.uint64(255)


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
    _pack(np.ascontiguousarray(rows).view("<u8"), out, ends)
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
def _pack(words: Any, out: Bytes, ends: Int64) -> None:
    """Pack rows of words, uint64 [n, width / 8]."""
    at = 0
    for i in range(words.shape[0]):
        j = 0
        while j < words.shape[1]:
            word, tag_at, tag = words[i, j], at, 0
            j += 1
            at += 1
            for bit in range(WORD):
                byte = word >> np.uint64(8 * bit) & BYTE
                if byte:
                    tag |= 1 << bit
                    out[at] = byte
                    at += 1
            out[tag_at] = tag
            if tag == 0:
                zeros = 0
                while j < words.shape[1] and zeros < MOST and words[i, j] == 0:
                    zeros += 1
                    j += 1
                out[at] = zeros
                at += 1
        ends[i + 1] = at


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
