"""The clients as far as the delivery protocol uses them, on the fake broker: confluent-kafka's two, and our producer.

`installed` puts them in their places in the modules that the protocol is made of. Errors, messages and topic
partitions are the real ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import OffsetSpec

from streams.output import OutputBatch
from streams.transport.identity import Claim
from tests.simulation.fake_log import Place, Record
from tests.simulation.network import Code, Network, Outcome, failure
from tests.simulation.world import Process

POLL_S = 0.02
MOST_RECORDS = 40
EARLIEST: OffsetSpec = OffsetSpec.earliest()


class Consumer:
    """Fetches in the background; `consume` gives what has arrived."""

    require_stable = True
    """Of committed offsets: what librdkafka asks for under read_committed."""

    def __init__(self, network: Network, process: Process, config: Mapping[str, Any]) -> None:
        self._network, self._process, self._world = network, process, network.world
        self._committed = config["isolation.level"] == "read_committed"
        self._tells_end = bool(config.get("enable.partition.eof"))
        self._positions: dict[Place, int] = {}
        self._told: dict[Place, int] = {}
        """Where the end was told last: it is told once."""
        self._arrived: list[ck.Message] = []
        self._assignment = 0
        self._fetching = False
        self._wake: Any = None

    def assign(self, positions: Iterable[ck.TopicPartition]) -> None:
        self._positions = {(tp.topic, tp.partition): tp.offset for tp in positions}
        self._assignment += 1
        self._told, self._arrived, self._fetching = {}, [], False

    def consume(self, limit: int, timeout: float) -> list[ck.Message]:
        until = self._world.now + timeout
        while True:
            self._fetch()
            if self._arrived or self._world.now >= until:
                found, self._arrived = self._arrived[:limit], self._arrived[limit:]
                return found
            assert self._world.strand is not None
            self._wake = self._world.strand.waker()
            self._world.strand.park(min(POLL_S, until - self._world.now))

    def committed(self, asked: list[ck.TopicPartition], timeout: float) -> list[ck.TopicPartition]:
        places = [(tp.topic, tp.partition) for tp in asked]
        found = self._network.call(
            self._process,
            "fetch_offsets",
            lambda: self._network.broker.stable_offsets(places, stable=self._committed and self.require_stable),
            timeout,
        )
        return [ck.TopicPartition(*place, offset) for place, offset in found.items()]

    def close(self) -> None:
        self._positions = {}

    def _fetch(self) -> None:
        if self._fetching or self._arrived or not self._positions or self._process.dead:
            return
        self._fetching, assignment = True, self._assignment
        asked = dict(self._positions)

        def hear(outcome: Outcome) -> None:
            if assignment != self._assignment:
                return
            self._fetching = False
            for place, (messages, position, end) in (outcome.value or {}).items():
                self._positions[place] = position
                self._arrived += messages
                if self._tells_end and position >= end and self._told.get(place) != position:
                    self._told[place] = position
                    self._arrived.append(_end_of(place, position))
            if self._wake is not None:
                self._wake()

        self._network.send(self._process, "fetch", lambda: self._serve(asked), hear)

    def _serve(self, asked: Mapping[Place, int]) -> dict[Place, tuple[list[ck.Message], int, int]]:
        answer = {}
        for place, start in asked.items():
            log = self._network.broker.logs[place]
            limit = self._world.random.randint(1, MOST_RECORDS)
            found, position = log.read(start, limit, committed=self._committed)
            answer[place] = [_message(place, *item) for item in found], position, log.end(committed=self._committed)
        return answer


class AdminClient:
    """Asks for offsets."""

    def __init__(self, network: Network, process: Process) -> None:
        self._network, self._process = network, process

    def list_topics(self, _topic: str, timeout: float) -> Any:
        self._network.call(self._process, "metadata", lambda: None, timeout)
        return SimpleNamespace(cluster_id="simulated")

    def describe_topics(self, topics: Any, *, request_timeout: float) -> dict[str, Any]:
        """Each topic's id is made of its name: nobody creates one anew."""
        names: list[str] = topics.topic_names
        ids = self._ask("describe_topics", lambda: [f"id of {name}" for name in names], len(names), request_timeout)
        return {name: _Done(found, "topic_id") for name, found in zip(names, ids, strict=True)}

    def list_offsets(
        self, asked: Mapping[ck.TopicPartition, OffsetSpec], *, isolation_level: Any, request_timeout: float
    ) -> dict[ck.TopicPartition, Any]:
        committed = isolation_level == ck.IsolationLevel.READ_COMMITTED
        logs = self._network.broker.logs

        def serve() -> list[int]:
            return [
                0 if spec is EARLIEST else logs[tp.topic, tp.partition].end(committed=committed)
                for tp, spec in asked.items()
            ]

        offsets = self._ask("list_offsets", serve, len(asked), request_timeout)
        return {tp: _Done(offset, "offset") for tp, offset in zip(asked, offsets, strict=True)}

    def _ask(self, name: str, serve: Any, count: int, timeout: float) -> list[Any]:
        """One answer for each that was asked about, or the error for each."""
        try:
            answers: list[Any] = self._network.call(self._process, name, serve, timeout)
        except ck.KafkaException as error:
            return [error] * count
        return answers


class Producer:
    """A transactional producer. Records go out in the background, batch by batch, partition by partition."""

    def __init__(self, network: Network, process: Process, config: Mapping[str, Any]) -> None:
        self._network, self._process, self._world = network, process, network.world
        self._name = config["transactional.id"]
        self._timeout_s = config.get("transaction.timeout.ms", 60_000) / 1000
        self._epoch = -1
        self._queues: dict[Place, list[Record]] = {}
        self._under_way: set[Place] = set()
        self._numbers: dict[Place, int] = {}
        self._failed: int | None = None
        self._begun = False
        self._ending: list[Outcome | None] = []
        self._wake: Any = None

    def init_transactions(self, timeout: float) -> None:
        serve = self._network.broker.start_producer
        _, self._epoch = self._call("init_producer", lambda: serve(self._name, self._timeout_s), timeout)

    def begin_transaction(self) -> None:
        if self._begun:
            raise failure(Code._STATE, "the last transaction has not ended")
        self._begun, self._ending = True, []

    def produce(self, batch: OutputBatch) -> None:
        place = (batch.topic, batch.partition)
        self._queues.setdefault(place, []).extend(map(Record, batch.keys, batch.values))
        self._world.later(self._world.random.uniform(0, 0.004), self._process, lambda: self._send(place))

    def send_offsets_to_transaction(self, offsets: Mapping[Place, int], claim: Claim, timeout: float) -> None:
        broker, member = self._network.broker, (claim.generation, claim.member)
        deadline = self._world.now + timeout
        self._require_sound()
        self._call("add_offsets", lambda: broker.add_offsets(self._name, self._epoch), timeout)
        self._call(
            "commit_offsets",
            lambda: broker.commit_offsets(self._name, self._epoch, member, offsets),
            deadline - self._world.now,
        )

    def commit_transaction(self, timeout: float) -> None:
        """Flush, then end. A call that timed out is resumed by the next one: the request is not sent again."""
        deadline = self._world.now + timeout
        while any(self._queues.values()) or self._under_way:
            self._wait(deadline, "flush")
        self._require_sound()
        broker = self._network.broker
        while not self._ending or self._ending[-1] is None or self._ending[-1].code is not None:
            if not self._ending or self._ending[-1] is not None:
                self._end(lambda: broker.end(self._name, self._epoch, commit=True))
            if self._ending[-1] is None:
                self._wait(deadline, "end")
            answer = self._ending[-1]
            if answer is not None and answer.code not in {None, Code._TRANSPORT}:
                raise failure(answer.code or 0, "end")
        self._begun = False

    def close(self) -> None:
        self._queues.clear()
        self._failed = Code._PURGE_QUEUE

    def _call(self, name: str, serve: Any, timeout: float) -> Any:
        return self._network.call(self._process, name, serve, timeout)

    def _require_sound(self) -> None:
        if self._failed is not None:
            raise failure(self._failed, "produce")

    def _wait(self, deadline: float, what: str) -> None:
        self._require_sound()
        if self._world.now >= deadline:
            raise failure(Code._TIMED_OUT, what)
        assert self._world.strand is not None
        self._wake = self._world.strand.waker()
        self._world.strand.park(deadline - self._world.now)

    def _end(self, serve: Any) -> None:
        self._ending.append(None)

        def hear(outcome: Outcome) -> None:
            self._ending[-1] = outcome
            self._wake()

        self._wake = lambda: None
        self._network.send(self._process, "end", serve, hear)

    def _send(self, place: Place) -> None:
        """Send what is queued for a partition as the next batch, unless one is on its way."""
        records = self._queues.get(place)
        if not records or place in self._under_way or self._failed is not None:
            return
        self._queues[place] = []
        self._under_way.add(place)
        self._numbers[place] = number = self._numbers.get(place, -1) + 1
        self._deliver(place, number, records)

    def _deliver(self, place: Place, number: int, records: list[Record]) -> None:
        broker, epoch = self._network.broker, self._epoch

        def hear(outcome: Outcome) -> None:
            if outcome.code in {Code.CONCURRENT_TRANSACTIONS, Code._TRANSPORT} and self._failed is None:
                self._world.later(0.01, self._process, lambda: self._deliver(place, number, records))
                return
            self._under_way.discard(place)
            self._failed = self._failed or outcome.code
            self._send(place)
            if self._wake is not None:
                self._wake()

        self._network.send(
            self._process, "produce", lambda: broker.append(self._name, epoch, place, number, records), hear
        )


class _Done:
    """A future with its result: an error, or something with the one attribute that was asked for."""

    def __init__(self, result: Any, attribute: str) -> None:
        self._result, self._attribute = result, attribute

    def result(self, _timeout: float) -> Any:
        if isinstance(self._result, ck.KafkaException):
            raise self._result
        return SimpleNamespace(**{self._attribute: self._result})


def _message(place: Place, offset: int, record: Record) -> ck.Message:
    return ck.Message(topic=place[0], partition=place[1], offset=offset, key=record.key, value=record.value)


def _end_of(place: Place, position: int) -> ck.Message:
    error = ck.KafkaError(Code._PARTITION_EOF)
    return ck.Message(topic=place[0], partition=place[1], offset=position, error=error)
