"""Short ways to decode, and events of any content."""

import json
from dataclasses import fields

import msgspec
from hypothesis import strategies as st

from schemas import examples as ex
from schemas.binary import BinaryArray
from schemas.codec import decoder_for, encode
from schemas.events import MAX_AMOUNT
from schemas.timestamps import format_ms


def decode(topic, *records):
    """Decode (key, value) pairs at the examples' time."""
    keys, values = BinaryArray.of(key for key, _ in records), BinaryArray.of(value for _, value in records)
    return decoder_for(topic)(keys, values, ex.NOW)


def row(columns, i=0):
    """One row as a dictionary of Python values, without what all kinds share."""
    names = [f.name for f in fields(columns) if f.name not in {"keys", "index", "time"}]
    return {name: getattr(columns, name)[i].tolist() for name in names}


def changed(event, **values):
    """JSON of an event with other values; ``...`` leaves the field out."""
    body = {**json.loads(encode(event)), **values}
    return json.dumps({name: value for name, value in body.items() if value is not ...}).encode()


KINDS = st.sampled_from(["placed", "cancelled", "returned"])
PRINTABLE = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=64)
ORDER_EVENTS = st.builds(
    msgspec.structs.replace,
    st.just(ex.ORDER),
    event_id=st.text(st.characters(codec="utf-8"), min_size=1, max_size=128),
    type=KINDS,
    sku=PRINTABLE,
    channel=PRINTABLE.filter(lambda text: ":" not in text),
    quantity=st.integers(1, 10**9),
    line_total=st.integers(0, MAX_AMOUNT),
    currency=st.sampled_from(["EUR", "JPY", "KWD"]),
    occurred_at=st.integers(0, ex.NOW).map(format_ms),
)
