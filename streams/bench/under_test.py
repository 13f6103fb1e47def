"""The worker under test: `repricer worker` as a process of its own, as shipped but for what a benchmark must change."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from prometheus_client.parser import text_string_to_metric_families

from streams.errors import NotReady
from streams.free_port import free_port
from streams.metrics import Metric
from streams.settings import PREFIX, Settings
from streams.topic_admin import TopicAdmin

PARTITIONS = 4
REVIEW_S = 30 * 86_400
"""Event time flies here: with shorter reviews a million quiet offers would be decided more often than events come."""
DEADLINE_S = 900.0
"""A benchmark that takes longer has failed."""
READY_POLL_S = 0.05
STOP_S = 60.0


def bench_settings(settings: Settings, name: str, **changed: Any) -> Settings:
    """Topics and a group of a benchmark's own on the settings' broker; the topics are there, and stay."""
    prefix = f"bench-{name}-{int(time.time() * 1000)}"
    ours = {
        "topic_prefix": prefix,
        "group": prefix,
        "partitions": PARTITIONS,
        "decide_during_catch_up": True,
        "tick_interval_s": 0.0,  # event time comes from the load
        "log_level": "warning",
        "review_interval_s": REVIEW_S,
    }
    own = settings.model_copy(update=ours | changed)
    TopicAdmin(own).apply()
    return own


def environment(settings: Settings) -> dict[str, str]:
    """Our environment, with the settings that are not the defaults."""
    given = settings.model_dump(exclude_defaults=True, mode="json")
    return {**os.environ, **{PREFIX + name.upper(): str(value) for name, value in given.items()}}


class WorkerUnderTest:
    """Started and stopped by ``with``. Its log goes where ours goes."""

    def __init__(self, settings: Settings) -> None:
        self._port = free_port()
        self._environment = environment(settings.model_copy(update={"http_port": self._port}))

    def __enter__(self) -> Self:
        self._process = subprocess.Popen([sys.executable, "-m", "streams.cli", "worker"], env=self._environment)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(STOP_S)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def require_running(self) -> None:
        """Notice that it has stopped.

        Raises:
            NotReady: It has.
        """
        if self._process.poll() is not None:
            raise NotReady(f"the worker stopped with exit code {self._process.returncode}; its log is above")

    def wait_until_ready(self) -> None:
        """Wait until all shards are rebuilt and being read.

        Raises:
            NotReady: It stopped, or took too long.
        """
        deadline = time.monotonic() + DEADLINE_S
        while self._page("/readyz") is None:
            self.require_running()
            if time.monotonic() > deadline:
                raise NotReady(f"the worker was not ready within {DEADLINE_S:.0f} s")
            time.sleep(READY_POLL_S)

    def counted(self, metric: Metric) -> Mapping[str, float]:
        """Values of a counter by its last label, added up over the others. Costs the worker some ms."""
        found: dict[str, float] = {}
        for labels, value in self._samples(metric.name):
            label = labels[metric.labels[-1]]
            found[label] = found.get(label, 0.0) + value
        return found

    def sum_of(self, metric: Metric) -> float:
        """Sum of what a histogram has observed."""
        return sum(value for _, value in self._samples(f"{metric.name}_sum"))

    def _samples(self, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
        for family in text_string_to_metric_families(self._page("/metrics") or ""):
            yield from ((sample.labels, sample.value) for sample in family.samples if sample.name == name)

    def _page(self, path: str) -> str | None:
        """Text of a page; None while nobody listens, or while the answer is no."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}{path}", timeout=10) as page:
                return str(page.read().decode())
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None


def cpu_s(pid: int | None) -> float:
    """User and system time of a process so far; 0 if none is named."""
    if pid is None:
        return 0.0
    ticks = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int) -> int:
    """Memory that a process has now."""
    pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
