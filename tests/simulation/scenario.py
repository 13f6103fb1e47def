"""What a seed stands for: who lives, what is published, and what goes wrong, when, or at which step of whom."""

from __future__ import annotations

from random import Random
from typing import Literal, NamedTuple

Kind = Literal["kill", "freeze", "deaf", "kick", "stop", "join", "delay", "broker_crash", "broker_pause"]
WORKERS = ("a", "b")
LATE = "c"
"""Joins in some scenarios."""
HARM_S = 20.0
"""Faults begin within this time."""

REQUESTS = ("init_producer", "produce", "add_offsets", "commit_offsets", "end")
READS = ("fetch_offsets", "list_offsets", "describe_topics", "fetch", "heartbeat", "join", "sync")
CUT_POINTS = (
    *("begun", "produced", "offsets_added", "committed") * 3,
    *(f"{name} {when}" for name in REQUESTS for when in ("sent", "arrived", "answered")),
)
READ_POINTS = tuple(f"{name} {when}" for name in READS for when in ("sent", "arrived", "answered"))

THEMES: tuple[tuple[Kind, ...], ...] = (
    ("freeze",),
    ("freeze", "kick"),
    ("deaf", "kick", "join"),
    ("kill",),
    ("delay", "kick"),
    ("delay", "kill"),
    ("kick", "join", "stop"),
    ("broker_crash", "broker_pause", "kill"),
    ("kill", "freeze", "deaf", "kick", "stop", "join", "delay", "broker_crash", "broker_pause"),
)
"""Rare interleavings are of a kind: a seed does one kind of harm, several times."""


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
    slow: bool
    """Requests take tenths of a second until the harm is over."""
    events: list[Publication]
    controls: list[tuple[float, str]]
    faults: list[Fault]


def draw(seed: int, partitions: int) -> Scenario:
    random = Random(f"scenario {seed}")
    return Scenario(
        cut_rows=random.choice([1, 2, 5, 5000]),
        slow=random.random() < 0.3,
        events=_events(random, partitions),
        controls=_controls(random),
        faults=_faults(random),
    )


def _events(random: Random, partitions: int) -> list[Publication]:
    """Bursts and trickles; one in eight is told again soon after."""
    events: list[Publication] = []
    at = 0.0
    for number in range(random.randint(60, 180)):
        at = (at + random.choice([0, 0.01, 0.1, 0.2, 0.3])) % HARM_S
        told = Publication(
            at,
            random.choice(["orders", "orders", "clicks", "inventory", "ticks"]),
            random.randrange(partitions),
            b"k%d" % random.randrange(3),
            number,
            random.randint(1, 9),
        )
        events.append(told)
        if random.random() < 1 / 8:
            events.append(told._replace(at=told.at + random.choice([0, 0.05, 3.0])))
    return events


def _controls(random: Random) -> list[tuple[float, str]]:
    times = [random.uniform(1, HARM_S) for _ in range(random.choice([0, 5, 20]))]
    return [(at, random.choice(["HALTED", "ACTIVE"])) for at in times]


def _faults(random: Random) -> list[Fault]:
    kinds = random.choice(THEMES)
    return [_fault(random, random.choice(kinds)) for _ in range(random.randint(1, 6))]


def _fault(random: Random, kind: Kind) -> Fault:
    by_time = kind == "join" or random.random() < 0.2
    points = CUT_POINTS if random.random() < 0.7 else READ_POINTS
    return Fault(
        kind=kind,
        victim=LATE if kind == "join" else random.choice(WORKERS),
        at=random.uniform(0.5, HARM_S),
        point=None if by_time else random.choice(points),
        nth=random.choice([1, 2, 3, 4, 6, 9, 13]),
        for_s=random.choice([random.uniform(8, 18), random.uniform(0.05, 5)]),
        request=random.choice(REQUESTS),
    )
