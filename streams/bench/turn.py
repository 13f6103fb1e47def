"""One turn of the latency benchmark: a task is published, and an outside consumer reads what comes of it.

The contestants: the worker, and the echoes beside it. Each is started once for the turns of a round.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from functools import partial

import confluent_kafka as ck
import msgspec

from schemas.topics import PRICE_CHANGES, Topic
from streams.bench import load, paced
from streams.bench.echo import TOPIC as ECHO
from streams.bench.progress import Progress, ends_of
from streams.bench.under_test import WorkerUnderTest, environment
from streams.errors import NotReady
from streams.settings import Settings

ANSWER_S = 5.0
"""An order that is not answered this long after the last one was published has no answer."""
POLL_S = 0.5

Alive = Callable[[], None]
"""Raises `NotReady` if the contestant has stopped."""


@dataclass(frozen=True, slots=True)
class Answers:
    """What came of a task."""

    ms: Mapping[str, float]
    """Latency of each measured order that was answered, by key."""
    rate: float
    """Records a second, as it came out."""


@contextmanager
def _worker(settings: Settings) -> Iterator[Alive]:
    with WorkerUnderTest(settings) as worker:
        worker.wait_until_ready()
        with closing(Progress(settings, load.SHARES)) as progress:
            progress.watch(worker.require_running)  # what the echoes' turns have published meanwhile
        yield worker.require_running


@contextmanager
def _echo(settings: Settings, how: str) -> Iterator[Alive]:
    with process([sys.executable, "-m", "streams.bench.echo", how], settings) as echo:
        expect_ready(echo)
        yield lambda: _require_running(echo)


@dataclass(frozen=True, slots=True)
class Contestant:
    """Who answers, and where."""

    name: str
    topic: str
    start: Callable[[Settings], AbstractContextManager[Alive]]


CONTESTANTS: Mapping[str, Contestant] = {
    "": Contestant("worker", PRICE_CHANGES.name, _worker),
    "echo_": Contestant("echo", ECHO, partial(_echo, how="plain")),
    "txn_echo_": Contestant("transactional echo", ECHO, partial(_echo, how="transactional")),
}
"""By the prefix of their figures."""


@contextmanager
def publisher(settings: Settings, task: paced.Task) -> Iterator[subprocess.Popen[bytes]]:
    """A process that makes the task's records at once, and publishes them when `answers` says so."""
    with process([sys.executable, "-m", "streams.bench.paced"], settings) as started:
        _tell(started, msgspec.json.encode(task))
        yield started


def answers(
    settings: Settings, task: paced.Task, publisher: subprocess.Popen[bytes], topic: str, alive: Alive
) -> Answers:
    """Let the task be published, and read what comes of its measured orders.

    Raises:
        NotReady: If the contestant or the publisher has stopped.
    """
    missing = {load.measured_key(number) for number in task.measured}  # an answer to another task may come late
    read: dict[str, int] = {}
    with closing(reader(settings, topic)) as consumer:
        consumer.poll(0)
        _tell(publisher, b"")
        deadline = time.monotonic() + task.count / task.rate + ANSWER_S
        while missing and time.monotonic() < deadline:
            first = consumer.poll(POLL_S)
            now = time.monotonic_ns()
            for message in [] if first is None else [first, *consumer.consume(5_000, 0)]:
                key = message.key() or b""
                if key in missing:
                    missing.remove(key)
                    read[key.decode()] = now
            if first is None:
                alive()
    published = msgspec.json.decode(_line(publisher), type=paced.Published)
    alive()
    return Answers({key: (read[key] - at) / 1e6 for key, at in published.sent.items() if key in read}, published.rate)


def reader(settings: Settings, topic: str) -> ck.Consumer:
    """The outside consumer, at the end of a topic: all as shipped, ``read_committed`` among it."""
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.group}-outside"})
    name = Topic(topic, "offer", None, "delete", None, "")
    consumer.assign([ck.TopicPartition(*tp, offset) for tp, offset in ends_of(settings, [name]).items()])
    return consumer


@contextmanager
def process(command: Sequence[str], settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """A module of ours as a process that does not outlive the block."""
    started = subprocess.Popen(  # noqa: S603  # our own module
        command, env=environment(settings), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        yield started
    finally:
        started.terminate()
        started.communicate()


def expect_ready(started: subprocess.Popen[bytes]) -> None:
    """Wait until a process says that it is ready.

    Raises:
        NotReady: It has stopped.
    """
    if _line(started) != b"ready\n":
        raise NotReady(f"{started.args!r} is not ready; its log is above")


def _require_running(started: subprocess.Popen[bytes]) -> None:
    if started.poll() is not None:
        raise NotReady(f"{started.args!r} ended with exit code {started.poll()}; its log is above")


def _tell(started: subprocess.Popen[bytes], line: bytes) -> None:
    assert started.stdin is not None
    started.stdin.write(line + b"\n")
    started.stdin.flush()


def _line(started: subprocess.Popen[bytes]) -> bytes:
    assert started.stdout is not None
    line = started.stdout.readline()
    if not line:
        raise NotReady(f"{started.args!r} ended with exit code {started.wait()}; its log is above")
    return line
