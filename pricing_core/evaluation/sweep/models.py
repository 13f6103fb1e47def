"""What a sweep's model says: sense, nonsense, and worse."""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from pricing_core.deciding import Ask
from pricing_core.features import FEATURES, MOVES_BP
from pricing_core.ladder import Ladder
from pricing_core.offers import Offers
from pricing_core.valuation import Float32, Valuation
from schemas.columns import Int64

A = len(MOVES_BP)
HUGE = np.float32(3e38)
WILD = np.array([np.nan, np.inf, -np.inf, HUGE, -HUGE, 0.0], np.float32)


def wild(rng: Generator) -> Ask:
    """A model that is right, wrong, not finite, or always for the lowest or the highest price, legal or not.

    For every third offer it even writes other prices over the candidates: then the guards stand alone.
    """

    def ask(offers: Offers, ladder: Ladder, _: Float32) -> Valuation:
        n = len(offers)
        _scribble(rng, offers, ladder)
        q = rng.normal(size=(n, A)).astype(np.float32)
        broken = rng.random((n, A)) < np.where(rng.random((n, 1)) < 0.3, 0.3, 0.0)
        q[broken] = rng.choice(WILD, broken.sum())
        chosen = np.select(
            [rng.random(n) < share for share in (0.4, 0.25, 0.33, 0.5)],
            [
                np.where(ladder.legal, q, -np.inf).argmax(axis=1),
                rng.integers(-2, A + 2, n),
                np.zeros(n),
                np.full(n, A - 1),
            ],
            rng.integers(0, A, n),
        ).astype(np.int64)
        features = np.zeros((n, len(FEATURES)), np.float32)
        probabilities, nothing = rng.random((n, A)).astype(np.float32), np.zeros(n, np.int64)
        return Valuation(q, chosen, probabilities, nothing, rng.random(n) < 0.5, features, nothing)

    return ask


def _scribble(rng: Generator, offers: Offers, ladder: Ladder) -> None:
    """Write prices over candidates that are a unit beside what some rule is about."""
    rows = np.flatnonzero(rng.random(len(offers)) < 1 / 3)
    if not len(rows):
        return
    about = _limits(offers.take(rows))
    picked = about[np.arange(len(rows))[:, None], rng.integers(0, about.shape[1], (len(rows), A))]
    ladder.prices[rows] = picked + rng.integers(-1, 2, picked.shape)


def _limits(offers: Offers) -> Int64:
    """Prices at which rules begin to hold, [n, k]; and some that are far from everything."""
    policy, current = offers.policy, offers.current
    step = policy["max_step_bp"] * current // 10_000
    daily = policy["max_daily_change_bp"] * current // 10_000
    nothing = np.zeros_like(current)
    return np.stack(
        [
            *(policy[name] for name in ("floor", "ceiling", "map_price", "margin_floor", "promotion_price", "high")),
            *(current, current - step, current + step, current - daily, current + daily, current // 10, current * 10),
            *(current * (100 + percent) // 100 for percent in (-30, -10, -5, -3, -1, 1, 3, 5, 10, 30)),
            *(policy["family_low"] * (10_000 + policy["max_family_spread_bp"]) // 10_000, policy["family_high"]),
            policy["family_high"] * 10_000 // (10_001 + policy["max_family_spread_bp"]),  # no division by 0
            *(offers.window.month_lowest.min(axis=1), offers.state["rival_price"][:, 0], offers.state["regular_price"]),
            *(nothing, nothing + 2**62, -current),
        ],
        axis=1,
    )
