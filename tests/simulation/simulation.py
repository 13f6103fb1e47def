"""A seeded simulation of the delivery protocol: the real owner of shards on a fake broker, a step at a time.

*What runs.* Everything of `streams` between the agents and the clients (`ownership`, `joining`, `keeping`, `holdings`,
`cutter`, `takeover`, `fencing`, `transaction`, `log_reader`, `shard`, `transport.data_plane` …), as it is. Its clients
(`clients`) talk to a fake broker (`broker`, `group`, `fake_log`) over a fake network (`network`); its clock, event
loops and threads (`world`, `event_loop`) have one heap of events, so that the seed alone says what happens next. A toy
stands for the pipeline (`toy`): what it must have arrived at is one line of arithmetic.

*What goes wrong* (`scenario`). Workers are killed, frozen beyond their session and thawed, cut off from the group
without noticing, thrown out, stopped in order; others join. Requests hang and arrive after their sender's end. The
broker is killed (answers are lost, requests served or not) and paused (all is served later, the dead's requests too).
Each at a random time, or at the n-th step of one kind: before a request, after the broker has served it, when the
answer is there, and between the steps of a cut. Threads stand still now and then while others go on.

*What is checked* (`checks`). After every cut, rows equal a recomputation of the sources up to its positions; positions
and sequence never go back; every output is there once; nothing that was committed vanishes; the group's offsets equal
the shard records; no run mode is missed; after the last fault all is applied within `SETTLE_S`, by workers that never
stopped by themselves.

*What is not modelled*: retention and compaction, several brokers, Faust's and librdkafka's own code (their documented
behaviour is), wrong clocks, an operator who resets the group. Why the answers can be trusted: `test_controls` switches
every protection off, one at a time, and the checks notice; `test_fake_broker` holds the broker to Kafka's rules.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from functools import cache
from random import Random

import pytest

from schemas.topics import PRICING_CONTROL
from streams.settings import Settings
from tests.simulation.broker import Broker
from tests.simulation.checks import Audit, Violation, require
from tests.simulation.fake_log import Record
from tests.simulation.installation import installed
from tests.simulation.network import Network
from tests.simulation.scenario import HARM_S, WORKERS, Fault, Publication, Scenario, draw
from tests.simulation.toy import event
from tests.simulation.worker import Worker
from tests.simulation.world import Process, World

SETTLE_S = 45.0
STEP_S = 0.5
PARTITIONS = 2
Mutation = Callable[["Simulation", pytest.MonkeyPatch], None]
"""Switches a protection off for one run."""


@cache
def _settings(instance: str, servers: str, cut_rows: int) -> Settings:
    return Settings(
        bootstrap_servers=servers,
        instance=instance,
        topic_prefix="s",
        group="s",
        partitions=PARTITIONS,
        cut_rows=cut_rows,
        duplicate_window=8,
        session_timeout_s=6,
        rebalance_timeout_s=12,
        heartbeat_interval_s=1,
        transactional_sources=frozenset({"inventory"}),
    )


class Simulation:
    """One run of one seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.world = World(seed)
        self.broker = Broker(self.world)
        self.network = Network(self.world, self.broker)
        self.scenario: Scenario = draw(seed, PARTITIONS)
        self.workers: dict[str, Worker] = {}
        self.audit = Audit(self.broker, _settings("outside", "outside:1", 1))
        self._random = Random(f"harm {seed}")
        self._processes: dict[str, Process] = {}
        self._controls: dict[int, int] = defaultdict(int)
        self._visits: Counter[tuple[str, str]] = Counter()
        self._armed = {(f.victim, f.point, f.nth): f for f in self.scenario.faults if f.point is not None}
        self._begin = self._calm_at = self.world.now
        self._upstream = 0

    def run(self, mutation: Mutation = lambda _simulation, _patch: None) -> None:
        """Run to the end.

        Raises:
            Violation: The first that is found.
        """
        with installed(self.network, self._processes) as patch:
            mutation(self, patch)
            try:
                self._prepare()
                self._go_on_until_settled()
            finally:
                for worker in self.workers.values():
                    self.world.kill(worker.process)

    def _prepare(self) -> None:
        self.network.on_point, self.network.slow = self._pass, self.scenario.slow
        self.world.later(HARM_S, None, self._calm_down)
        for name in WORKERS:
            self.world.later(self._random.uniform(0, 2), None, lambda name=name: self._start(name))
        for told in self.scenario.events:
            self.world.later(told.at, None, lambda told=told: self._publish(told))
        for at, mode in self.scenario.controls:
            self.world.later(at, None, lambda mode=mode: self._tell_all(mode))
        for fault in self.scenario.faults:
            if fault.point is None:
                self.world.later(fault.at, None, lambda fault=fault: self._harm(fault))

    def _go_on_until_settled(self) -> None:
        while True:
            self.world.run(self.world.now + STEP_S)
            self._require_health()
            if self.world.now - self._begin < HARM_S or self.world.now < self._calm_at:
                continue
            self._armed.clear()
            alive = self._alive()
            left = self.audit.behind(alive, self._controls)
            if not left:
                return self.audit.at_rest(alive)
            late = self.world.now - max(self._calm_at, self._begin + HARM_S)
            require(late < SETTLE_S, f"not settled {late:.0f} s after the last fault: {left}")

    def _require_health(self) -> None:
        self.audit.on_the_way(self._alive(), self._controls)
        for name, worker in self.workers.items():
            require(not worker.faults, f"{name} stopped by itself: {worker.faults[:1]}")
            require(not worker.loop.complaints, f"{name}: {worker.loop.complaints[:1]}")

    def _alive(self) -> list[Worker]:
        return [worker for worker in self.workers.values() if not worker.process.dead]

    def _start(self, name: str) -> None:
        """Begin a life of a worker, unless it lives; under the same name as the last one, as a supervisor does."""
        if name in self.workers and not self.workers[name].process.dead:
            return
        self._visits[name, "lives"] += 1
        servers = f"{name}-{self._visits[name, 'lives']}:1"
        process = self._processes[servers] = Process(servers.partition(":")[0])
        settings = _settings(name, servers, self.scenario.cut_rows)
        self.world.note(process.name, "starts")
        self.workers[name] = Worker(self.network, process, settings, self._controls)

    # the world around
    def _calm_down(self) -> None:
        self.network.slow = False

    def _publish(self, told: Publication) -> None:
        log = self.broker.logs[self.audit.name(told.topic), told.partition]
        record = Record(told.key, event(told.number, told.amount))
        if told.topic != "inventory":
            log.append([record])
            return
        self._upstream -= 1
        producer, commit = self._upstream, self._random.random() < 0.8
        log.append([record], producer)
        self.world.later(self._random.choice([0, 0.3, 4.0]), None, lambda: log.mark(producer, commit=commit))

    def _tell_all(self, mode: str) -> None:
        for partition in range(PARTITIONS):
            self.broker.logs[self.audit.name(PRICING_CONTROL.name), partition].append([Record(b"*", mode.encode())])

    # harm
    def _pass(self, process: Process, point: str) -> None:
        name = process.name.partition("-")[0]
        self._visits[name, point] += 1
        fault = self._armed.pop((name, point, self._visits[name, point]), None)
        if fault is not None:
            self.world.note(process.name, f"{point}: {fault.kind}")
            self._harm(fault)

    def _harm(self, fault: Fault) -> None:
        worker = self.workers.get(fault.victim)
        harm = getattr(self, f"_{fault.kind}")
        self.world.note(fault.victim, f"{fault.kind} {fault.for_s:.2f}")
        if worker is None or worker.process.dead:
            if fault.kind == "join":
                self._start(fault.victim)
            return
        self._calm_at = max(self._calm_at, self.world.now + fault.for_s)
        harm(worker, fault)

    def _kill(self, worker: Worker, fault: Fault) -> None:
        self.world.kill(worker.process)
        self.world.later(fault.for_s, None, lambda: self._start(fault.victim))

    def _freeze(self, worker: Worker, fault: Fault) -> None:
        self.world.freeze(worker.process)
        self.world.later(fault.for_s, None, lambda: self.world.thaw(worker.process))

    def _deaf(self, worker: Worker, fault: Fault) -> None:
        worker.deaf_until = self.world.now + fault.for_s

    def _kick(self, worker: Worker, _fault: Fault) -> None:
        self.world.later(0, self.broker.process, lambda: self.broker.group.leave(worker.member))

    def _stop(self, worker: Worker, fault: Fault) -> None:
        worker.stop()

        def start_again() -> None:
            if worker.process.dead:
                self._start(fault.victim)
            else:
                self.world.later(1.0, None, start_again)
                self._calm_at = max(self._calm_at, self.world.now + 1.0)

        self.world.later(fault.for_s, None, start_again)

    def _join(self, _worker: Worker, _fault: Fault) -> None:
        """It has joined already."""

    def _delay(self, worker: Worker, fault: Fault) -> None:
        self.network.delays[worker.process, fault.request] = fault.for_s

    def _broker_crash(self, _worker: Worker, fault: Fault) -> None:
        self.broker.crash(fault.for_s)

    def _broker_pause(self, _worker: Worker, fault: Fault) -> None:
        self.broker.pause(fault.for_s)


def explain(simulation: Simulation, violation: Violation, last: int = 120) -> str:
    """What a person needs: the violation, how it came about, and how to see it again."""
    begin = simulation.world.trace[0][0] if simulation.world.trace else 0.0
    lines = [f"{at - begin:9.4f} {who:8} {what}" for at, who, what in simulation.world.trace[-last:]]
    replay = f"pytest tests/simulation -k replay --seed {simulation.seed}"
    return "\n".join([f"seed {simulation.seed}: {violation}", *lines, f"again: {replay}"])
