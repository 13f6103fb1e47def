"""Decisions of an engine that were joined with sales of a known demand, without Kafka."""

import numpy as np
from msgspec.structs import replace

from schemas import columns as c
from schemas.transitions import Outcome
from streams.outcomes.decided import SOURCES
from streams.outcomes.intervals import Intervals
from streams.outcomes.written import decisions, transition
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import records_of


def joined(rounds, offers=60, elasticity=4.0, seed=0, shard=0):
    """Transitions of some rounds, one a day, of offers whose demand has one elasticity."""
    made, random, founds = engine(shard, seed=seed), np.random.default_rng(seed), []
    keys = [b"web:%d-%d" % (shard, i) for i in range(offers)]
    made.apply(shard, batch(c.PolicyColumns, *({"key": k, "cooldown_ms": 0} for k in keys)))
    for day in range(1, rounds + 1):
        now = T0 + day * DAY
        shown = [{"key": k, "count": int(random.integers(20, 80)), "time": now - HOUR} for k in keys]
        made.apply(shard, batch(c.ClickColumns, *shown))
        founds += records_of(made, made.decide(shard, now, "ACTIVE"), shard)
        answers = [
            {"key": found.key, "version": found.record.version, "price": found.record.price, "time": now}
            for found in founds[-offers:]
            if found.record.outcome == "changed"
        ]
        if answers:
            made.apply(shard, batch(c.AppliedColumns, *answers))
    founds = [found._replace(offset=offset, record=_held(found.record)) for offset, found in enumerate(founds)]
    intervals, closed = Intervals(window=DAY, lateness=0), []
    for decision in decisions(founds, dict.fromkeys(SOURCES, 0)):
        closed += intervals.decide(decision)
    return [_sold(transition(one), elasticity, random) for one in closed]


def _held(record):
    """The price stays as far as the join is concerned, which here reads no answers."""
    return record if record.outcome == "held" else replace(record, outcome="held", price=record.previous_price)


def _sold(one, elasticity, random):
    """Let the carried-out candidate be any legal one, and let it sell what it must."""
    if one.starts_at is None:
        return one
    action = int(random.choice(np.flatnonzero(one.legal)))
    price = one.prices[action]
    units = int(random.poisson(20.0 * (price / one.previous_price) ** -elasticity))
    happened = Outcome(orders=units, units=units, revenue=units * price)
    return replace(one, action=action, price=price, happened=happened)
