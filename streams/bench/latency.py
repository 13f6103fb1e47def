"""`repricer bench latency`: from an order to the price change that it causes, as an outside consumer reads it.

Measured is the time from giving an order to a producer (linger 0) until its price change is in the hands of a
consumer under ``read_committed``. The load is that of the throughput benchmark, at a steady rate, decisions included;
the measured orders are of offers apart, whose model has a mind to move the price when it is asked. Beside it, in turns
and at the same rates: an echo of every record, and an echo in a transaction for each batch, read by the same consumer.

An order without an answer has no latency, and the slowest would be the first to be missing: where more than a few have
none, there is no result.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import confluent_kafka as ck
import numpy as np
import orjson
from confluent_kafka.admin import NewTopic

from schemas.topics import OFFER_POLICIES, PRICE_APPLIED, PRICE_CHANGES
from streams.bench import load, paced, turn
from streams.bench.echo import TOPIC as ECHO
from streams.bench.machine import machine, versions
from streams.bench.progress import Progress
from streams.bench.rounds import spread
from streams.bench.turn import CONTESTANTS, Answers
from streams.bench.under_test import WorkerUnderTest, bench_settings
from streams.errors import NotReady
from streams.settings import Settings
from streams.topic_admin import TopicAdmin

OFFERS = 10_000
PER_S = 100
"""Measured orders a second."""
LEAD_S = 2.0
"""The first orders of a turn are not measured: connections are made meanwhile."""
ANSWERED = 0.995
"""Least share of the measured orders of a turn that have an answer: p99 is a figure of all of them, or of none."""
CREATED_S = 5.0


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
    orders: int = 0
    """Measured, answered or not."""

    def add(self, task: paced.Task, answers: Answers, who: str) -> None:
        """Take a turn over.

        Raises:
            NotReady: So many orders have no answer that those that have say nothing about all.
        """
        measured = [load.measured_key(number).decode() for number in task.measured[int(LEAD_S * PER_S) :]]
        latencies = [answers.ms[key] for key in measured if key in answers.ms]
        if len(latencies) < ANSWERED * len(measured):
            raise NotReady(
                f"at {task.rate:g} events/s the {who} has answered {len(latencies)} of {len(measured)} orders"
                f" (published: {answers.rate:,.0f} a second)"
            )
        self.rounds.append(latencies)
        self.orders += len(measured)

    def p99s(self) -> list[float]:
        """Of each round."""
        return [float(np.percentile(latencies, 99)) for latencies in self.rounds]

    def figures(self, prefix: str) -> dict[str, float]:
        """Percentiles over all rounds, and the share of orders that they are of."""
        values = list(chain.from_iterable(self.rounds))
        names = ((50, "p50"), (99, "p99"), (99.9, "p999"))
        percentiles = {f"{prefix}{name}_ms": round(float(np.percentile(values, q)), 1) for q, name in names}
        return percentiles | {f"{prefix}answered": round(len(values) / self.orders, 4)}


def measure(settings: Settings, plan: Plan) -> dict[str, Any]:
    """Run the benchmark; returns the object that ``--json`` prints.

    Raises:
        NotReady: If a process stops, or too many orders are not answered.
    """
    own = bench_settings(settings, "latency", decide_during_catch_up=False)
    create_echo_topic(own)
    stream = Stream(event=2 * load.CHUNK)
    prime(own, plan.orders * len(plan.rates) * plan.rounds * len(CONTESTANTS))
    found = {(rate, prefix): Found() for rate in plan.rates for prefix in CONTESTANTS}
    for _ in range(plan.rounds):
        for prefix, contestant in CONTESTANTS.items():
            _turns(
                own,
                contestant,
                [stream.take(rate, plan) for rate in plan.rates],
                [found[rate, prefix] for rate in plan.rates],
            )
    return {
        "rates": {str(rate): _row({prefix: found[rate, prefix] for prefix in CONTESTANTS}) for rate in plan.rates},
        "rounds": plan.rounds,
        "seconds": plan.seconds,
        "machine": machine(),
        "versions": versions(),
    }


def create_echo_topic(settings: Settings) -> None:
    """Create the topic of the echoes."""
    topic = NewTopic(f"{settings.topic_prefix}.{ECHO}", settings.partitions, settings.replication_factor)
    admin = TopicAdmin(settings)
    for future in admin.client.create_topics([topic], operation_timeout=CREATED_S).values():
        future.result(CREATED_S)


def prime(settings: Settings, measured: int) -> None:
    """Let the worker meet all offers, and answer the first change of each measured one.

    The answers come before the second part of the first events: an offer is decided again only some time after its
    first decision, and event time passes with these.
    """
    policies = chain(load.policies(OFFERS), load.measured_policies(range(measured)))
    with (
        closing(Progress(settings, [*load.SHARES, OFFER_POLICIES, PRICE_APPLIED])) as progress,
        closing(turn.reader(settings, PRICE_CHANGES.name)) as changes,
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
    while messages := changes.consume(1_000, turn.ANSWER_S):
        for message in messages:
            key, change = message.key() or b"", orjson.loads(message.value() or b"")
            if key.startswith(load.MEASURED):
                kept = {
                    name: change[name] for name in ("decision_id", "sku", "channel", "version", "price", "currency")
                }
                answer = kept | {"status": "applied", "applied_at": change["valid_from"]}
                yield PRICE_APPLIED, key, orjson.dumps(answer)


def _turns(
    settings: Settings, contestant: turn.Contestant, tasks: Sequence[paced.Task], found: Sequence[Found]
) -> None:
    """One turn at each rate. The records of all are made before the first: nothing else runs during a turn."""
    with ExitStack() as stack:
        publishers = [stack.enter_context(turn.publisher(settings, task)) for task in tasks]
        alive = stack.enter_context(contestant.start(settings))
        for publisher in publishers:
            turn.expect_ready(publisher)
        for task, publisher, one in zip(tasks, publishers, found, strict=True):
            one.add(task, turn.answers(settings, task, publisher, contestant.topic, alive), contestant.name)


def _row(found: Mapping[str, Found]) -> dict[str, Any]:
    """Figures of one rate."""
    ours, transactional = found[""].p99s(), found["txn_echo_"].p99s()
    ratios = [our / its for our, its in zip(ours, transactional, strict=True)]
    figures = {name: value for prefix, one in found.items() for name, value in one.figures(prefix).items()}
    return figures | {
        **spread("p99_ratio_txn_echo", ratios, digits=2),
        "orders": found[""].orders,
    }
