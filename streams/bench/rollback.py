"""How long it takes until the last of many offers is back at its earlier price.

A wrong ceiling cuts the price of every offer; then policies are right again, and a person rolls back. The clock runs
from the beginning of `repricer rollback`, which looks for what has changed, to the moment when a reader of committed
records has the price change of the last offer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import confluent_kafka as ck
import msgspec
import orjson

from schemas.topics import OFFER_POLICIES, PRICE_CHANGES
from streams.bench import load
from streams.bench.under_test import DEADLINE_S, WorkerUnderTest, bench_settings
from streams.clock import wall_ms
from streams.errors import NotReady
from streams.operate.commands import publish_commands
from streams.operate.reading import Meant
from streams.operate.rollback import commands, plan
from streams.settings import Settings

PRICE, WRONG = 4_000, 3_600
READ_AT_ONCE = 10_000
READ_S = 0.1


class _Change(msgspec.Struct, gc=False):
    price: int
    reason: str


def measure(settings: Settings, offers: int) -> dict[str, float]:
    """Run it; returns the object that ``--json`` prints.

    Raises:
        NotReady: the worker stopped, or something took longer than a benchmark may.
    """
    own = bench_settings(settings, "rollback", tick_interval_s=1.0)
    with WorkerUnderTest(own) as worker:
        worker.wait_until_ready()
        changes = _Changes(own, worker)
        load.publish(own, _policies(offers, 1, PRICE))
        since = wall_ms()
        load.publish(own, _policies(offers, 2, WRONG))
        changes.wait_for(offers, "bounds_repair")
        load.publish(own, _policies(offers, 3, PRICE))
        began = time.monotonic()
        found = plan(own, since, Meant())
        planned = time.monotonic()
        publish_commands(own, commands(found, "bench", "a benchmark", expires_at=None))
        published = time.monotonic()
        changes.wait_for(offers, "rollback")
        done = time.monotonic()
    return {
        "offers": offers,
        "plan_s": round(planned - began, 3),
        "publish_s": round(published - planned, 3),
        "carry_out_s": round(done - published, 3),
        "total_s": round(done - began, 3),
    }


def _policies(offers: int, version: int, ceiling: int) -> Iterator[load.Record]:
    """One policy for each offer, under which the model moves nothing."""
    fixed = {"channel": "web", "currency": "EUR", "unit_cost": 1_000, "list_price": PRICE, "floor": 1_000}
    pace = {"min_change_bp": 10_000, "updated_at": "2025-01-01T00:00:00.000Z"}
    for number in range(offers):
        policy = {**fixed, **pace, "sku": f"sku-{number:07d}", "version": version, "ceiling": ceiling}
        yield OFFER_POLICIES, load.key(number), orjson.dumps(policy)


class _Changes:
    """Reads price changes as they become visible."""

    def __init__(self, settings: Settings, worker: WorkerUnderTest) -> None:
        self._worker = worker
        self._decode = msgspec.json.Decoder(_Change).decode
        self._consumer = ck.Consumer({**settings.consumer_config(), "group.id": f"{settings.group}-watch"})
        name = PRICE_CHANGES.full_name(settings.topic_prefix)
        self._consumer.assign([ck.TopicPartition(name, p, 0) for p in range(settings.partitions)])
        self._found: dict[str, set[bytes]] = {}

    def wait_for(self, offers: int, reason: str) -> None:
        """Return when so many offers have had a change for this reason."""
        deadline = time.monotonic() + DEADLINE_S
        while len(self._found.get(reason, ())) < offers:
            self._worker.require_running()
            if time.monotonic() > deadline:
                raise NotReady(f"{len(self._found.get(reason, ()))} of {offers} offers have had their {reason}")
            for record in self._consumer.consume(READ_AT_ONCE, READ_S):
                if record.error() is None:
                    change = self._decode(record.value() or b"")
                    self._found.setdefault(change.reason, set()).add(record.key() or b"")
