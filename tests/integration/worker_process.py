"""`repricer worker` as a process of its own, for tests that look at what it leaves in Kafka."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka as ck

from schemas.topics import Topic
from streams.settings import PREFIX, Settings

ROOT = Path(__file__).parents[2]
STOP_S = 60.0


class WorkerProcess:
    """A worker with the given settings. What it says goes to a file."""

    def __init__(self, settings: Settings, log: Path, **environment: str) -> None:
        given = settings.model_dump(exclude_defaults=True, mode="json")
        self._environment = {
            **os.environ,
            "JAX_PLATFORMS": "cpu",
            **{PREFIX + name.upper(): str(value) for name, value in given.items()},
            PREFIX + "HTTP_PORT": "0",
            **environment,
        }
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it is ready some seconds later."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "streams.cli", "worker"], cwd=ROOT, env=self._environment, stdout=out, stderr=out
            )

    def end(self, how: signal.Signals) -> int:
        """Send a signal and wait for the exit code."""
        assert self._process is not None
        self._process.send_signal(how)
        return self._process.wait(STOP_S)

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
    consumer = ck.Consumer({**settings.consumer_config(), "group.id": "reader", "enable.partition.eof": True})
    name = topic.full_name(settings.topic_prefix)
    partitions = list(consumer.list_topics(name, timeout=10).topics[name].partitions)
    consumer.assign([ck.TopicPartition(name, partition, 0) for partition in partitions])
    records, at_end = [], set()
    while len(at_end) < len(partitions):
        for record in consumer.consume(10_000, 0.2):
            if record.error() is None:
                records.append(record)
            elif record.error().code() == ck.KafkaError._PARTITION_EOF:
                at_end.add(record.partition())
            else:
                raise ck.KafkaException(record.error())
    consumer.close()
    return records
