"""Columns to JSON: what is written reads back as what went in, and as orjson would have written it."""

import base64
import math

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.binary import BinaryArray
from schemas.columns import NONE
from schemas.compiled import compilations
from schemas.float_text import FLOAT_WIDTH
from schemas.json_layout import Base64, Float, Integer, Joined, Name, Object, OnlyIf, Shared, Text
from schemas.json_writer import JsonWriter

WRITE_FLOAT = JsonWriter(Float("x"))
TABLE = (None, 'a "name"', "")
RECORD = JsonWriter(
    Object(
        {
            "id": Joined([Shared("prefix"), Integer("number"), Shared("quote")]),
            "text": Text("text"),
            "number": Integer("number"),
            "float": Float("float"),
            "name": Name("name", TABLE),
            "model": Shared("model"),
            "inner": OnlyIf(
                "there",
                Object({"ints": Integer("ints", 2), "floats": Float("floats", 3), "names": Name("names", TABLE, 2)}),
            ),
            "bytes": Base64("bytes"),
            "last": OnlyIf("there", Text("text")),
        }
    )
)

floats = st.floats(width=32)
integers = st.integers(-(2**63), 2**63 - 1).filter(lambda n: n != NONE) | st.none()
names = st.sampled_from(range(len(TABLE)))
rows = st.fixed_dictionaries(
    {
        "text": st.text(),
        "bytes": st.binary(),
        "number": st.integers(-(2**63) + 1, 2**63 - 1).filter(lambda n: n != NONE),
        "float": floats,
        "name": names,
        "there": st.booleans(),
        "ints": st.tuples(integers, integers),
        "floats": st.tuples(floats, floats, floats),
        "names": st.tuples(names, names),
    }
)


def expected(row):
    inner = {
        "ints": list(row["ints"]),
        "floats": [x if math.isfinite(x) else None for x in row["floats"]],
        "names": [TABLE[name] for name in row["names"]],
    }
    return {
        "id": f"7-{row['number']}",
        "text": row["text"],
        "number": row["number"],
        "float": row["float"] if math.isfinite(row["float"]) else None,
        "name": TABLE[row["name"]],
        "model": {"a": 1},
        "inner": inner if row["there"] else None,
        "bytes": base64.b64encode(row["bytes"]).decode(),
        "last": row["text"] if row["there"] else None,
    }


@settings(deadline=None)
@given(st.lists(rows, max_size=6))
def test_records_read_back_as_what_went_in(given_rows):
    n = len(given_rows)
    kinds = {"number": (np.int64, ()), "float": (np.float32, ()), "name": (np.int8, ()), "there": (np.bool_, ())}
    kinds |= {"ints": (np.int64, (2,)), "floats": (np.float32, (3,)), "names": (np.int8, (2,))}
    columns = {
        name: np.array([replace_none(row[name]) for row in given_rows], kind).reshape(n, *shape)
        for name, (kind, shape) in kinds.items()
    }
    columns["text"] = BinaryArray.of(row["text"].encode() for row in given_rows)
    columns["bytes"] = BinaryArray.of(row["bytes"] for row in given_rows)
    shared = {"prefix": b'"7-', "quote": b'"', "model": b'{"a":1}'}
    written = [orjson.loads(record) for record in RECORD(columns, shared)]
    assert as_float32(written) == [as_float32(expected(row)) for row in given_rows]
    assert [list(record) for record in written] == [list(expected(row)) for row in given_rows]


def replace_none(value):
    return tuple(NONE if x is None else x for x in value) if isinstance(value, tuple) else value


def as_float32(value):
    """Floats as a reader sees them who rounds what JSON says; the sign of zero counts."""
    if isinstance(value, float):
        return np.float32(value).tobytes()
    if isinstance(value, list):
        return [as_float32(x) for x in value]
    return {name: as_float32(x) for name, x in value.items()} if isinstance(value, dict) else value


def bit_patterns():
    """Every exponent, both signs, with the least and greatest fractions and many between."""
    draw = np.random.default_rng(3)
    fractions = np.concatenate(([0, 1, 2, 3, 0x7FFFFF, 0x7FFFFE, 0x400000], draw.integers(0, 1 << 23, 2000)))
    bits = (np.arange(256)[:, None] << 23) | fractions[None, :]
    return np.concatenate((bits, bits | (1 << 31))).astype(np.uint32).ravel()


def test_a_float_is_written_as_the_shortest_text_that_reads_back():
    numbers = bit_patterns().view(np.float32)
    written = WRITE_FLOAT({"x": numbers}, {})
    finite = np.isfinite(numbers)
    texts = np.array(list(written))
    assert set(texts[~finite]) == {b"null"}
    with np.errstate(over="ignore"):
        back = np.array([orjson.loads(text) for text in texts[finite].tolist()]).astype(np.float32)
    assert (back.view(np.uint32) == numbers[finite].view(np.uint32)).all()
    shortest = [digits(np.format_float_scientific(x, unique=True, trim="-")) for x in numbers[finite][::50]]
    assert [digits(text.decode()) for text in texts[finite][::50].tolist()] == shortest
    assert written.length.max() <= FLOAT_WIDTH


def digits(text):
    """How many significant digits a number has."""
    return len(text.lower().partition("e")[0].replace("-", "").replace(".", "").strip("0"))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, b"0.0"),
        (-0.0, b"-0.0"),
        (0.1, b"0.1"),
        (1.5, b"1.5"),
        (100.0, b"100.0"),
        (1e-7, b"1e-7"),
        (-2.5e20, b"-2.5e20"),
    ],
)
def test_a_float_looks_as_one_would_write_it(number, text):
    assert list(WRITE_FLOAT({"x": np.array([number], np.float32)}, {})) == [text]


def test_the_float_whose_shortest_text_becomes_another_by_way_of_a_double():
    number = np.array([0x15AE43FD], np.uint32).view(np.float32)
    (text,) = WRITE_FLOAT({"x": number}, {})
    assert np.float32(orjson.loads(text)) == number[0]


def test_a_number_that_is_in_no_table_is_refused_and_not_read_from_elsewhere():
    write = JsonWriter(Name("name", TABLE))
    for number in (-1, len(TABLE)):
        with pytest.raises(IndexError, match="none of the 3 of its table"):
            write({"name": np.array([0, number])}, {})


def test_nothing_compiles_after_the_warm_up():
    JsonWriter.warm_up()
    before = compilations()
    test_records_read_back_as_what_went_in.hypothesis.inner_test([])
    WRITE_FLOAT({"x": np.zeros(3, np.float32)}, {})
    assert compilations() == before
