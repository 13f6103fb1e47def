from datetime import UTC, datetime, timedelta, timezone

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.binary import BinaryArray
from schemas.codec import decoder_for
from schemas.timestamps import format_many, format_ms, parse_ms
from schemas.topics import TICKS

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIRST, LAST = -62_135_596_800_000, 253_402_300_799_999  # 0001-01-01 to the end of 9999
MILLISECONDS = st.integers(FIRST, LAST)


def parse_many(texts):
    """What the codec reads: times, 0 where invalid, and whether each is valid."""
    keys = BinaryArray.of([None] * len(texts))
    values = BinaryArray.of(msgspec.json.encode({"at": text}) for text in texts)
    columns = decoder_for(TICKS)(keys, values, LAST).columns
    ms, valid = np.zeros(len(texts), np.int64), np.zeros(len(texts), np.bool_)
    ms[columns.index], valid[columns.index] = columns.time, True
    return ms, valid


def to_datetime(ms):
    return EPOCH + timedelta(milliseconds=ms)


@given(st.lists(MILLISECONDS))
def test_times_survive_their_own_text(times):
    texts = [format_ms(ms) for ms in times]
    assert texts == format_many(np.array(times, np.int64))
    ms, valid = parse_many(texts)
    assert valid.all()
    assert ms.tolist() == times


@given(st.lists(st.tuples(MILLISECONDS, st.sampled_from(["seconds", "milliseconds", "microseconds"]))))
def test_a_batch_of_mixed_forms_agrees_with_datetime(moments):
    texts = [to_datetime(ms).isoformat(timespec=spec).replace("+00:00", "Z") for ms, spec in moments]
    expected = [ms // 1000 * 1000 if spec == "seconds" else ms for ms, spec in moments]
    ms, valid = parse_many(texts)
    assert valid.all()
    assert ms.tolist() == expected


@given(st.integers(FIRST + 86_400_000, LAST - 86_400_000), st.integers(-1439, 1439))
def test_offsets_are_converted_to_utc(ms, minutes):
    text = to_datetime(ms).astimezone(timezone(timedelta(minutes=minutes))).isoformat(timespec="milliseconds")
    assert parse_ms(text) == ms


def is_valid_by_datetime(text):
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


@given(st.lists(st.from_regex(r"\A[0-9]{4}-[0-3][0-9]-[0-4][0-9]T[0-3][0-9]:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z\Z")))
def test_ranges_and_leap_years_agree_with_datetime(texts):
    _, valid = parse_many(texts)
    assert valid.tolist() == [is_valid_by_datetime(text) for text in texts]


@given(st.lists(st.one_of(st.text(min_size=24, max_size=24), st.text())))
def test_any_text_is_either_read_as_parse_ms_reads_it_or_invalid(texts):
    ms, valid = parse_many(texts)
    for text, value, good in zip(texts, ms.tolist(), valid.tolist(), strict=True):
        if good:
            assert parse_ms(text) == value
        else:
            assert value == 0
            with pytest.raises(ValueError, match=r"RFC 3339|range|month|hour|minute|second"):
                parse_ms(text)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01T00:00:00.5Z", 500),
        ("1970-01-01T00:00:00.1239999Z", 123),  # cut, not rounded
        ("1970-01-01t00:00:00z", 0),  # RFC 3339 allows small letters
        ("1970-01-01T02:00:00.000+02:00", 0),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000),
    ],
)
def test_every_form_of_rfc_3339_is_read(text, ms):
    assert parse_ms(text) == ms
    assert [array.tolist() for array in parse_many([text])] == [[ms], [True]]


@pytest.mark.parametrize(
    "text",
    [
        "2023-02-29T00:00:00Z",  # no such day
        "0000-01-01T00:00:00.000Z",  # no such year
        "2026-11-24T24:00:00.000Z",
        "2026-11-24T23:59:60Z",  # leap seconds are not read
        "2026-11-24 01:02:03.123Z",  # a blank for the T
        "2026-11-24T01:02:03.123",  # no offset
        "2026-11-24T01:02:03.12³Z",  # a digit to Unicode only
        "2026-11-24T01:02:03+25:00",
        "",
    ],
)
def test_what_is_no_time_is_invalid(text):
    assert [array.tolist() for array in parse_many([text])] == [[0], [False]]


def test_digits_do_not_move_from_one_text_to_the_next():
    texts = ["2026-11-24T01:02:03.123", "Z2026-11-24T01:02:03.123Z"]  # together as long as two good ones
    assert not parse_many(texts)[1].any()
