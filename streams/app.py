"""The worker: the Faust app, its agents, and what runs beside them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
import threading
import time
from typing import NoReturn

import structlog

from pricing_core.engine import Intervals, PricingEngine
from pricing_core.model_file import Model
from schemas.topics import CHANGELOG, HOT_SOURCES
from streams import topic_admin
from streams.agents import control, market
from streams.breaker.fleet import FleetWatch
from streams.carefully import carefully
from streams.compiled import keep_compiled
from streams.errors import CutFailed, NotReady, RepricerError, StreamFault
from streams.families import FamilyWatch
from streams.http_server import HealthServer
from streams.lag import LagGauge
from streams.log_setup import set_up_logging
from streams.metrics import Metrics
from streams.models.follow import ModelWatch
from streams.ownership import Ownership
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.shard import WINDOWED
from streams.takeover import Takeover
from streams.ticker import LEADER_PARTITION, Ticker
from streams.transaction import TransactionWriter
from streams.transport.data_plane import DataPlane
from streams.transport.hybrid import HybridApp
from streams.transport.identity import Claim
from streams.transport.librdkafka import Consumer
from streams.transport.raw_producer import Producer

log = structlog.get_logger(__name__)

WATCH_S = 0.1
STOP_DEADLINE_S = 45.0
METADATA_AGE_MS = 10_000
"""So soon the group notices that a topic has got more partitions: nobody reads those until then."""


def halt(error: BaseException) -> NoReturn:
    """End the process at once: nothing more is committed, and what is open the next owner aborts.

    Stopping in order would run the agents' and Faust's clean-up, which acknowledges what was not applied.
    """
    code = error.exit_code if isinstance(error, RepricerError) else StreamFault.exit_code
    log.critical("worker_stopped", error=str(error), kind=type(error).__name__, exit_code=code, exc_info=error)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def create_app(settings: Settings) -> HybridApp:
    """Build the Faust app. Contacts no broker.

    Topics are created by `repricer topics apply`, never by Faust: one that it made up had another number of
    partitions than the rest, and nothing arrived, without an error.
    """
    servers = settings.bootstrap_servers.split(",")
    app = HybridApp(
        settings.group,
        broker=[f"hybrid+kafka://{server}" for server in servers],
        broker_producer=[f"kafka://{server}" for server in servers],
        broker_credentials=settings.faust_credentials(),
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_interval_s,
        broker_rebalance_timeout=settings.rebalance_timeout_s,
        broker_request_timeout=max(30.0, settings.session_timeout_s),
        broker_max_poll_interval=86_400.0,  # the hot partitions are never polled here; readiness has its own deadline
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=True,  # the hook for the last cut before partitions are given up
        stream_recovery_delay=0.0,
        stream_buffer_maxsize=8,  # batches, not records: Faust's default of 4,096 would be no back-pressure
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_metadata_max_age_ms=METADATA_AGE_MS,
        store="memory://",
        web_enabled=False,
        autodiscover=False,
        origin=None,
    )
    app.hot_topics = frozenset(topic.full_name(settings.topic_prefix) for topic in HOT_SOURCES)
    return app


def _stop_by(seconds: float) -> None:
    """End the process if it has not stopped in order by then: threads and clients may wait for a broker that is gone.

    What is open the next owner aborts.
    """
    timer = threading.Timer(seconds, halt, [StreamFault(f"not stopped in order within {seconds:g} s")])
    timer.daemon = True
    timer.start()


class Worker:
    """One worker process: built from settings, run until a signal."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        topic_admin.require(settings)
        self._metrics = Metrics()
        self._models = ModelWatch(settings, self._metrics)
        self._engine = engine = PricingEngine(
            self._models.first(),  # before the group is joined: the first decision is made by what is live
            capacity=settings.max_offers,
            seed=settings.seed,
            intervals=Intervals(
                decision=settings.decision_interval_s * 1000,
                review=settings.review_interval_s * 1000,
                acknowledgement=settings.acknowledgement_timeout_s * 1000,
            ),
        )
        pipeline = Pipeline(settings, engine, self._metrics)
        pipeline.warm_up()  # before the group is joined: nothing compiles on the hot path
        Consumer.warm_up()
        Producer.warm_up()
        gc.freeze()  # what is here now stays: the collector need not look through it again and again
        self._families = FamilyWatch(settings, engine)
        self._app = create_app(settings)
        self._plane = DataPlane(settings.consumer_config(), max_records=settings.batch_records)
        self.ownership = Ownership(
            settings,
            pipeline=pipeline,
            takeover=Takeover(settings, windowed=WINDOWED),
            writer=TransactionWriter(
                settings.producer_config(),
                transactional_id=settings.transactional_id,
                changelog=CHANGELOG.full_name(settings.topic_prefix),
                transaction_timeout_s=settings.transaction_timeout_s,
            ),
            data_plane=self._plane,
            metrics=self._metrics,
            is_member=self._is_member,
            halt=self._halt,
        )
        self._app.data_plane, self._app.owner = self._plane, self.ownership
        market.register(self._app, settings.topic_prefix, self.ownership.process, halt)
        control.register(self._app, settings.topic_prefix, self.ownership.control, halt)

    def _halt(self, error: BaseException) -> None:
        """Where cuts fail because a topic is gone, or is no longer as it must be, say that instead."""
        if isinstance(error, CutFailed):
            try:
                topic_admin.require(self._settings)
            except RepricerError as cause:
                halt(cause)
        halt(error)

    def _is_member(self, claim: Claim) -> bool:
        return bool(self._app.consumer.is_member(claim))

    def hindrances(self) -> list[str]:
        """Why the worker is not ready; empty if it is."""
        if self.ownership.claim is None:
            return ["no partitions are assigned yet"]
        return [] if self.ownership.ready else ["shards are being taken over"]

    async def run(self) -> None:
        """Work until SIGTERM or SIGINT, then give the shards up in order; if it cannot go on, end the process."""
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        health = HealthServer(self._settings, self.hindrances, self._metrics)
        await health.start()
        ticker = Ticker(self._settings, is_leader=self._is_leader)
        lag = LagGauge(self._settings, self._plane, self.ownership, self._metrics)
        fleet = FleetWatch(self._settings, self.ownership.stop_for_fleet)
        tasks = (ticker.run, lag.run, fleet.run, self._families.run, self._follow)
        aside = [asyncio.create_task(carefully(halt, task)) for task in tasks]
        try:
            await self._app.start()
            await self._watch(stopping)
            _stop_by(STOP_DEADLINE_S)
            await self._app.stop()
        finally:
            for task in aside:
                task.cancel()
            await asyncio.gather(*aside, return_exceptions=True)
            await health.stop()
            self.ownership.close()
        log.info("stopped")

    async def _follow(self) -> None:
        await self._models.run(self._serve, self._note_refused)

    def _serve(self, model: Model) -> None:
        """On the event loop, where no step is under way: a step decides and records with one model."""
        self._engine.model = model

    def _note_refused(self, name: str) -> None:
        """One shard says it: the fault is the model's, not the shards'."""
        for shard in list(self.ownership.shards.values())[:1]:
            shard.alarms.note("model_refused", 1, {"model": name})

    def _is_leader(self) -> bool:
        return LEADER_PARTITION in self.ownership.shards

    async def _watch(self, stopping: asyncio.Event) -> None:
        ready_at = time.monotonic()
        while not stopping.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), WATCH_S)
            if not self.hindrances():
                ready_at = time.monotonic()
            elif time.monotonic() - ready_at > self._settings.ready_deadline_s:
                halt(NotReady(f"not ready for {self._settings.ready_deadline_s:g} s: {'; '.join(self.hindrances())}"))
            if self._app.should_stop and not stopping.is_set():
                halt(StreamFault("Faust's consumer has stopped; its log says why"))


def run_worker(settings: Settings) -> None:
    """Run a worker until a signal ends it.

    Raises:
        RepricerError: What is wrong and how to fix it.
    """
    set_up_logging(settings, component="worker", instance=settings.instance)
    keep_compiled(settings.compilation_cache)
    asyncio.run(Worker(settings).run())
