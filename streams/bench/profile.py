"""`repricer bench profile`: where each microsecond goes. One process and one thread, without Kafka.

The load is fed to the real pipeline as polls bring it, in the order of its event time, and cut as the worker cuts;
the transaction goes to the broker inside this process, whose own threads are not counted. What a bare loop must do,
too, is timed beside it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.topics import CHANGELOG
from streams.bench import load
from streams.bench.bare import TYPES
from streams.bench.in_process import InProcessWorker
from streams.bench.machine import machine, versions
from streams.bench.stages import Stopwatch, watched
from streams.embedded_broker import PARTITIONS, EmbeddedBroker
from streams.settings import Settings
from streams.transaction import Cut, TransactionWriter
from streams.transport.record_batch import RecordBatch

PREFIX = "profile"


def measure(*, events: int, offers: int, poll: int) -> dict[str, Any]:
    """Run the profile; returns the object that ``--json`` prints.

    Args:
        events: Events that are timed, after as many that are not.
        offers: Offers that they are about; all are decided once before.
        poll: Records of a step.
    """
    with EmbeddedBroker(PREFIX) as broker, watched() as stopwatch:
        worker = InProcessWorker(*_prepared(broker.bootstrap_servers, offers))
        warm, first = load.events(0, events, offers), -(-events // load.CHUNK) * load.CHUNK
        worker.run(worker.polls(load.policies(offers), poll))
        worker.run(worker.polls(warm, poll))
        timed = list(worker.polls(load.events(first, events, offers), poll))
        bare, decided = min(_bare(timed), _bare(timed)), worker.decided()
        stopwatch.reset()
        began = time.perf_counter()
        worker.run(timed)
        wall = time.perf_counter() - began
        decisions = worker.decided() - decided
    return {
        "us_per_event": round(wall / events * 1e6, 3),
        "decode_to_structs_us_per_event": round(bare / events * 1e6, 3),
        "events_per_decision": round(events / decisions, 1),
        "stages": _stages(stopwatch, wall, events, decisions),
        "unwatched_us_per_event": round((wall - sum(stopwatch.seconds.values())) / events * 1e6, 3),
        "events": events,
        "offers": offers,
        "poll": poll,
        "machine": machine(),
        "versions": versions(),
    }


def _prepared(servers: str, offers: int) -> tuple[Settings, int, Callable[[Cut], None]]:
    """Arguments of the worker; its cuts go to the broker."""
    settings = Settings(bootstrap_servers=servers, topic_prefix=PREFIX, group=PREFIX, partitions=PARTITIONS)
    writer = TransactionWriter(
        settings.producer_config(),
        transactional_id=PREFIX,
        changelog=CHANGELOG.full_name(PREFIX),
        transaction_timeout_s=60,
    )
    writer.open()
    return settings, offers, writer.commit


def _stages(stopwatch: Stopwatch, wall: float, events: int, decisions: float) -> dict[str, dict[str, float]]:
    return {
        stage: {
            "us_per_event": round(seconds / events * 1e6, 3),
            "us_per_decision": round(seconds / decisions * 1e6, 2),
            "share": round(seconds / wall, 3),
            "calls": stopwatch.calls[stage],
        }
        for stage, seconds in stopwatch.seconds.items()
    }


def _bare(polls: list[list[RecordBatch]]) -> float:
    """Seconds for decoding the same values into structs, nothing else."""
    decoders = {topic.full_name(PREFIX): msgspec.json.Decoder(kind).decode for topic, kind in TYPES.items()}
    work = [(decoders[batch.topic], list(batch.values)) for batches in polls for batch in batches]
    began = time.perf_counter()
    for decode, values in work:
        for value in values:
            decode(value or b"")
    return time.perf_counter() - began
