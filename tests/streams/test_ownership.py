"""What can happen to a shard while it is on its way; everything else is tested on brokers."""

import asyncio
import threading

from pricing_core.engine import PricingEngine
from pricing_core.model_file import load_model
from schemas.codec import encode
from schemas.examples import HALT
from schemas.topics import HOT_SOURCES
from streams.metrics import Metrics
from streams.ownership import Ownership
from streams.pipeline import Pipeline
from streams.settings import Settings
from streams.takeover import ShardLog
from streams.transport.identity import Claim

POSITIONS = {topic.name: 0 for topic in HOT_SOURCES}


class SlowTakeover:
    """Has read the log, and has not said so yet."""

    def __init__(self):
        self.has_read, self.may_return = threading.Event(), threading.Event()

    def read(self, partitions, _cancelled):
        self.has_read.set()
        assert self.may_return.wait(30)
        return {p: ShardLog(p, applied=dict(POSITIONS), ends=dict(POSITIONS)) for p in partitions}


class Writer:
    def open(self):
        pass

    def commit(self, cut):
        pass

    def close(self):
        pass


class Plane:
    quiet, epoch = True, 0

    def assign(self, _positions):
        self.epoch += 1
        return self.epoch

    def close(self):
        pass


async def halted_during(takeover):
    settings, faults = Settings(partitions=1), []
    ownership = Ownership(
        settings,
        pipeline=Pipeline(settings, PricingEngine(load_model(), capacity=1024), Metrics()),
        takeover=takeover,
        writer=Writer(),
        data_plane=Plane(),
        metrics=Metrics(),
        is_member=lambda _claim: True,
        halt=faults.append,
    )
    await ownership.on_assigned(Claim("shop", 1, "a", frozenset({0})))
    assert await asyncio.to_thread(takeover.has_read.wait, 30)
    await ownership.control(0, 7, b"*", encode(HALT))
    takeover.may_return.set()
    await asyncio.wait_for(ownership._joining._task, 30)
    assert not faults
    mode = ownership.shards[0].run_mode
    ownership.close()
    assert (ownership.ready, faults) == (True, [])
    return mode


def test_a_halt_that_comes_while_a_shard_is_taken_over_holds_it():
    assert asyncio.run(halted_during(SlowTakeover())) == "HALTED"
