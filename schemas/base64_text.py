"""Bytes as base64 text (RFC 4648, section 4, with padding), compiled. The mirror of what readers of JSON expect."""

from __future__ import annotations

from typing import Any

import numpy as np

from schemas.compiled import kernel

ALPHABET = np.frombuffer(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", np.uint8)
PADDING = ord("=")


def base64_width(length: int) -> int:
    """Bytes of text for so many bytes."""
    return (length + 2) // 3 * 4


@kernel
def base64_text(out: Any, at: int, data: Any, start: int, length: int) -> int:
    """Write ``length`` bytes from ``start`` as text; returns where it ends."""
    whole = start + length - length % 3
    for i in range(start, whole, 3):
        first, second, third = data[i], data[i + 1], data[i + 2]
        out[at] = ALPHABET[first >> 2]
        out[at + 1] = ALPHABET[(first & 3) << 4 | second >> 4]
        out[at + 2] = ALPHABET[(second & 15) << 2 | third >> 6]
        out[at + 3] = ALPHABET[third & 63]
        at += 4
    if length % 3 == 0:
        return at
    first, second = data[whole], data[whole + 1] if length % 3 == 2 else 0
    out[at] = ALPHABET[first >> 2]
    out[at + 1] = ALPHABET[(first & 3) << 4 | second >> 4]
    out[at + 2] = ALPHABET[(second & 15) << 2] if length % 3 == 2 else PADDING
    out[at + 3] = PADDING
    return at + 4
