"""Engines for tests. All have one capacity, so that everything is compiled once."""

import numpy as np

from pricing_core.engine import PricingEngine
from pricing_core.features import FEATURES, HOLD, MOVES_BP
from pricing_core.model_file import load_model
from pricing_core.valuation import Valuation

CAPACITY = 64
MODEL = load_model()


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
    return Valuation(q, chosen, np.ones(n, np.float32), np.zeros((n, len(FEATURES)), np.float32))


def opinionated(made, chosen, q=0.0):
    """The engine with a model that always chooses the same move."""
    made._ask = lambda _offers, ladder, _chance: opinion(ladder.prices, chosen, q)
    return made
