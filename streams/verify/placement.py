"""I6: every record is in exactly one place, applied, recognised as a duplicate, or refused; and replays count once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import polars as pl

from schemas.topics import OFFER_POLICIES, TICKS
from streams.verify.facts import Facts, counting, strays
from streams.verify.outputs import Letter
from streams.verify.report import Check
from streams.verify.sources import Original, Place, Source

KEPT_BYTES = 64 * 1024


def checks(facts: Facts) -> Iterator[Check]:
    """The sources, the dead letters, and the replays of these."""
    yield _records(facts)
    yield _dead_letters(facts)
    yield _replays(facts)


def _records(facts: Facts) -> Check:
    """A record without a dead letter was applied, so it can be read and belongs here; and none is missing."""
    found: list[str] = []
    notes: list[str] = []
    for source in facts.sources.values():
        found += [f"{_where(place)} cannot be read and has no dead letter" for place in sorted(source.unreadable)]
        if source.topic.name != TICKS.name:
            away = strays(source.rows.filter(pl.col("key").is_not_null()), facts.partitions)
            homeless = pl.concat([away, source.rows.filter(pl.col("key").is_null())])
            found += [
                f"{source.topic.name}/{p}/{offset} has a key of another partition, or none, and no dead letter"
                for p, offset in homeless.select("partition", "offset").sort("partition", "offset").iter_rows()
            ]
        found += _cut_off(source)
        if source.holes > 0 and _must_be_dense(facts, source):
            found.append(f"{source.topic.name}: {source.holes} offsets below the cut hold no record")
        notes += source.expired
    return Check.of("records", "I6", sum(source.records for source in facts.sources.values()), found, notes)


def _must_be_dense(facts: Facts, source: Source) -> bool:
    name = source.topic.name
    return source.topic.cleanup == "delete" and name not in facts.settings.transactional_sources


def _cut_off(source: Source) -> list[str]:
    """A cut that has applied more than there is belongs to another topic of this name."""
    return [
        f"{source.topic.name}/{p}: applied up to {source.stops[p]}, the topic ends at {end}"
        for p, end in sorted(source.ends.items())
        if end < source.stops[p]
    ]


def _dead_letters(facts: Facts) -> Check:
    """One for each refused record, with its bytes."""
    found = list(facts.unreadable)
    notes: list[str] = []
    times = Counter(letter.place for letter in facts.letters)
    found += [f"{_where(place)} has {n} dead letters" for place, n in sorted(times.items()) if n > 1]
    known = {**facts.sources, facts.control.topic.name: facts.control}
    for letter in facts.letters:
        source = known.get(letter.topic)
        if source is None or letter.partition not in source.stops:
            found.append(f"{letter.at} names {_where(letter.place)}, which is no source")
        elif letter.offset >= source.stops[letter.partition]:
            found += _ahead(facts, letter)
        elif letter.offset < source.starts[letter.partition]:
            notes.append(f"{_where(letter.place)} has expired: its dead letter cannot be compared with it")
        else:
            found += _differences(
                letter, source.originals.get(letter.place), compacted=source.topic.cleanup == "compact"
            )
    return Check.of("dead_letters", "I6", len(facts.letters), found, notes)


def _ahead(facts: Facts, letter: Letter) -> Iterator[str]:
    """Of a later cut, unless there is none that has come so far."""
    later = facts.later.applied(letter.partition)
    if letter.offset >= later.get(letter.topic, 0):
        yield f"{letter.at} names {_where(letter.place)}, which no cut has reached"


def _differences(letter: Letter, original: Original | None, *, compacted: bool) -> Iterator[str]:
    if original is None:
        if not compacted:
            yield f"{letter.at} names {_where(letter.place)}, where there is no record"
        return
    value = None if original.value is None else original.value[:KEPT_BYTES]
    key = None if original.key is None else original.key[:KEPT_BYTES]
    if (letter.sha256, letter.length) != (original.sha256, len(original.value or b"")):
        yield f"{letter.at}: hash or length is not that of {_where(letter.place)}"
    elif (letter.key, letter.value) != (key, value):
        yield f"{letter.at}: the bytes are not those of {_where(letter.place)}"


def _replays(facts: Facts) -> Check:
    """What was replayed is there where the ledger says, and no dead letter's record counts twice."""
    found: list[str] = []
    marks = [mark for source in facts.sources.values() for mark in source.replays]
    landed = dict(marks)
    for replay in facts.replays:
        source = facts.sources.get(replay.topic)
        place = (replay.topic, replay.to_partition, replay.to_offset)
        below = (
            source is not None
            and source.starts[replay.to_partition] <= replay.to_offset < source.stops[replay.to_partition]
        )
        if (
            replay.state == "done"
            and below
            and landed.get(place) != _where((replay.topic, replay.partition, replay.offset))
        ):
            found.append(f"{_where(place)} is not the replay of {replay.topic}/{replay.partition}/{replay.offset}")
    applied = _counting_places(facts, {place[0] for place, _ in marks})
    times = Counter(original for place, original in marks if place in applied)
    found += [f"{original} was replayed and applied {n} times" for original, n in sorted(times.items()) if n > 1]
    begun = [x for x in facts.replays if x.state == "begun"]
    notes = [f"the replay of {x.topic}/{x.partition}/{x.offset} has begun and is not finished" for x in begun]
    return Check.of("replays", "I6", len(facts.replays), found, notes)


def _counting_places(facts: Facts, topics: set[str]) -> set[Place]:
    """Where records are that were applied, of those topics where applying twice would count twice."""
    places: set[Place] = set()
    for name in topics - {OFFER_POLICIES.name, "price-applied", TICKS.name}:
        rows = counting(facts.sources[name], facts.settings, facts.partitions)
        places |= {(name, p, offset) for p, offset in rows.select("partition", "offset").iter_rows()}
    return places


def _where(place: Place) -> str:
    return f"{place[0]}/{place[1]}/{place[2]}"
