"""What a seed stands for: who lives, what is published, and what goes wrong, when, or at which step of whom."""

from __future__ import annotations

from random import Random
from typing import Literal, NamedTuple

Kind = Literal["kill", "freeze", "deaf", "kick", "stop", "join", "delay", "broker_crash", "broker_pause"]
WORKERS = ("a", "b")
LATE = "c"
"""Joins in some scenarios."""
REQUESTS = ("init_producer", "produce", "add_offsets", "commit_offsets", "end")
READS = ("fetch_offsets", "list_offsets", "fetch", "heartbeat", "join", "sync")
POINTS = (
    *("begun", "produced", "offsets_added", "committed"),
    *(f"{name} {when}" for name in (*REQUESTS, *REQUESTS, *READS) for when in ("sent", "arrived", "answered")),
)
HARM_S = 20.0
"""Faults begin within this time."""


class Fault(NamedTuple):
    """Harm, at a time or the n-th time that its victim passes a point."""

    kind: Kind
    victim: str
    at: float
    point: str | None
    nth: int
    for_s: float
    request: str


class Publication(NamedTuple):
    """An event that a producer publishes."""

    at: float
    topic: str
    partition: int
    key: bytes
    number: int
    amount: int


class Scenario(NamedTuple):
    """Everything that is not left to the run."""

    cut_rows: int
    events: list[Publication]
    controls: list[tuple[float, str]]
    faults: list[Fault]


WEIGHTS: dict[Kind, int] = {
    "kill": 6,
    "freeze": 6,
    "deaf": 3,
    "kick": 2,
    "stop": 2,
    "join": 2,
    "delay": 4,
    "broker_crash": 2,
    "broker_pause": 2,
}


def draw(seed: int, partitions: int) -> Scenario:
    random = Random(f"scenario {seed}")
    return Scenario(
        cut_rows=random.choice([1, 2, 5, 5000]),
        events=_events(random, partitions),
        controls=[(random.uniform(1, HARM_S), random.choice(["HALTED", "ACTIVE"])) for _ in range(random.randint(0, 3))],
        faults=[_fault(random) for _ in range(random.choice([0, 1, 1, 2, 2, 3, 4, 6]))],
    )


def _events(random: Random, partitions: int) -> list[Publication]:
    """Bursts and trickles; one in eight is told again soon after."""
    events: list[Publication] = []
    at = 0.0
    for number in range(random.randint(10, 60)):
        at += random.choice([0, 0, 0.01, 0.1, 1.0])
        partition = random.randrange(partitions)
        key = b"k%d" % random.randrange(3)
        topic = random.choice(["orders", "orders", "clicks", "inventory", "ticks"])
        told = Publication(at % HARM_S, topic, partition, key, number, random.randint(1, 9))
        events.append(told)
        if random.random() < 1 / 8:
            events.append(told._replace(at=told.at + random.choice([0, 0.05, 3.0])))
    return events


def _fault(random: Random) -> Fault:
    kind = random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
    by_time = random.random() < 0.3
    long, short = random.uniform(5, 18), random.uniform(0.05, 5)
    return Fault(
        kind=kind,
        victim=LATE if kind == "join" else random.choice(WORKERS),
        at=random.uniform(0.5, HARM_S),
        point=None if by_time or kind == "join" else random.choice(POINTS),
        nth=random.choice([1, 1, 2, 3, 5, 8, 13]),
        for_s=random.choice([long, short]),
        request=random.choice(REQUESTS),
    )
