"""Publish the records of dead letters once more, each of them once.

The proof that a dead letter was replayed is in the log: the ledger (topic ``replays``, compacted, so it forgets
nothing) and a header on the replayed record. For the letters of one source partition:

1. open a transaction producer whose id stands for that partition: it ends what a former run left open, and fences
   that run's ledger entries off, so that two operators cannot decide at the same time;
2. read the ledger to its end: what is ``done`` is done;
3. what is ``begun`` broke off: look for its header behind the offset that the ledger names. If the record is there,
   it is done;
4. write ``begun`` for the rest;
5. publish the records, with acknowledgement, under the header with their coordinates, where their key belongs;
6. write ``done`` with the places where they are now.

What is guaranteed: a replay that ran to its end is never repeated, however long ago; one that broke off is finished,
or refused until a person says that its run is over (``unfinished``). The source record itself is published without
a transaction, because markers would be holes in a log that must not have any: a run that is frozen between 4 and 5,
while somebody else says that it is over, can publish a second time. Then, as with a resend by the record's own
producer, the duplicate window decides: within its last N records the event counts once.

The bytes are those of the refused record. Its headers are not kept in dead letters, so they are not repeated.
"""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal

import confluent_kafka as ck

from schemas.cloud_events import REPLAYED
from schemas.codec import encode
from schemas.dead_letter import Reason, Replayed
from schemas.timestamps import format_ms
from schemas.topics import COMMANDS, HOT_SOURCES, REPLAYS, TICKS, TOPICS
from streams.clock import wall_ms
from streams.dlq.coordinates import REPLAY_HEADER, Coordinates, replayed_from
from streams.dlq.letters import Letter, read, read_replays
from streams.errors import BrokerUnreachable, ReplayRefused
from streams.log_reader import Offsets
from streams.partitioner import partition_of
from streams.settings import Settings
from streams.topic_presence import require_present
from streams.transport.partition import Partition

TIMEOUT_S = 30.0

CURABLE = frozenset({Reason.FUTURE_TIMESTAMP, Reason.CURRENCY_MISMATCH, Reason.SHARD_FULL, Reason.WRONG_PARTITION})
"""Reasons that lie outside of the record: time passes, a policy is corrected, room is made, and a replay goes where
the key belongs. All others would come again with the same bytes, but for a newer worker or another setting."""

REPLAYABLE = {topic.name: topic for topic in HOT_SOURCES if topic not in {TICKS, COMMANDS}}
"""What has passed is no source of these: an old tick, command or run mode would be taken for a new one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of one letter, or what would."""

    letter: Letter
    outcome: Literal["planned", "replayed", "already", "refused"]
    detail: str


def plan(letters: Iterable[Letter], *, force: bool) -> list[Answer]:
    """Say what would become of letters.

    Args:
        letters: Dead letters.
        force: Whether to try those, too, whose record itself is at fault.
    """
    return [_plan(letter, force=force) for letter in letters]


def _plan(letter: Letter, *, force: bool) -> Answer:
    reason, replay = letter.content.reason, letter.replay
    if replay is not None and replay.state == "done":
        return Answer(letter, "already", _place(letter, replay))
    if letter.source.topic not in REPLAYABLE:
        return Answer(letter, "refused", "its moment has passed: send a new one instead")
    if letter.truncated:
        return Answer(letter, "refused", "only its first 64 KiB are kept: let its producer send it again")
    if reason not in CURABLE and not force:
        return Answer(letter, "refused", f"{reason} lies in its bytes and would come again; --force tries")
    return Answer(letter, "planned", "" if replay is None else _unfinished(replay))


def _place(letter: Letter, replay: Replayed) -> str:
    return f"at {letter.source.topic}/{replay.to_partition}/{replay.to_offset}"


def _unfinished(replay: Replayed) -> str:
    return f"begun by {replay.by} at {replay.at} and not finished"


class Replayer:
    """Replays letters that `plan` has let pass.

    Raises:
        TopicMismatch: If a topic is missing.
    """

    def __init__(self, settings: Settings, *, unfinished: bool) -> None:
        """Build the producer of source records.

        Args:
            settings: Broker and topics.
            unfinished: Whether runs that broke off are known to be over.
        """
        self._settings = settings
        self._partitions = require_present(settings, TOPICS)  # a wrong setting would put keys elsewhere
        self._unfinished = unfinished
        self._by = _who()
        self._source = f"/{settings.group}/dlq"
        config = {**settings.producer_config(), "message.timeout.ms": int(TIMEOUT_S * 1000), "linger.ms": 5}
        self._producer = ck.Producer(config)

    def replay(self, letters: Iterable[Letter]) -> list[Answer]:
        """Publish the records of letters, one source partition after the other.

        Raises:
            ReplayRefused: If another replay of the same partition has begun meanwhile.
            BrokerUnreachable: If the broker fails us; what was begun is in the ledger.
        """
        ordered = sorted(letters, key=lambda letter: letter.source)
        answers: list[Answer] = []
        for (topic, partition), group in groupby(ordered, key=lambda letter: letter.source[:2]):
            try:
                answers += self._replay_partition(topic, partition, list(group))
            except ck.KafkaException as error:
                raise _refusal(error, f"{topic}/{partition}") from error
        return answers

    def _replay_partition(self, topic: str, partition: int, letters: list[Letter]) -> list[Answer]:
        ledger = self._open_ledger(topic, partition)  # 1
        known = read_replays(self._settings, [partition])  # 2
        fresh = [letter for letter in letters if letter.source not in known]
        begun = [letter for letter in letters if letter.source in known and known[letter.source].state == "begun"]
        there = self._landed(topic, [known[letter.source] for letter in begun])  # 3
        if self._unfinished:
            fresh += [letter for letter in begun if str(letter.source) not in there]
        ends = self._ends(topic, {self._home(letter) for letter in fresh})
        self._write(ledger, "begun", {x: Coordinates(topic, (home := self._home(x)), ends[home]) for x in fresh})  # 4
        places = self._publish(fresh)  # 5
        places |= {letter: there[str(letter.source)] for letter in begun if str(letter.source) in there}
        self._write(ledger, "done", places)  # 6
        return [self._answer(letter, places.get(letter), known.get(letter.source)) for letter in letters]

    @staticmethod
    def _answer(letter: Letter, place: Coordinates | None, before: Replayed | None) -> Answer:
        if place is not None:
            return Answer(letter, "replayed", f"at {place}")
        if before is not None and before.state == "done":
            return Answer(letter, "already", _place(letter, before))
        detail = "" if before is None else _unfinished(before)
        return Answer(letter, "refused", f"{detail}, and not there: if that run is over, --unfinished goes on")

    # 1
    def _open_ledger(self, topic: str, partition: int) -> ck.Producer:
        config = {
            **self._settings.producer_config(),
            "transactional.id": f"{self._settings.group}-dlq-{topic}-{partition}",
            "transaction.timeout.ms": int(TIMEOUT_S * 1000),
            "retry.backoff.ms": 2,
        }
        producer = ck.Producer(config)
        producer.init_transactions(TIMEOUT_S)
        return producer

    # 3
    def _landed(self, topic: str, begun: list[Replayed]) -> dict[str, Coordinates]:
        """Find replays of runs that broke off: by the header, behind where the partition ended before."""
        if not begun:
            return {}
        since = {r.to_partition: min(o.to_offset for o in begun if o.to_partition == r.to_partition) for r in begun}
        found = {}
        for message in read(self._settings, REPLAYABLE[topic], since, since):
            mark = replayed_from(message.headers() or [])
            if mark is not None:
                found[mark] = Coordinates(topic, int(message.partition() or 0), int(message.offset() or 0))
        return found

    # 4, 6
    def _write(
        self, ledger: ck.Producer, state: Literal["begun", "done"], places: Mapping[Letter, Coordinates]
    ) -> None:
        """Add to the ledger in one transaction."""
        if not places:
            return
        ledger.begin_transaction()
        topic, now = REPLAYS.full_name(self._settings.topic_prefix), wall_ms()
        for letter, place in places.items():
            content, where = (
                letter.content,
                f"{letter.content.topic}/{letter.content.partition}/{letter.content.offset}",
            )
            entry = Replayed(
                topic=content.topic,
                partition=content.partition,
                offset=content.offset,
                state=state,
                to_partition=place.partition,
                to_offset=place.offset,
                by=self._by,
                at=format_ms(now),
            )
            headers = REPLAYED.headers(event_id=f"{where}:{state}", source=self._source, time_ms=now)
            ledger.produce(topic, encode(entry), where.encode(), content.partition, headers=headers)
        ledger.commit_transaction(TIMEOUT_S)

    # 5
    def _publish(self, letters: list[Letter]) -> dict[Letter, Coordinates]:
        """Publish records and wait until the broker has them.

        Raises:
            BrokerUnreachable: If it did not take all; those that it took a next run will find.
        """
        places: dict[Letter, Coordinates] = {}
        for letter in letters:

            def on_delivery(error: ck.KafkaError | None, record: Any, letter: Letter = letter) -> None:
                if error is None:
                    places[letter] = Coordinates(letter.source.topic, record.partition(), record.offset())

            content, header = letter.content, (REPLAY_HEADER, str(letter.source).encode())
            self._producer.produce(
                content.topic, content.value, content.key, self._home(letter), on_delivery=on_delivery, headers=[header]
            )
            self._producer.poll(0)
        if self._producer.flush(TIMEOUT_S + 5) or len(places) < len(letters):
            raise BrokerUnreachable(f"{len(letters) - len(places)} of {len(letters)} records were not taken; try again")
        return places

    def _home(self, letter: Letter) -> int:
        """Where the record's key belongs; without a key, where it was."""
        key = letter.content.key
        return partition_of(key, self._partitions) if key else letter.source.partition

    def _ends(self, topic: str, partitions: set[int]) -> dict[int, int]:
        tps = [Partition(REPLAYABLE[topic].full_name(self._settings.topic_prefix), p) for p in partitions]
        ends = Offsets(self._settings.consumer_config()).end(tps, committed=False)
        return {tp.partition: end for tp, end in ends.items()}


def _refusal(error: ck.KafkaException, where: str) -> ReplayRefused | BrokerUnreachable:
    code = error.args[0].code()
    if code in {ck.KafkaError._FENCED, ck.KafkaError.PRODUCER_FENCED, ck.KafkaError.INVALID_PRODUCER_EPOCH}:  # noqa: SLF001  # librdkafka's public codes
        return ReplayRefused(f"somebody else replays {where} now; look what is left with `repricer dlq list`")
    return BrokerUnreachable(f"the replay of {where} broke off: {error}. Run it again; it goes on where it was")


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user often has no name
        return "unknown"
