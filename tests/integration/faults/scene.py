"""Two workers, a catalog and a paced load, and what must be true when the faults are over."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterator
from pathlib import Path

import confluent_kafka as ck
import msgspec

from schemas.topics import (
    CLICKS,
    COMPETITOR_PRICES,
    HOT_SOURCES,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_DECISIONS,
    TICKS,
    Topic,
)
from streams.settings import Settings
from streams.verify import verify
from tests.integration.faults.load import Account
from tests.integration.recomputation import answered, check_catalog, totals_in_the_state
from tests.integration.shop import new_settings
from tests.integration.worker_process import (
    WorkerProcess,
    consumer_lag,
    running_program,
    wait_for,
    wait_until_read,
)

SESSION_S = 6
LOADED = (ORDERS, CLICKS, COMPETITOR_PRICES, INVENTORY, OFFER_POLICIES)
INSIDE_A_CUT = ("produced", "offsets_added")
LAG = re.compile(r'^repricer_lag_records\{partition="(\d+)",topic="orders"\}', re.MULTILINE)
FAILED = re.compile(r"^repricer_failed_cuts_total (\S+)$", re.MULTILINE)
READY = re.compile(r"^repricer_ready_shards (\S+)$", re.MULTILINE)


def fault_settings(servers: str, **given) -> Settings:
    """Short sessions, and decisions often enough to date the first one after a fault."""
    return new_settings(servers, **{"decision_interval_s": 2, "tick_interval_s": 1, **given})


class HeldWorker(WorkerProcess):
    """A worker that can be held at a point of its cut, and whose last point is known after its death."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        super().__init__(settings, folder / "log")
        self.command = (*self.command[:2], "tests.integration.faults.held_worker", str(folder))
        self._points, self._hold = folder / "points", folder / "hold"

    def hold_at(self, point: str) -> None:
        """Let its next cut reach ``point`` and stay there; returns when it does."""
        self._hold.write_text(point)
        wait_for(lambda: self.last_point() == f"held {point}", 60, f"a cut at {point}", self)

    def let_go(self) -> None:
        """It may go on."""
        self._hold.unlink(missing_ok=True)

    def last_point(self) -> str:
        """How far its cut has come, or had when it died."""
        lines = self._points.read_text().splitlines() if self._points.exists() else []
        return lines[-1] if lines else ""

    def is_inside_a_cut(self) -> bool:
        """Whether rows of a cut are produced and it is not committed."""
        return self.last_point().removeprefix("held ") in INSIDE_A_CUT

    def failed_cuts(self) -> int:
        """Transactions that the broker did not let it commit, since it started."""
        found = FAILED.search(self.page("/metrics")[1])
        return int(float(found[1])) if found else 0

    def shards(self) -> frozenset[int]:
        """Partitions that it owns and reads, by its own metrics; empty while they are not all there."""
        page = self.page("/metrics")[1]
        found, ready = frozenset(map(int, LAG.findall(page))), READY.search(page)
        return found if ready and int(float(ready[1])) == len(found) else frozenset()


class Scene:
    """The parts of one fault test."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings = settings
        self._folder = folder
        self.workers = [
            HeldWorker(settings.model_copy(update={"instance": name}), folder / f"worker-{name}") for name in "ab"
        ]
        self.database = folder / "catalog.sqlite"
        self._account = folder / "account.json"
        self.timeline = Timeline(settings)

    @contextlib.contextmanager
    def running(self, *, rate: int, events: int = 0, seed: int = 1) -> Iterator[None]:
        """Everything runs and the workers share the shards; after the block, the load ends."""
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.closing(self.timeline))
            catalog = stack.enter_context(self._catalog())
            for worker in self.workers:
                stack.callback(worker.kill_if_running)
                worker.start()
            load = stack.enter_context(self._load("--events", events, "--rate", rate, "--seed", seed))
            self.wait_until_shared()
            yield
            assert load.poll() is None, (self._folder / "load.log").read_text()
            load.send_signal(signal.SIGTERM)
            assert load.wait(events / rate + 240) == 0, (self._folder / "load.log").read_text()
            self._settle(catalog)

    def wait_until_shared(self) -> None:
        """Wait until every shard is read by exactly one of the workers, and each has its part."""
        everything = list(range(self.settings.partitions))

        def shared() -> bool:
            parts = [worker.shards() for worker in self.workers]
            return all(parts) and sorted(p for part in parts for p in part) == everything

        for worker in self.workers:
            wait_for(shared, 90, "all shards shared", worker)

    def check(self) -> Account:
        """Nothing is lost and nothing twice: in Kafka, against what the load had acknowledged, and in the catalog."""
        report = verify(self.settings)
        assert report.clean, [(check.name, check.examples) for check in report.checks if check.violations]
        account = msgspec.json.decode(self._account.read_bytes(), type=Account)
        end = {topic.name: sum(applied[topic.name] for applied in report.applied.values()) for topic in LOADED}
        assert end == account.records
        state = totals_in_the_state(self.settings)
        counted = {key.decode(): {name: n for name, n in sums.items() if n} for key, sums in state.items()}
        assert counted == account.totals
        assert check_catalog(self.settings, self.database) > 0
        return account

    def _catalog(self):
        return running_program(self.settings, self._folder / "catalog.log", "catalog", "--database", self.database)

    def _load(self, *order):
        return running_program(
            self.settings,
            self._folder / "load.log",
            self._account,
            *order,
            program="tests.integration.faults.load",
        )

    def _settle(self, catalog: subprocess.Popen[bytes]) -> None:
        """Everything is read and answered; then the workers stop in order, and leave no lag.

        The catalog stops before them: what it answers to a price of the last cut is read by nobody any more. It goes
        on afterwards, and judges those prices, too.
        """
        sources = [topic for topic in HOT_SOURCES if topic is not TICKS]  # ticks go on for ever
        for topic in sources:
            wait_until_read(self.workers[0], self.settings, topic, deadline_s=120)
        wait_for(lambda: self._answers_are_read(sources), 60, "every price change is answered", self.workers[0])
        catalog.send_signal(signal.SIGTERM)
        assert catalog.wait(60) == 0, (self._folder / "catalog.log").read_text()
        wait_for(lambda: not any(self._lags(sources).values()), 60, "the last answers are read", self.workers[0])
        assert [worker.end(signal.SIGTERM) for worker in self.workers] == [0, 0]
        lags = self._lags(sources)
        assert not any(lags.values()), lags
        with self._catalog():
            wait_for(lambda: answered(self.settings, self.database), 60, "the last price changes are answered")

    def _answers_are_read(self, sources) -> bool:
        return answered(self.settings, self.database) and not any(self._lags(sources).values())

    def _lags(self, sources: Collection[Topic]) -> dict[str, int]:
        return {topic.name: consumer_lag(self.settings, topic) for topic in sources}


class Timeline:
    """When decisions of each partition became readable for others."""

    def __init__(self, settings: Settings) -> None:
        name = PRICE_DECISIONS.full_name(settings.topic_prefix)
        self._consumer = ck.Consumer({**settings.consumer_config(), "group.id": "timeline"})
        self._consumer.assign([ck.TopicPartition(name, p, 0) for p in range(settings.partitions)])

    def first_outputs(self, partitions: Collection[int], since: float, deadline_s: float) -> dict[int, float]:
        """Seconds from ``since`` (wall clock) to the first decision of each partition that was made after it."""
        found: dict[int, float] = {}
        while len(found) < len(partitions):
            for record in self._consumer.consume(1000, 0.02):
                assert record.error() is None or record.error().retriable(), record.error()
                partition = record.partition()
                if partition in partitions and record.timestamp()[1] > since * 1000:
                    found.setdefault(partition, time.time() - since)
            assert time.time() - since < deadline_s, f"no decision within {deadline_s} s: {found} of {partitions}"
        return found

    def close(self) -> None:
        self._consumer.close()
