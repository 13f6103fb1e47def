"""What can happen to a shard while it is on its way; everything else is tested on brokers."""

import asyncio
import threading

from pricing_core.engine import PricingEngine
from pricing_core.model_file import load_model
from pricing_core.run_modes import CHANNEL, HALTED, Scope
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
        self.still_ours = frozenset()

    def read(self, partitions, _cancelled):
        self.has_read.set()
        assert self.may_return.wait(30)
        return {p: ShardLog(p, applied=dict(POSITIONS), ends=dict(POSITIONS)) for p in partitions}

    def confirm(self, last_cuts, _cancelled):
        return {p: [] for p in last_cuts if p in self.still_ours}


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


def own(takeover, faults):
    return Ownership(
        Settings(partitions=3),
        pipeline=Pipeline(Settings(partitions=3), PricingEngine(load_model(), capacity=1024), Metrics()),
        takeover=takeover,
        writer=Writer(),
        data_plane=Plane(),
        metrics=Metrics(),
        is_member=lambda _claim: True,
        halt=faults.append,
    )


def claim(generation, *partitions):
    return Claim("shop", generation, "a", frozenset(partitions))


async def settled(ownership):
    await asyncio.wait_for(ownership._joining._task, 30)


async def halted_during(takeover):
    faults = []
    ownership = own(takeover, faults)
    await ownership.on_assigned(claim(1, 0))
    assert await asyncio.to_thread(takeover.has_read.wait, 30)
    await ownership.control(0, 7, b"channel:web", encode(HALT))
    takeover.may_return.set()
    await settled(ownership)
    mode = ownership.shards[0].run_modes.of_scope[Scope(CHANNEL, "web")]
    ownership.close()
    assert (ownership.ready, faults) == (True, [])
    return mode


async def rebalanced(takeover):
    """From partitions 0 and 1 to 1 and 2: what is read before partition 2 is here, and after; which shards are old."""
    faults = []
    ownership = own(takeover, faults)
    takeover.may_return.set()
    await ownership.on_assigned(claim(1, 0, 1))
    await settled(ownership)
    before = dict(ownership.shards)
    await ownership.on_giving_up()
    assert (ownership.shards, ownership.ready) == ({}, False)
    takeover.may_return.clear()
    takeover.has_read.clear()
    await ownership.on_assigned(claim(2, 1, 2))
    assert await asyncio.to_thread(takeover.has_read.wait, 30)
    meanwhile = set(ownership.shards)
    takeover.may_return.set()
    await settled(ownership)
    kept = {p for p, shard in ownership.shards.items() if shard is before.get(p)}
    ready = ownership.ready
    ownership.close()
    assert faults == []
    return meanwhile, set(ownership.shards) if ready else None, kept


def test_a_halt_that_comes_while_a_shard_is_taken_over_holds_it():
    assert asyncio.run(halted_during(SlowTakeover())) == HALTED


def test_a_shard_that_the_log_confirms_goes_on_while_new_ones_are_read():
    takeover = SlowTakeover()
    takeover.still_ours = {0, 1}
    assert asyncio.run(rebalanced(takeover)) == ({1}, {1, 2}, {1})


def test_a_shard_that_the_log_does_not_confirm_is_read_again():
    assert asyncio.run(rebalanced(SlowTakeover())) == (set(), {1, 2}, set())
