"""`repricer bench latency`: from an order to the price change that it causes, as an outside consumer reads it.

Measured is the time from giving an order to a producer (linger 0) until its price change is in the hands of a
consumer under ``read_committed``. The load is that of the throughput benchmark, at a steady rate, decisions included;
the measured orders are of offers apart, whose model has a mind to move the price when it is asked. Beside it, in turns
and at the same rate: an echo of every record, and an echo in a transaction for each batch, read by the same consumer.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

import confluent_kafka as ck
import msgspec
import numpy as np
import orjson
from confluent_kafka.admin import NewTopic

from schemas.topics import OFFER_POLICIES, PRICE_APPLIED, PRICE_CHANGES, Topic
from streams.bench import load, paced
from streams.bench.echo import TOPIC as ECHO
from streams.bench.machine import machine, versions
from streams.bench.progress import Progress, ends_of
from streams.bench.under_test import WorkerUnderTest, bench_settings, environment
from streams.errors import NotReady
from streams.settings import Settings
from streams.topic_admin import TopicAdmin

OFFERS = 10_000
PER_S = 100
"""Measured orders a second."""
LEAD_S = 2.0
"""The first orders of a turn are not measured: connections are made meanwhile."""
ANSWER_S = 5.0
"""An order without a change after this had none."""

Turn = Callable[[Settings, paced.Task], dict[str, float]]
"""Latency of the measured orders that were answered; ms."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run."""

    rates: Sequence[int]
    """Events a second."""
    seconds: float
    """Of one turn."""
    rounds: int

    @property
    def orders(self) -> int:
        """Measured orders of one turn."""
        return int(self.seconds * PER_S)


@dataclass(slots=True)
class Stream:
    """Where the stream of events and the store of measured offers stand: nothing is used twice."""

    event: int
    offer: int = 0

    def take(self, rate: int, plan: Plan) -> paced.Task:
        """Return the task of the next turn."""
        count = int(rate * plan.seconds)
        task = paced.Task(self.event, count, OFFERS, rate, list(range(self.offer, self.offer + plan.orders)))
        self.event += -(-count // load.CHUNK) * load.CHUNK
        self.offer += plan.orders
        return task


@dataclass(slots=True)
class Found:
    """Latencies of one contestant at one rate, a list for each round; ms."""

    rounds: list[list[float]] = field(default_factory=list)
    unanswered: int = 0

    def p99s(self) -> list[float]:
        """Of each round."""
        return [float(np.percentile(latencies, 99)) for latencies in self.rounds]

    def figures(self, prefix: str) -> dict[str, float]:
        """Percentiles over all rounds."""
        values = list(chain.from_iterable(self.rounds))
        names = ((50, "p50"), (99, "p99"), (99.9, "p999"))
        return {f"{prefix}{name}_ms": round(float(np.percentile(values, q)), 1) for q, name in names}


def measure(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints.

    Raises:
        NotReady: If a process stops, or nothing is answered.
    """
    own = bench_settings(settings, "latency", decide_during_catch_up=False)
    _create_echo_topic(own)
    stream = Stream(event=2 * load.CHUNK)
    _prime(own, plan.orders * len(plan.rates) * plan.rounds * len(CONTESTANTS))
    rates = {str(rate): _at_rate(own, rate, plan, stream) for rate in plan.rates}
    return {
        "rates": rates,
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "machine": machine(),
        "versions": versions(),
    }


def _create_echo_topic(settings: Settings) -> None:
    topic = NewTopic(f"{settings.topic_prefix}.{ECHO}", settings.partitions, settings.replication_factor)
    admin = TopicAdmin(settings)
    for future in admin.client.create_topics([topic], operation_timeout=ANSWER_S).values():
        future.result(ANSWER_S)


def _prime(settings: Settings, measured: int) -> None:
    """Let the worker meet all offers, and answer the first change of each measured one.

    The answers come before the second part of the first events: an offer is decided again only some time after its
    first decision, and event time passes with these.
    """
    policies = chain(load.policies(OFFERS), load.measured_policies(range(measured)))
    with (
        closing(Progress(settings, [*load.SHARES, OFFER_POLICIES, PRICE_APPLIED])) as progress,
        closing(_reader(settings, PRICE_CHANGES.name)) as changes,
        WorkerUnderTest(settings) as worker,
    ):
        worker.wait_until_ready()
        load.publish(settings, chain(policies, load.events(0, load.CHUNK, OFFERS)))
        progress.watch(worker.require_running)
        load.publish(settings, _answers(changes))
        load.publish(settings, load.events(load.CHUNK, load.CHUNK, OFFERS))
        progress.watch(worker.require_running)


def _answers(changes: ck.Consumer) -> Iterator[load.Record]:
    """What a catalog would say to the changes of the measured offers."""
    while messages := changes.consume(1_000, ANSWER_S):
        for message in messages:
            key, change = message.key() or b"", orjson.loads(message.value() or b"")
            if key.startswith(load.MEASURED):
                kept = {
                    name: change[name] for name in ("decision_id", "sku", "channel", "version", "price", "currency")
                }
                answer = kept | {"status": "applied", "applied_at": change["valid_from"]}
                yield PRICE_APPLIED, key, orjson.dumps(answer)


def _at_rate(settings: Settings, rate: int, plan: Plan, stream: Stream) -> dict[str, Any]:
    found = {name: Found() for name in CONTESTANTS}
    for _ in range(plan.rounds):
        for name, turn in CONTESTANTS.items():
            task = stream.take(rate, plan)
            answered = turn(settings, task)
            lead = int(LEAD_S * PER_S)
            measured = [load.measured_key(number).decode() for number in task.measured[lead:]]
            if not answered.keys() & set(measured):
                raise NotReady(
                    f"at {rate} events/s {name or 'worker'} has answered none of {len(measured)} orders in time"
                )
            found[name].rounds.append([answered[key] for key in measured if key in answered])
            found[name].unanswered += sum(key not in answered for key in measured)
    ours, transactional = found[""].p99s(), found["txn_echo_"].p99s()
    ratios = [our / its for our, its in zip(ours, transactional, strict=True)]
    figures = {name: value for prefix, one in found.items() for name, value in one.figures(prefix).items()}
    return figures | {
        "p99_ratio_txn_echo": round(statistics.median(ratios), 2),
        "p99_ratio_txn_echo_min": round(min(ratios), 2),
        "p99_ratio_txn_echo_max": round(max(ratios), 2),
        "orders": sum(map(len, found[""].rounds)),
        "without_change": found[""].unanswered,
    }


def _worker_turn(settings: Settings, task: paced.Task) -> dict[str, float]:
    with WorkerUnderTest(settings) as worker:
        worker.wait_until_ready()
        with closing(Progress(settings, load.SHARES)) as progress:
            progress.watch(worker.require_running)  # what the echoes' turns have published meanwhile
        with closing(_reader(settings, PRICE_CHANGES.name)) as reader:
            return _publish_and_read(settings, task, reader)


def _echo_turn(settings: Settings, task: paced.Task, how: str) -> dict[str, float]:
    command = [sys.executable, "-m", "streams.bench.echo", how]
    with (
        closing(_reader(settings, ECHO)) as reader,
        _process(command, settings) as echo,
    ):
        _expect_ready(echo)
        return _publish_and_read(settings, task, reader)


CONTESTANTS: Mapping[str, Turn] = {
    "": _worker_turn,
    "echo_": partial(_echo_turn, how="plain"),
    "txn_echo_": partial(_echo_turn, how="transactional"),
}
"""By the prefix of their figures."""


def _publish_and_read(settings: Settings, task: paced.Task, reader: ck.Consumer) -> dict[str, float]:
    """Let the task be published, and read what comes of its measured orders."""
    read: dict[str, int] = {}
    with _process([sys.executable, "-m", "streams.bench.paced"], settings) as publisher:
        assert publisher.stdin is not None
        publisher.stdin.write(msgspec.json.encode(task) + b"\n")
        publisher.stdin.flush()
        _expect_ready(publisher)
        publisher.stdin.write(b"\n")
        publisher.stdin.flush()
        deadline = time.monotonic() + task.count / task.rate + ANSWER_S
        while len(read) < len(task.measured) and time.monotonic() < deadline:
            first = reader.poll(ANSWER_S / 10)
            now = time.monotonic_ns()
            for message in [] if first is None else [first, *reader.consume(5_000, 0)]:
                key = message.key() or b""
                if key.startswith(load.MEASURED):
                    read.setdefault(key.decode(), now)
        line = publisher.stdout.readline() if publisher.stdout is not None else b""
    published = msgspec.json.decode(line, type=paced.Published)
    return {key: (read[key] - at) / 1e6 for key, at in published.sent.items() if key in read}


def _reader(settings: Settings, topic: str) -> ck.Consumer:
    """The outside consumer, at the end of a topic: all as shipped, ``read_committed`` among it."""
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.group}-outside"})
    name = Topic(topic, "offer", None, "delete", None, "")
    consumer.assign([ck.TopicPartition(*tp, offset) for tp, offset in ends_of(settings, [name]).items()])
    return consumer


@contextmanager
def _process(command: Sequence[str], settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A module of ours as a process that does not outlive the block."""
    process = subprocess.Popen(  # noqa: S603  # our own module
        command, env=environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate()


def _expect_ready(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is None or process.stdout.readline() != b"ready\n":
        raise NotReady(f"{process.args!r} ended with exit code {process.poll()}; its log is above")
