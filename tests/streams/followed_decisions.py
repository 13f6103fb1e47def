"""Decisions of an engine, each with what followed on the day after, as `transitions` would say it; without Kafka."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from pricing_core.decisions import CHANGED
from pricing_core.features import CANDIDATE_FEATURES, FEATURES
from pricing_core.q_function import with_range
from schemas import columns as c
from streams.models.transitions import Followed, Happened
from tests.pricing_core.engines import engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import records_of


def followed(record, units, impressions=200):
    """What would stand on the topic for a decision whose price held for a day."""
    moved = record.outcome == "changed"
    return Followed(
        decision_id=record.decision_id,
        sku=record.sku,
        channel=record.channel,
        decided_at=record.decided_at,
        outcome=record.outcome,
        reason=record.reason,
        run_mode=record.run_mode,
        starts_at="2026-01-01T00:00:00Z",
        ends_at="2026-01-02T00:00:00Z",
        acknowledgement="applied" if moved else "not_needed",
        censored=False,
        incomplete=False,
        features=record.features,
        prices=None if record.candidates is None else record.candidates.prices,
        legal=None if record.candidates is None else [code is None for code in record.candidates.masked],
        chosen=record.chosen,
        action=record.chosen if moved else 4,
        propensity=record.propensity,
        epsilon=record.epsilon,
        profit_slope=1.0,
        profit_offset=700.0,
        happened=Happened(units=units, revenue=units * record.price, impressions=impressions),
        inputs=record.inputs,
        q=None if record.candidates is None else record.candidates.q,
        currency=record.currency,
    )


def played(*, offers, days, channels=("web",)):
    """A shop with a decision of every offer a day; dear offers sell less."""
    made, rng, found = engine(0), np.random.default_rng(2), []
    keys = [f"{channels[i % len(channels)]}:{i}".encode() for i in range(offers)]
    free = {"min_change_bp": 0, "cooldown_ms": 0, "max_daily_change_bp": 10_000}
    made.apply(0, batch(c.PolicyColumns, *({"key": key, **free} for key in keys)))
    for day in range(days):
        at = [{"key": key, "time": T0 + day * DAY} for key in keys]
        made.apply(0, batch(c.ClickColumns, *({"count": 200, **a} for a in at)))
        made.apply(0, batch(c.OrderColumns, *({"quantity": 1 + i % 4, **a} for i, a in enumerate(at))))
        decisions = made.decide(0, T0 + day * DAY + HOUR, "ACTIVE")
        for place, one in enumerate(records_of(made, decisions)):
            price = decisions.price[place]
            found.append(followed(one.record, int(rng.poisson(8.0 * (price / 1299) ** -3.0))))
        changed = np.flatnonzero(decisions.outcome == CHANGED)
        answers = [
            {"key": decisions.keys[i], "time": T0 + day * DAY + 2 * HOUR, "version": v, "price": p}
            for i, v, p in zip(changed.tolist(), decisions.version[changed], decisions.price[changed], strict=True)
        ]
        if answers:
            made.apply(0, batch(c.AppliedColumns, *answers))
    return found


def wanting_another_price(model):
    """A model whose correction outweighs the planner for every offer: it always wants the cheapest legal price."""
    kernel = np.zeros((len(CANDIDATE_FEATURES), 1), np.float32)
    kernel[0] = -100.0
    features = len(FEATURES)
    params = {**model.params, "direct": {"kernel": jnp.asarray(kernel)}}
    return replace(model, params=with_range(params, jnp.full(features, -1e9), jnp.full(features, 1e9)))
