"""When a program that lives from transaction to transaction gives up, and when it does not."""

from threading import Event

import confluent_kafka as ck
import pytest

from streams import lives
from streams.errors import BrokerUnreachable
from streams.lives import MAX_FAILURES, live_until


class Scripted:
    """A life whose steps do what is written down; the last one stops the program."""

    def __init__(self, steps, stopping):
        self._steps, self._stopping = steps, stopping

    def step(self):
        done = self._steps.pop(0)
        if not self._steps:
            self._stopping.set()
        if done is None:
            raise ck.KafkaException(ck.KafkaError(ck.KafkaError._FAIL))
        return done

    def close(self):
        pass


def live(monkeypatch, steps):
    monkeypatch.setattr(lives, "AGAIN_S", 0.0)
    stopping = Event()
    return live_until(stopping, lambda: Scripted(steps, stopping))


def test_a_life_that_only_joins_the_group_does_not_make_up_for_a_failure(monkeypatch):
    with pytest.raises(BrokerUnreachable, match=f"{MAX_FAILURES} transactions failed"):
        live(monkeypatch, [0, None] * (MAX_FAILURES + 1))


def test_a_commit_does(monkeypatch):
    assert live(monkeypatch, [3, None] * (MAX_FAILURES + 1)) == 3 * (MAX_FAILURES + 1)
