"""Engines for tests. All have one capacity, so that everything is compiled once."""

from dataclasses import fields

import numpy as np

from pricing_core.engine import Intervals, PricingEngine
from pricing_core.features import FEATURES, HOLD, MOVES_BP
from pricing_core.model_file import load_model
from pricing_core.valuation import Valuation
from tests.pricing_core.events import HOUR, MINUTE, T0

CAPACITY = 64
MODEL = load_model()
INTERVALS = Intervals(decision=15 * MINUTE, review=6 * HOUR, acknowledgement=HOUR)
UP = HOLD + 1


def engine(*shards, **options):
    made = PricingEngine(MODEL, **{"capacity": CAPACITY, **options})
    for shard in shards or (0,):
        made.open_shard(shard)
    return made


def opinion(prices, chosen=HOLD, q=0.0):
    """What a model says that was not asked: the same about every offer."""
    n = len(prices)
    q = np.broadcast_to(np.asarray(q, np.float32), (n, len(MOVES_BP)))
    chosen = np.broadcast_to(np.asarray(chosen, np.int64), n)
    sure = (np.arange(len(MOVES_BP)) == chosen[:, None]).astype(np.float32)
    nothing, features = np.zeros(n, np.int64), np.zeros((n, len(FEATURES)), np.float32)
    return Valuation(q, chosen, sure, nothing, nothing > 0, features, np.full(n, 32))


def opinionated(made, chosen, q=0.0):
    """The engine with a model that always chooses the same move."""
    made._ask = lambda _offers, ladder, _chance: opinion(ladder.prices, chosen, q)
    return made


def decide(made, now=T0, run_mode="ACTIVE", **options):
    return made.decide(0, now, run_mode, **options)


def only(decisions):
    """The columns of the only decision."""
    assert len(decisions) == 1
    values = {f.name: getattr(decisions, f.name) for f in fields(decisions) if f.name != "now"}
    return type("Decision", (), {name: column[0] for name, column in values.items()} | {"code": decisions.reasons[0]})
