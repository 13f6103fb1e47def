"""Rows of bytes packed and restored: nothing is lost, zeros cost nearly nothing, and other bytes are refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from schemas.binary import BinaryArray
from schemas.packing import PackingError, pack, unpack

sparse = st.one_of(st.just(0), st.just(0), st.integers(0, 255))
shapes = st.tuples(st.integers(0, 4), st.integers(1, 40).map(lambda words: 8 * words))


@given(arrays.arrays(np.uint8, shapes, elements=sparse))
def test_what_was_packed_comes_back(rows):
    assert np.array_equal(unpack(pack(rows), rows.shape[1]), rows)


def test_more_zeros_than_one_count_can_name_come_back():
    rows = np.zeros((1, 8 * 700), np.uint8)
    rows[0, -1] = 7
    packed = pack(rows)
    assert np.array_equal(unpack(packed, rows.shape[1]), rows)
    assert packed.length[0] < 10


@given(arrays.arrays(np.uint8, st.just((1, 64)), elements=sparse), st.data())
def test_bytes_that_are_cut_or_go_on_are_refused(rows, data):
    (raw,) = pack(rows)
    cut = data.draw(st.integers(0, len(raw) - 1))
    for damaged in (raw[:cut], raw + b"\1"):
        with pytest.raises(PackingError, match="row 0"):
            unpack(BinaryArray.of([damaged]), 64)


def test_the_form_is_the_one_that_the_specification_shows():
    # "08 00 00 00 03 00 02 00 19 00 00 00 aa 01 00 00" is packed into "51 08 03 02 31 19 aa 01".
    row = np.frombuffer(bytes.fromhex("08000000030002001900 0000aa010000".replace(" ", "")), np.uint8)[None]
    assert list(pack(row)) == [bytes.fromhex("5108030231 19aa01".replace(" ", ""))]
