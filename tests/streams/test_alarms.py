"""One alarm for one fault, however many offers have it; nothing that is to be said is forgotten."""

import msgspec
import numpy as np
import pytest

from pricing_core.shards import Moment
from schemas import columns as c
from schemas.alarms import AlarmRaised
from streams.alarms.book import KINDS, AlarmBook, AlarmWriter, note_holds
from streams.changelog import FORMAT, ShardRecord, decode_shard_record, encode_shard_record
from streams.metrics import ALARMS, Metrics
from streams.settings import Settings
from tests.pricing_core.engines import engine, opinionated
from tests.pricing_core.events import DAY, T0, batch

MINUTE = 60_000
SETTINGS = Settings(instance="worker-7")


def said(book, wall, metrics=None):
    """Alarms that a book gives out at a time."""
    outputs = AlarmWriter(SETTINGS, metrics or Metrics()).outputs(3, book, wall)
    assert all((out.topic, out.partition) == ("repricer.alarms", 3) for out in outputs)
    return [msgspec.json.decode(value, type=AlarmRaised) for out in outputs for value in out.values]


def test_a_hundred_thousand_offers_with_one_fault_are_one_alarm_and_then_one_with_a_count():
    book, metrics = AlarmBook(), Metrics()
    book.note("stale_input", 1, {"offer": "web:1"})
    first = said(book, T0, metrics)
    for _ in range(100):
        book.note("stale_input", 1000, {"offer": "web:2"})
        assert said(book, T0 + 14 * MINUTE, metrics) == []
    later = said(book, T0 + 15 * MINUTE, metrics)
    assert [(a.alarm_id, a.count, a.values) for a in first + later] == [
        ("3-a1", 1, {"offer": "web:1"}),
        ("3-a2", 100_000, {"offer": "web:2"}),
    ]
    assert (later[0].scope, later[0].shard, later[0].worker) == ("shard/3", 3, "worker-7")
    assert metrics.value(ALARMS, "warning", "stale_input") == 2


def test_each_code_has_a_time_of_its_own_and_a_fault_that_comes_back_is_said_at_once():
    book = AlarmBook()
    book.note("stale_input", 1, {})
    book.note("non_finite", 1, {})
    assert [a.code for a in said(book, T0)] == ["stale_input", "non_finite"]
    assert said(book, T0 + DAY) == []
    assert book.standing == {}
    book.note("stale_input", 1, {})
    assert [a.alarm_id for a in said(book, T0 + DAY)] == ["3-a3"]


def test_a_clock_that_was_set_back_silences_nothing():
    book = AlarmBook()
    for wall in (T0, T0 - DAY):
        book.note("stale_input", 1, {})
        assert len(said(book, wall)) == 1


def test_what_waits_to_be_said_survives_in_the_shard_record():
    book = AlarmBook()
    for wall in (T0, T0 + MINUTE):
        book.note("stale_input", 5, {"offer": "web:1"})
        said(book, wall)
    record = ShardRecord(FORMAT, "a", 1, {}, {}, 0, 0, 0, alarms=book)
    again = decode_shard_record(encode_shard_record(record), 0).alarms
    assert again == book
    assert [(a.alarm_id, a.count) for a in said(again, T0 + 15 * MINUTE)] == [("3-a2", 5)]


@pytest.mark.parametrize("record_format", [1, 2])
def test_a_shard_record_of_a_former_format_has_nothing_to_say(record_format):
    raw = msgspec.json.encode(
        {"format": record_format, "transactional_id": "a", "generation": 1, "applied": {}, "seen": {}, "now": 5,
         "sequence": 7, "written_at": 9}
    )  # fmt: skip
    assert decode_shard_record(raw, 0).alarms == AlarmBook()


def test_holds_are_counted_by_shard_and_reason_with_an_offer_as_an_example():
    made, books = opinionated(engine(0, 1), 0, q=np.nan), {0: AlarmBook(), 1: AlarmBook()}
    contradictory = [{"key": b"web:0%d" % i, "floor": 3000} for i in range(3)]
    made.apply(0, batch(c.PolicyColumns, *contradictory, {"key": b"web:fine", "mode": c.PAUSED}))
    made.apply(1, batch(c.PolicyColumns, {"key": b"web:10"}))
    decided = made.decide_together(dict.fromkeys((0, 1), Moment(T0)))
    note_holds(decided.decisions, decided.rows, books)
    alarms = [said(books[p], T0) for p in (0, 1)]
    assert [[(a.code, a.count) for a in each] for each in alarms] == [
        [("contradictory_bounds", 3)],
        [("non_finite", 1)],
    ]
    assert alarms[0][0].values["offer"] in {"web:00", "web:01", "web:02"}
    assert alarms[1][0].values == {"offer": "web:10"}


def test_every_alarm_says_what_to_do():
    assert all(kind.cause and kind.what_to_do.endswith(".") for kind in KINDS.values())
