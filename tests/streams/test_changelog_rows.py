"""Rows of the changelog that this program did not write are refused, and name the way out."""

import numpy as np
import pytest

from pricing_core.state import FORMAT, ROW, FormatError, require_format
from schemas.binary import BinaryArray
from streams.changelog import state_rows

BYTES_OF_FORMAT_3 = 840
"""Before the belief was in the row."""


def test_a_row_of_the_format_before_is_too_short():
    with pytest.raises(FormatError, match=f"has not {ROW.itemsize} bytes"):
        state_rows(BinaryArray.of([bytes(ROW.itemsize), bytes(BYTES_OF_FORMAT_3)]))


def test_a_row_of_this_size_and_another_format_says_to_rebuild():
    row = np.zeros(1, ROW)
    row["format"] = FORMAT - 1
    with pytest.raises(FormatError, match="rebuild the state from the topics"):
        require_format(state_rows(BinaryArray.of([row.tobytes()])))
