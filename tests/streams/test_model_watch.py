"""What a worker hears of models."""

from itertools import repeat

from msgspec.structs import replace

from schemas import examples as ex
from schemas.codec import encode
from schemas.models import live_key, manifest_key
from streams.models.follow import AT_ONCE, newest


class Message:
    def __init__(self, key, value, error=None):
        self.key, self.value, self.error = lambda: key, lambda: value, lambda: error
        self.partition, self.offset = lambda: 0, lambda: 0


class Polls:
    """A consumer that gives what is written."""

    def __init__(self, *polls):
        self._polls = iter(polls)

    def consume(self, _count, _seconds):
        return next(self._polls)


def live(version):
    return Message(live_key("default"), encode(replace(ex.LIVE, version=version)))


OTHERS = [
    Message(manifest_key("default", 3), encode(ex.MODEL)),
    Message(live_key("other"), encode(ex.LIVE)),
    Message(None, None, error="all brokers are down"),
    Message(live_key("default"), b"no JSON"),
    Message(live_key("default"), None),
]


def test_the_last_word_about_the_name_counts_and_all_else_is_left_out():
    assert newest(Polls([*OTHERS, live(3), *OTHERS, live(4), *OTHERS]), "default").version == 4
    assert newest(Polls(OTHERS), "default") is None
    assert newest(Polls([live(3)] * AT_ONCE, [live(4)]), "default").version == 4


def test_records_that_never_cease_do_not_keep_a_model_waiting():
    assert newest(Polls(*repeat([live(3)], 3)), "default").version == 3
