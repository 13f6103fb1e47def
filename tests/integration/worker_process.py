"""`repricer worker` and its neighbours as processes of their own, for tests that look at what they leave in Kafka."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import confluent_kafka as ck

from schemas.topics import Topic
from streams.settings import PREFIX, Settings
from tests.integration.kafka_server import free_port

ROOT = Path(__file__).parents[2]
STOP_S = 60.0


class WorkerProcess:
    """A worker with the given settings. What it says goes to a file."""

    command: Sequence[str] = (sys.executable, "-m", "streams.cli", "worker")

    def __init__(self, settings: Settings, log: Path, **environment: str) -> None:
        self._port = free_port()
        self._environment = {
            **environment_of(settings),
            "JAX_PLATFORMS": "cpu",
            PREFIX + "HTTP_PORT": str(self._port),
            **environment,
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is ready some seconds later."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(self.command, cwd=ROOT, env=self._environment, stdout=out, stderr=out)

    def page(self, path: str) -> tuple[int, str]:
        """Status and text of ``/livez``, ``/readyz`` or ``/metrics``; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=5) as answer:
                return int(answer.status), answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def wait_until_ready(self, deadline_s: float = 120.0) -> list[int]:
        """Wait for ``/readyz`` to say yes; returns the different statuses on the way, 0 for "nobody listens"."""
        deadline, statuses = time.monotonic() + deadline_s, [-1]
        while statuses[-1] != 200:
            self.require_running()
            assert time.monotonic() < deadline, f"not ready within {deadline_s} s: {self.page('/readyz')}"
            status, _ = self.page("/readyz")
            if status != statuses[-1]:
                statuses.append(status)
            time.sleep(0.02)
        return statuses[1:]

    def signal(self, which: signal.Signals) -> None:
        """Send a signal."""
        assert self._process is not None
        self._process.send_signal(which)

    def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the exit code."""
        self.signal(how)
        assert self._process is not None
        return self._process.wait(STOP_S)

    def outcome(self, deadline_s: float) -> tuple[int, str]:
        """Wait until it has stopped by itself; its exit code and what it said."""
        assert self._process is not None
        return self._process.wait(deadline_s), self._log.read_text("utf-8")

    def require_running(self) -> None:
        """Fail, with the end of its log, if it has stopped by itself."""
        code = None if self._process is None else self._process.poll()
        if code is not None:
            raise AssertionError(f"the worker ended with {code}:\n{self._log.read_text('utf-8')[-4000:]}")

    def kill_if_running(self) -> None:
        """For the end of a test, however it went."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(STOP_S)


@contextlib.contextmanager
def running_worker(settings: Settings, log: Path, **environment: str) -> Iterator[WorkerProcess]:
    """A started worker that does not outlive the block."""
    worker = WorkerProcess(settings, log, **environment)
    worker.start()
    try:
        yield worker
    finally:
        worker.kill_if_running()


def environment_of(settings: Settings) -> dict[str, str]:
    """Our environment with the settings that are not the defaults."""
    given = settings.model_dump(exclude_defaults=True, mode="json")
    return {**os.environ, **{PREFIX + name.upper(): str(value) for name, value in given.items()}}


@contextlib.contextmanager
def running_program(
    settings: Settings, log: Path, *arguments: object, program: str = "streams.cli"
) -> Iterator[subprocess.Popen[bytes]]:
    """``repricer ARGUMENTS`` with the given settings, or another module; it does not outlive the block."""
    with log.open("wb") as out:
        command = [sys.executable, "-m", program, *map(str, arguments)]
        child = subprocess.Popen(command, cwd=ROOT, env=environment_of(settings), stdout=out, stderr=out)
    try:
        yield child
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(STOP_S)


def wait_for(
    condition: Callable[[], object], deadline_s: float, what: str, worker: WorkerProcess | None = None
) -> None:
    """Wait until ``condition`` holds; fail early if ``worker`` has stopped by itself."""
    deadline = time.monotonic() + deadline_s
    while not condition():
        if worker is not None:
            worker.require_running()
        assert time.monotonic() < deadline, f"not within {deadline_s} s: {what}"
        time.sleep(0.2)


def wait_until_read(worker: WorkerProcess, settings: Settings, topic: Topic, deadline_s: float) -> None:
    """Wait until the group has committed the end of every partition of ``topic``: consumer lag 0."""
    deadline = time.monotonic() + deadline_s
    while (lag := consumer_lag(settings, topic)) > 0:
        worker.require_running()
        assert time.monotonic() < deadline, f"{lag} records of {topic.name} were not read in {deadline_s} s"
        time.sleep(0.2)


def consumer_lag(settings: Settings, topic: Topic) -> int:
    """Committed records of a topic that the group has not committed."""
    consumer = ck.Consumer(settings.consumer_config())
    try:
        name = topic.full_name(settings.topic_prefix)
        partitions = [
            ck.TopicPartition(name, p) for p in consumer.list_topics(name, timeout=10).topics[name].partitions
        ]
        committed = _committed(consumer, partitions)
        ends = [consumer.get_watermark_offsets(tp, timeout=10)[1] for tp in partitions]
        return sum(end - max(tp.offset, 0) for tp, end in zip(committed, ends, strict=True))
    finally:
        consumer.close()


def _committed(consumer: ck.Consumer, partitions: list[ck.TopicPartition]) -> list[ck.TopicPartition]:
    """What the group has committed; nothing while a fresh broker is still choosing the group's coordinator."""
    try:
        return consumer.committed(partitions, timeout=10)
    except ck.KafkaException as error:
        if error.args[0].code() not in {ck.KafkaError.NOT_COORDINATOR, ck.KafkaError.COORDINATOR_LOAD_IN_PROGRESS}:
            raise
        return partitions


def read_committed(settings: Settings, topic: Topic) -> list[ck.Message]:
    """Every committed record that a topic holds now."""
    return list(each_committed(settings, topic))


def each_committed(settings: Settings, topic: Topic) -> Iterator[ck.Message]:
    """The same one after another, for topics that are too large to be held."""
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": "reader", "enable.partition.eof": True})
    name = topic.full_name(settings.topic_prefix)
    partitions = list(consumer.list_topics(name, timeout=10).topics[name].partitions)
    consumer.assign([ck.TopicPartition(name, partition, 0) for partition in partitions])
    at_end: set[int | None] = set()
    while len(at_end) < len(partitions):
        for record in consumer.consume(10_000, 0.2):
            error = record.error()
            if error is None:
                yield record
            elif error.code() == ck.KafkaError._PARTITION_EOF:
                at_end.add(record.partition())
            else:
                raise ck.KafkaException(error)
    consumer.close()
