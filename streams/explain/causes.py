"""What a decision was made on account of: the records about its offer that were applied since the one before."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from schemas.topics import HOT_SOURCES, TICKS, Topic
from streams.log_reader import Offsets, read_ranges
from streams.replay.decision_log import Found
from streams.settings import Settings
from streams.state.old_shard import DEADLINE_S, deadline
from streams.transport.partition import Partition

SHOWN = 5
"""Records of each source that are named; all are counted."""
FARTHEST = 200_000
"""Records of a source that are looked through."""
SOURCES = tuple(topic for topic in HOT_SOURCES if topic is not TICKS)


class Record(NamedTuple):
    """A source record about the offer."""

    place: str
    """``orders/3/1042``."""
    value: str
    """As it was published; empty for a tombstone."""


class Cause(NamedTuple):
    """What one source said about the offer between two decisions."""

    topic: str
    first: int
    """Offsets ``[first, next)`` of the partition were looked through."""
    next: int
    found: int
    """Records about the offer among them."""
    last: tuple[Record, ...]
    """The newest, at most `SHOWN`."""
    is_whole: bool
    """Whether all records since the decision before are still there and were looked through."""


def find_causes(settings: Settings, found: Found, previous: Found | None) -> list[Cause]:
    """Look through the sources at the offsets that the two decisions name."""
    offsets = Offsets(settings.consumer_config())
    return [_cause(settings, offsets, topic, found, previous) for topic in SOURCES]


def _cause(settings: Settings, offsets: Offsets, topic: Topic, found: Found, previous: Found | None) -> Cause:
    tp = Partition(topic.full_name(settings.topic_prefix), found.partition)
    stop = found.record.applied.get(topic.name, 0)
    since = 0 if previous is None else previous.record.applied.get(topic.name, 0)
    first = max(since, offsets.start([tp])[tp], stop - FARTHEST)
    count, last = 0, list[Record]()
    ranges = {tp: (first, stop)}
    for _, records in read_ranges(settings.consumer_config(), ranges, cancelled=deadline(DEADLINE_S)):
        for offset, key, value in records:
            if key == found.key:
                count += 1
                last = [*last[1 - SHOWN :], Record(f"{topic.name}/{tp.partition}/{offset}", _compact(value))]
    return Cause(topic.name, first, stop, count, tuple(last), first == since)


def _compact(value: bytes | None) -> str:
    """JSON on one line."""
    try:
        return "" if value is None else orjson.dumps(orjson.loads(value)).decode()
    except orjson.JSONDecodeError:
        return repr(value)
