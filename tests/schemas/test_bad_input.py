import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import examples as ex
from schemas.codec import encode
from schemas.dead_letter import Reason
from schemas.events import MAX_AMOUNT, MAX_VERSION
from schemas.timestamps import format_ms
from schemas.topics import (
    CLICKS,
    COMPETITOR_PRICES,
    HOT_SOURCES,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_APPLIED,
    TICKS,
)
from tests.schemas.decoding import ORDER_EVENTS, changed, decode, row


def not_utf8(event):
    return encode(event)[:-1] + b',"note":"\xff"}'


ORDER, POLICY = encode(ex.ORDER), encode(ex.POLICY)
LATER = format_ms(ex.NOW + 3_600_001)
BAD = [
    # reason, topic, key, value
    ("too_large", ORDERS, ex.KEY, changed(ex.ORDER, note="x" * 10_000_000)),
    ("too_large", ORDERS, ex.KEY, b"\xff" * 300_000),  # by its size, before anybody looks inside
    ("not_utf8", ORDERS, ex.KEY, not_utf8(ex.ORDER)),  # in a field that nobody reads
    ("not_utf8", ORDERS, ex.KEY, b"\xff\xfe"),
    ("malformed_json", ORDERS, ex.KEY, b""),
    ("malformed_json", ORDERS, ex.KEY, ORDER[:-1]),
    ("malformed_json", ORDERS, ex.KEY, ORDER[: len(ORDER) // 2]),
    ("malformed_json", ORDERS, ex.KEY, ORDER + b"," + ORDER),
    ("malformed_json", ORDERS, ex.KEY, ORDER + ORDER),
    ("malformed_json", ORDERS, ex.KEY, b"\xef\xbb\xbf" + ORDER),  # a byte order mark
    ("malformed_json", ORDERS, ex.KEY, changed(ex.ORDER, line_total=float("nan"))),
    ("malformed_json", ORDERS, ex.KEY, changed(ex.ORDER, line_total=float("inf"))),
    ("malformed_json", ORDERS, ex.KEY, changed(ex.ORDER, note=float("-inf"))),
    ("malformed_json", ORDERS, ex.KEY, changed(ex.ORDER, event_id=5)[:-1]),  # also a wrong type: syntax comes first
    ("malformed_json", ORDERS, ex.KEY, b'{"event_id":' * 20_000),  # deeper than any stack
    ("malformed_json", ORDERS, ex.KEY, b'{"note":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ("malformed_json", ORDERS, ex.KEY, ORDER.replace(b'"e-1"', b'"\\ud800"')),  # half of a surrogate pair
    ("schema_violation", ORDERS, ex.KEY, None),
    ("schema_violation", ORDERS, ex.KEY, b"null"),
    ("schema_violation", ORDERS, ex.KEY, b"[" + ORDER + b"]"),
    ("schema_violation", ORDERS, ex.KEY, ORDER.replace(b"2598", b"1e308")),
    ("schema_violation", ORDERS, ex.KEY, ORDER.replace(b"2598", b"9" * 400)),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, line_total=25.98)),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, line_total="2598")),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, line_total=True)),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, line_total=-1)),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, line_total=MAX_AMOUNT + 1)),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, quantity=0)),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, quantity=...)),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, type="stolen")),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, event_id="")),
    ("schema_violation", ORDERS, ex.KEY, changed(ex.ORDER, sku="SKÜ-1")),
    ("schema_violation", ORDERS, b"web:SKU\n1", changed(ex.ORDER, sku="SKU\n1")),
    ("schema_violation", ORDERS, b"web:SKU\0", changed(ex.ORDER, sku="SKU\0")),
    ("schema_violation", ORDERS, b"web:SKU\x7f", changed(ex.ORDER, sku="SKU\x7f")),
    ("schema_violation", ORDERS, b"web:a:SKU-1", changed(ex.ORDER, channel="web:a")),
    ("schema_violation", CLICKS, ex.KEY, changed(ex.CLICK, price_shown=0)),
    ("schema_violation", COMPETITOR_PRICES, ex.KEY, changed(ex.RIVAL, price=-1249)),
    ("schema_violation", COMPETITOR_PRICES, ex.KEY, changed(ex.RIVAL, price=0)),
    ("schema_violation", INVENTORY, ex.KEY, changed(ex.STOCK, on_hand=-1)),
    ("schema_violation", PRICE_APPLIED, ex.KEY, changed(ex.APPLIED, version=MAX_VERSION + 1)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, price_ending="9x")),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, price_ending="99\n")),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, max_stock_age_s=2**62)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, version=0)),  # else it would pass for a tombstone
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, floor=...)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, promotion_price=None)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, promotion_from=None)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, promotion_to=...)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, promotion_to=ex.POLICY.promotion_from)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, promotion_price=0)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, competitors="Müller")),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, competitors=[""])),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, competitors=["a"] * 9)),
    ("schema_violation", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, competitor_rule="beat")),
    ("missing_key", ORDERS, None, ORDER),
    ("missing_key", ORDERS, b"", ORDER),
    ("missing_key", OFFER_POLICIES, None, None),
    ("key_mismatch", ORDERS, b"web:SKU-2", ORDER),
    ("key_mismatch", ORDERS, b"\xff", ORDER),
    ("key_mismatch", OFFER_POLICIES, b"SKU-1", None),
    ("key_mismatch", OFFER_POLICIES, b":SKU-1", None),
    ("key_mismatch", OFFER_POLICIES, b"web:SK\xc3\x9c", None),
    ("invalid_timestamp", ORDERS, ex.KEY, changed(ex.ORDER, occurred_at="2026-02-30T00:00:00Z")),
    ("invalid_timestamp", CLICKS, ex.KEY, changed(ex.CLICK, occurred_at="yesterday")),
    ("invalid_timestamp", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, promotion_to="tomorrow")),
    ("invalid_timestamp", TICKS, None, changed(ex.TICK, at="2026-11-24 01:02:03.123Z")),
    ("future_timestamp", ORDERS, ex.KEY, changed(ex.ORDER, occurred_at=LATER)),
    ("future_timestamp", TICKS, None, changed(ex.TICK, at=LATER)),
    ("unknown_currency", ORDERS, ex.KEY, changed(ex.ORDER, currency="EUX")),
    ("unknown_currency", COMPETITOR_PRICES, ex.KEY, changed(ex.RIVAL, currency="eur")),
    ("unknown_currency", PRICE_APPLIED, ex.KEY, changed(ex.APPLIED, currency="XAU")),
    ("unknown_currency", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, currency="ZZZ")),
    ("contradictory_bounds", OFFER_POLICIES, ex.KEY, changed(ex.POLICY, floor=2000)),
]


@pytest.mark.parametrize(("reason", "topic", "key", "value"), BAD, ids=lambda value: getattr(value, "name", None))
def test_a_bad_record_is_refused_with_its_reason_and_its_neighbours_go_on(reason, topic, key, value):
    good = (ex.KEY, encode(ex.EXAMPLES[topic.type]))
    decoded = decode(topic, good, (key, value), good)
    assert [(reject.index, reject.reason) for reject in decoded.rejects] == [(1, reason)]
    assert decoded.rejects[0].detail
    assert len(decoded.rejects[0].detail) <= 200
    assert decoded.columns.index.tolist() == [0, 2]
    assert len(decoded.event_ids) in {0, 2}


def test_every_reason_of_the_codec_is_in_the_table():
    by_the_state = {Reason.CURRENCY_MISMATCH, Reason.WRONG_PARTITION, Reason.SHARD_FULL}
    assert {reason for reason, *_ in BAD} == set(Reason) - by_the_state


@pytest.mark.parametrize(
    ("topic", "key", "values", "reason"),
    [
        (ORDERS, None, {"occurred_at": "yesterday"}, "missing_key"),
        (ORDERS, ex.KEY, {"occurred_at": LATER, "currency": "ZZZ"}, "future_timestamp"),
        (OFFER_POLICIES, ex.KEY, {"currency": "ZZZ", "floor": 2000}, "unknown_currency"),
    ],
)
def test_of_several_faults_the_first_one_counts(topic, key, values, reason):
    (reject,) = decode(topic, (key, changed(ex.EXAMPLES[topic.type], **values))).rejects
    assert reject.reason == reason


def test_an_amount_of_zero_is_no_fault_for_a_free_order_line():
    assert decode(ORDERS, (ex.KEY, changed(ex.ORDER, line_total=0))).rejects == []


@pytest.mark.parametrize("note", [[1, {"a": [2]}], "ключ", 1.5, None, "1e308"])
def test_unknown_fields_are_accepted(note):
    assert decode(ORDERS, (ex.KEY, changed(ex.ORDER, note=note))).rejects == []


@pytest.mark.parametrize(
    "values",
    [
        (b'{"note":"a},\n{b"}', ORDER + b"," + ORDER),
        (ORDER[:-1] + b',"note":[{}', b"{}]}", ORDER + b"," + ORDER),
        (ORDER[:20], ORDER[20:], ORDER + b"\n" + ORDER),
        (ORDER + b"\xc3", b"\xa9" + ORDER),
    ],
)
def test_no_record_completes_splits_or_hides_another(values):
    decoded = decode(ORDERS, *((ex.KEY, value) for value in values))
    alone = [bool(decode(ORDERS, (ex.KEY, value)).rejects) for value in values]
    assert [i in {reject.index for reject in decoded.rejects} for i in range(len(values))] == alone
    assert any(alone)


@pytest.mark.parametrize("keys", [(b"web:A\nweb:B", b"web:C"), (b"web:A", b"web:B\nweb:C")])
def test_keys_are_compared_one_by_one_however_their_joined_bytes_look(keys):
    values = [changed(ex.ORDER, sku="A"), changed(ex.ORDER, sku="B\nweb:C")]
    assert {reject.index for reject in decode(ORDERS, *zip(keys, values, strict=True)).rejects} >= {1}


ANY_VALUE = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda cut: ORDER[:cut], st.integers(0, len(ORDER))),
    st.builds(
        lambda i, byte: ORDER[:i] + bytes([byte]) + ORDER[i + 1 :], st.integers(0, len(ORDER) - 1), st.integers(0, 255)
    ),
    st.builds(encode, ORDER_EVENTS),
    st.just(POLICY),
    st.none(),
)
ANY_KEY = st.one_of(st.just(ex.KEY), st.none(), st.binary(max_size=20))


@given(st.sampled_from(HOT_SOURCES), st.lists(st.tuples(ANY_KEY, ANY_VALUE), max_size=8))
def test_whatever_the_bytes_every_record_is_a_row_or_a_reject_once_and_as_it_would_be_alone(topic, records):
    decoded = decode(topic, *records)
    indices = [*decoded.columns.index.tolist(), *(reject.index for reject in decoded.rejects)]
    assert sorted(indices) == list(range(len(records)))
    assert decoded.rejects == sorted(decoded.rejects, key=lambda reject: reject.index)
    for reject in decoded.rejects:
        (alone,) = decode(topic, records[reject.index]).rejects
        assert (alone.reason, alone.detail) == (reject.reason, reject.detail)
    for i, index in enumerate(decoded.columns.index.tolist()):
        alone = decode(topic, records[index]).columns
        assert row(alone) == row(decoded.columns, i)
        assert list(alone.keys) == [decoded.columns.keys[i]]
        assert np.array_equal(alone.time, decoded.columns.time[i : i + 1])
