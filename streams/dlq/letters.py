"""Dead letters and the ledger of replays, read from their topics; which of them a person means."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import confluent_kafka as ck
import msgspec

from schemas.dead_letter import MAX_KEPT_BYTES, DeadLettered, Reason, Replayed
from schemas.timestamps import parse_ms
from schemas.topics import DEAD_LETTERS, REPLAYS, TOPICS, Topic
from streams.dlq.coordinates import Coordinates, Headers
from streams.errors import BrokerUnreachable, InputRefused
from streams.log_reader import Offsets, reader_config
from streams.settings import Settings
from streams.topic_presence import require_present
from streams.transport.partition import Partition

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True, eq=False)
class Letter:
    """A dead letter, where it is itself, and how far its replay has come. Each is itself only."""

    content: DeadLettered
    source: Coordinates
    """Of the record that was refused."""
    place: Coordinates
    """Of the letter, in ``dead-letters``."""
    headers: Headers
    replay: Replayed | None

    @property
    def truncated(self) -> bool:
        """Whether it holds less than the whole record: only the first 64 KiB are kept."""
        key, value = self.content.key or b"", self.content.value or b""
        return len(value) < self.content.length or len(key) >= MAX_KEPT_BYTES


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which dead letters are meant. What is empty does not restrict."""

    coordinates: frozenset[Coordinates] = frozenset()
    reasons: frozenset[Reason] = frozenset()
    topics: frozenset[str] = frozenset()
    since_ms: int = 0

    @property
    def says_nothing(self) -> bool:
        """Whether all are meant."""
        return self == Wanted()

    def __call__(self, letter: Letter) -> bool:
        """Whether this one is."""
        return (
            (not self.coordinates or letter.source in self.coordinates)
            and (not self.reasons or letter.content.reason in self.reasons)
            and (not self.topics or letter.source.topic in self.topics)
            and parse_ms(letter.content.rejected_at) >= self.since_ms
        )


def parse_since(text: str, now: datetime | None = None) -> int:
    """Read an RFC 3339 time, or how long ago (``90m``, ``2h``, ``3d``), as milliseconds.

    Raises:
        InputRefused: If it is neither.
    """
    ago = _AGO.fullmatch(text)
    if ago is not None:
        moment = (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return int(moment.timestamp() * 1000)
    try:
        return parse_ms(text)
    except ValueError as error:
        raise InputRefused(f"since when? {text!r} is neither like 2h nor like 2026-11-24T09:30:00Z") from error


def find(settings: Settings, wanted: Wanted) -> list[Letter]:
    """Read the dead letters that are wanted, the oldest refusal first.

    Raises:
        InputRefused: If there is none at one of the wanted coordinates, or something else among them.
        TopicMismatch: If a topic is missing.
        BrokerUnreachable: If they cannot be read.
    """
    partitions = range(require_present(settings, TOPICS))
    replays = read_replays(settings, partitions)
    prefix = f"{settings.topic_prefix}."
    letters = []
    for message in read(settings, DEAD_LETTERS, partitions):
        place = Coordinates(DEAD_LETTERS.name, int(message.partition() or 0), int(message.offset() or 0))
        content = _decode(message.value(), place)
        source = Coordinates(content.topic.removeprefix(prefix), content.partition, content.offset)
        letter = Letter(content, source, place, message.headers() or [], replays.get(source))
        if wanted(letter):
            letters.append(letter)
    missing = wanted.coordinates - {letter.source for letter in letters}
    if missing:
        raise InputRefused(f"no dead letter is about {', '.join(map(str, sorted(missing)))}")
    return sorted(letters, key=lambda letter: (letter.content.rejected_at, letter.source))


def _decode(value: bytes | None, place: Coordinates) -> DeadLettered:
    try:
        return msgspec.json.decode(value or b"", type=DeadLettered)
    except msgspec.DecodeError as error:
        raise InputRefused(f"{place} is no dead letter, somebody else wrote it: {error}") from error


def read_replays(settings: Settings, partitions: Iterable[int]) -> dict[Coordinates, Replayed]:
    """Read the last word on every replay in some partitions of the ledger."""
    prefix = f"{settings.topic_prefix}."
    found = {}
    for message in read(settings, REPLAYS, partitions):
        replay = msgspec.json.decode(message.value() or b"", type=Replayed)
        found[Coordinates(replay.topic.removeprefix(prefix), replay.partition, replay.offset)] = replay
    return found


def read(
    settings: Settings, topic: Topic, partitions: Iterable[int], since: dict[int, int] | None = None
) -> Iterator[ck.Message]:
    """Yield the committed records of some partitions of a topic, up to where they end now.

    Raises:
        BrokerUnreachable: If the broker fails us.
    """
    config = settings.consumer_config()
    tps = [Partition(topic.full_name(settings.topic_prefix), p) for p in partitions]
    try:
        offsets = Offsets(config)
        start, end = offsets.start(tps), offsets.end(tps, committed=True)
        ranges = {tp: (max(start[tp], (since or {}).get(tp.partition, 0)), end[tp]) for tp in tps}
        yield from _messages(config, ranges)
    except ck.KafkaException as error:
        raise BrokerUnreachable(f"{topic.name} cannot be read: {error}") from error


def _messages(config: Mapping[str, Any], ranges: Mapping[Partition, tuple[int, int]]) -> Iterator[ck.Message]:
    """As `streams.log_reader.read_ranges`, but one by one and with their headers."""
    todo = {tp: stop for tp, (start, stop) in ranges.items() if start < stop}
    consumer = ck.Consumer(reader_config(config, committed=True))
    try:
        consumer.assign([ck.TopicPartition(*tp, ranges[tp][0]) for tp in todo])
        while todo:
            for message in consumer.consume(1_000, 0.05):
                error, tp = message.error(), Partition(str(message.topic()), int(message.partition() or 0))
                if error is not None and error.code() != ck.KafkaError._PARTITION_EOF:  # noqa: SLF001  # librdkafka's
                    raise ck.KafkaException(error)
                reached = int(message.offset() or 0) + (error is None)
                if error is None and reached <= todo.get(tp, -1):
                    yield message
                if reached >= todo.get(tp, reached + 1):
                    del todo[tp]
    finally:
        consumer.close()
