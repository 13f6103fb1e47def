"""Which dead letters are meant, what would become of each, and what of their bytes reaches a terminal."""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from schemas.dead_letter import MAX_KEPT_BYTES, Reason
from schemas.examples import DEAD_LETTER, NOW, REPLAY
from schemas.topics import TOPICS
from streams.dlq.coordinates import Coordinates, parse_coordinates, replayed_from
from streams.dlq.letters import Letter, Wanted, parse_since
from streams.dlq.replay import CURABLE, plan
from streams.dlq.show import print_letter
from streams.errors import InputRefused

PLACE = Coordinates("dead-letters", 0, 5)


def letter(topic="orders", replay=None, **fields):
    content = replace(DEAD_LETTER, topic=f"repricer.{topic}", **({"reason": Reason.SHARD_FULL} | fields))
    return Letter(content, Coordinates(topic, content.partition, content.offset), PLACE, [], replay)


def outcome(found, *, force=False):
    (answer,) = plan([found], force=force)
    return answer.outcome


@pytest.mark.parametrize("reason", Reason)
def test_what_lies_outside_of_the_record_is_replayed_and_the_rest_only_when_forced(reason):
    assert outcome(letter(reason=reason)) == ("planned" if reason in CURABLE else "refused")
    assert outcome(letter(reason=reason), force=True) == "planned"


@pytest.mark.parametrize("topic", [topic.name for topic in TOPICS])
def test_only_facts_and_policies_are_replayed(topic):
    wanted = {"orders", "clicks", "competitor-prices", "inventory", "price-applied", "offer-policies"}
    assert (outcome(letter(topic), force=True) == "planned") == (topic in wanted)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (letter(length=2), "refused"),
        (letter(key=b"k" * MAX_KEPT_BYTES), "refused"),
        (letter(replay=REPLAY), "already"),
        (letter(replay=replace(REPLAY, state="begun")), "planned"),
        (letter(value=None, length=0), "planned"),
    ],
    ids=["its value is cut", "its key may be cut", "done", "begun: looked for first", "a null value"],
)
def test_what_is_cut_or_done_is_not_replayed_even_when_forced(found, expected):
    assert outcome(found, force=True) == expected


@pytest.mark.parametrize(
    ("wanted", "is_meant"),
    [
        (Wanted(), True),
        (Wanted(coordinates=frozenset({Coordinates("orders", 3, 12)})), True),
        (Wanted(coordinates=frozenset({Coordinates("orders", 3, 13)})), False),
        (Wanted(reasons=frozenset({Reason.SHARD_FULL}), topics=frozenset({"orders"})), True),
        (Wanted(reasons=frozenset({Reason.SHARD_FULL}), topics=frozenset({"clicks"})), False),
        (Wanted(since_ms=NOW), True),
        (Wanted(since_ms=NOW + 1), False),
    ],
)
def test_a_letter_is_meant_if_it_meets_all_that_was_said(wanted, is_meant):
    assert wanted(letter()) == is_meant


@pytest.mark.parametrize("text", ["orders/3", "orders/3/x", "orders/3/1/2", "/3/1", "repricer.orders/3/1", ""])
def test_what_are_no_coordinates_is_refused(text):
    with pytest.raises(InputRefused, match="orders/3/1042"):
        parse_coordinates(text)


def test_coordinates_are_read_as_they_are_written():
    place = Coordinates("competitor-prices", 11, 1042)
    assert parse_coordinates(str(place)) == place
    assert replayed_from([("other", b"x"), ("repricer-replay-of", str(place).encode())]) == str(place)
    assert replayed_from({"other": b"x"}) is None


def test_since_is_a_time_or_how_long_ago():
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert parse_since("90m", now) == parse_since("2026-11-24T10:30:00Z")
    assert parse_since("2d", now) == parse_since("2026-11-22T12:00:00Z")
    with pytest.raises(InputRefused):
        parse_since("yesterday")


def test_no_control_character_of_a_record_reaches_the_terminal(capsys):
    print_letter(letter(key=b"\x1b[2J", value=b"\x1b]0;owned\x07", length=11, detail="\x1b[31mred"))
    assert "\x1b" not in capsys.readouterr().out
