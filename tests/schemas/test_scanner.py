"""Whatever the scanner takes, msgspec would take too, and find the same in it; and it takes what is common."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import NumbaError

from schemas import examples as ex
from schemas.binary import BinaryArray
from schemas.codec import BatchDecoder, encode
from schemas.compiled import kernel
from schemas.sources import SOURCES
from schemas.topics import CLICKS, HOT_SOURCES, ORDERS
from tests.schemas.decoding import changed, row


class SlowDecoder(BatchDecoder):
    """Leaves every record to msgspec."""

    def _scan(self, keys, values):
        fields, done = super()._scan(keys, values)
        return fields, np.zeros_like(done)


def both(topic, keys, values):
    """What the codec makes of records, and what it would make of them without the scanner."""
    given_keys, given_values = BinaryArray.of(keys), BinaryArray.of(values)
    return [kind(SOURCES[topic.name])(given_keys, given_values, ex.NOW) for kind in (BatchDecoder, SlowDecoder)]


def is_scanned(topic, value, key=ex.KEY):
    _, done = BatchDecoder(SOURCES[topic.name])._scan(BinaryArray.of([key]), BinaryArray.of([value]))
    return bool(done[0])


def facts(decoded):
    rejects = [(reject.index, reject.reason, reject.detail) for reject in decoded.rejects]
    rows = [row(decoded.columns, i) for i in range(len(decoded.columns))]
    names = list(decoded.event_ids), list(decoded.columns.keys)
    return rejects, rows, names, decoded.columns.index.tolist(), decoded.columns.time.tolist()


PIECES = st.sampled_from(
    [
        *(bytes([c]) for c in b'{}",:[]\\ \n\t\0\x7f-+.0T'),
        *(b"\\u0041", b"\\n", b"00", b"1", b"9" * 17, b"9" * 18, b"9" * 19, b".5", b"e9", b"true", b"false", b"null"),
        *("ü".encode(), "€".encode(), "😀".encode()),
        *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"),  # no UTF-8
        *(b'"note":', b'"sku":', b'"quantity":', b'"extra":{"a":[1]},', b'"occurred_at":"2026-02-29T00:00:00Z",'),
    ]
)


@st.composite
def mutilated(draw, topic):
    """An event's JSON with its members in any order, blanks between them, and a few pieces cut out or put in."""
    body = json.loads(encode(ex.EXAMPLES[topic.type]))
    members = draw(st.permutations(sorted(body)))
    comma, colon = draw(st.sampled_from([(",", ":"), (" ,\n", "\t: ")]))
    text = comma.join(f'"{name}"{colon}{json.dumps(body[name], ensure_ascii=False)}' for name in members)
    value = ("{" + text + "}").encode()
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(value)))
        value = value[:at] + draw(PIECES | st.just(b"")) + value[at + draw(st.integers(0, 12)) :]
    return value


@settings(max_examples=400)
@given(st.data())
def test_with_and_without_the_scanner_the_codec_finds_the_same(data):
    topic = data.draw(st.sampled_from(HOT_SOURCES))
    values = data.draw(st.lists(mutilated(topic), min_size=1, max_size=4))
    fast, slow = both(topic, [ex.KEY] * len(values), values)
    assert facts(fast) == facts(slow)


NUMBERS = st.sampled_from(
    ["0", "-0", "00", "01", "-1", "1", "1.0", "1.5", "1e2", "1E+2", "-", "1.", ".1", "+1", "0x1", "9" * 18, "9" * 25]
)
TIMES = st.sampled_from(
    [
        *("2024-02-29T23:59:59.999Z", "2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2000-02-29T00:00:00Z"),
        *("0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "1969-12-31T23:59:59.001Z", "2024-13-01T00:00:00Z"),
        *("2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00+01:00"),
        *("2024-01-01t00:00:00z", "2024-01-01T00:00:00.1Z", "2024-01-01T00:00:00.1234Z", "2024-1-01T00:00:000Z", ""),
    ]
)


@given(number=NUMBERS, extra=NUMBERS, time=TIMES)
def test_numbers_and_times_are_read_as_msgspec_and_the_calendar_read_them(number, extra, time):
    value = encode(ex.CLICK).decode().replace('"count":3', f'"count":{number},"extra":{extra}')
    value = value.replace(json.loads(value)["occurred_at"] if _is_json(value) else "\0", time)
    fast, slow = both(CLICKS, [ex.KEY], [value.encode()])
    assert facts(fast) == facts(slow)


def _is_json(text):
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


@pytest.mark.parametrize("topic", HOT_SOURCES, ids=lambda topic: topic.name)
def test_ordinary_records_take_the_fast_lane(topic):
    event = ex.EXAMPLES[topic.type]
    assert is_scanned(topic, encode(event))
    assert is_scanned(
        topic, changed(event, warehouse="w-1", weight=1.25, gift=True, note=None).replace(b"\\u00fc", b"u")
    )


@pytest.mark.parametrize("width", [1, 128, 129])
def test_a_text_is_measured_in_characters_whatever_its_bytes(width):
    fast, slow = both(ORDERS, [ex.KEY], [encode(msgspec.structs.replace(ex.ORDER, event_id="ü" * width))])
    assert facts(fast) == facts(slow)
    assert len(fast.rejects) == (width == 129)


def test_a_record_leaves_nothing_behind_for_the_next_one():
    with_count, without = encode(ex.CLICK), changed(ex.CLICK, count=...)
    decoded = BatchDecoder(SOURCES[CLICKS.name])(
        BinaryArray.of([ex.KEY] * 3), BinaryArray.of([with_count, without, with_count]), ex.NOW
    )
    assert decoded.columns.count.tolist() == [3, 1, 3]


def test_a_kernel_that_would_make_an_array_is_refused():
    """So Numba counts no references in kernels: what `schemas.compiled` wants of a private option."""

    @kernel
    def makes_one(n):
        return np.zeros(n).sum()

    with pytest.raises((NumbaError, RuntimeError)):
        makes_one(3)
