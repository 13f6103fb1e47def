import pytest

from schemas import examples as ex
from schemas.codec import encode
from schemas.models import decode_model_record, live_key, manifest_key, part_key, pinned_key, status_key

RECORDS = {
    part_key("default", 3, 0): ex.PART,
    manifest_key("default", 3): ex.MODEL,
    status_key("default", 3): ex.STATUS,
    live_key("default"): ex.LIVE,
    pinned_key("default"): ex.PINNED,
}


@pytest.mark.parametrize(("key", "said"), RECORDS.items(), ids=lambda part: part if isinstance(part, bytes) else "")
def test_a_record_is_what_its_key_says(key, said):
    assert decode_model_record(key, encode(said)) == said
    assert decode_model_record(key, None) is None


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (None, ex.MODEL),
        (b"default", ex.MODEL),
        (b"default/3/status/x", ex.STATUS),
        (b"a b/live", ex.LIVE),
        (b"default/4", ex.MODEL),
        (b"other/3", ex.MODEL),
        (b"default/3/1", ex.PART),
        (b"other/live", ex.LIVE),
        (b"other/pinned", ex.PINNED),
        (b"default/pinned", ex.LIVE),
        (b"default/3/status", ex.MODEL),
    ],
    ids=str,
)
def test_a_record_under_another_key_is_refused(key, said):
    with pytest.raises(ValueError):
        decode_model_record(key, encode(said))
