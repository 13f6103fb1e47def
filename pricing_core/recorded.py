"""What a decision depended on, as the bytes that its audit record keeps: the offer's row and its policy.

With the time, the run mode, the number of chance and the model, which the record names beside them, they are all that
`deciding.decide` sees: a decision can be made again from its record alone, bit for bit.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pricing_core.policy_table import POLICY
from pricing_core.state import ROW, Rows
from schemas.binary import BinaryArray
from schemas.packing import PackingError, pack, unpack

_INPUTS = np.dtype([("layout", "<u8"), ("row", ROW), ("policy", POLICY)])

LAYOUT = zlib.crc32(repr((ROW.descr, POLICY.descr)).encode())
"""Names the layout of rows and policies. Another layout has another number, whoever changes it."""


class RecordedError(ValueError):
    """Recorded inputs cannot be read."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What n decisions depended on, but for time, run mode and chance."""

    rows: Rows
    """[n] of `state.ROW`, with the decayed sums, as they were before the decision."""
    policies: NDArray[np.void]
    """[n] of `policy_table.POLICY`."""

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def unpacked(cls, packed: Iterable[bytes]) -> Self:
        """Read what audit records keep.

        Raises:
            RecordedError: One is damaged, or has the layout of another version of this program.
        """
        try:
            inputs = unpack(BinaryArray.of(packed), _INPUTS.itemsize).view(_INPUTS)[:, 0]
        except PackingError as error:
            raise RecordedError(f"recorded inputs are damaged, or of another layout: {error}") from error
        foreign = inputs["layout"][inputs["layout"] != LAYOUT]
        if len(foreign):
            raise RecordedError(f"recorded inputs have layout {foreign[0]}, this program reads {LAYOUT}")
        return cls(np.ascontiguousarray(inputs["row"]), np.ascontiguousarray(inputs["policy"]))

    def packed(self) -> BinaryArray:
        """Bytes for audit records."""
        inputs = np.empty((len(self), 1), _INPUTS)
        raw = inputs.view(np.uint8)
        row_at, policy_at = _INPUTS.fields["row"][1], _INPUTS.fields["policy"][1]  # type: ignore[index]  # it has some
        inputs["layout"] = LAYOUT
        raw[:, row_at:policy_at] = _raw(self.rows)
        raw[:, policy_at:] = _raw(self.policies)
        return pack(raw)

    def at(self, place: int) -> Self:
        """Look at one of them."""
        return type(self)(self.rows[place : place + 1], self.policies[place : place + 1])

    def repeated(self, times: int) -> Self:
        """Each of the n inputs ``times`` times, one behind the other."""
        return type(self)(np.repeat(self.rows, times), np.repeat(self.policies, times))


def _raw(rows: NDArray[np.void]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), rows.dtype.itemsize)
