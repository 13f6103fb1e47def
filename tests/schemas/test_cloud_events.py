import msgspec
import pytest

from schemas.cloud_events import EVENT_TYPES, ORDER_RECORDED
from schemas.examples import AT, NOW
from schemas.topics import TOPICS


def test_headers_follow_the_kafka_binding_of_cloud_events():
    headers = dict(ORDER_RECORDED.headers(event_id="e-1", source="/shop", time_ms=NOW))
    assert headers == {
        "ce_specversion": b"1.0",
        "ce_id": b"e-1",
        "ce_source": b"/shop",
        "ce_type": b"repricer.order-recorded.v1",
        "ce_time": AT.encode(),
        "content-type": b"application/json",
    }


def test_every_json_topic_has_an_event_type_of_its_own_name():
    types = {kind for topic in TOPICS for kind in (topic.type, *topic.others) if kind is not None}
    assert types == set(EVENT_TYPES)
    assert len({event_type.name for event_type in EVENT_TYPES.values()}) == len(types)


@pytest.mark.parametrize("event_type", EVENT_TYPES.values(), ids=lambda event_type: event_type.name)
def test_names_are_kebab_case_with_a_version(event_type):
    assert issubclass(event_type.struct, msgspec.Struct)
    _, words, version = event_type.name.split(".")
    assert words.replace("-", "").isalpha()
    assert words.islower()
    assert version == "v1"
