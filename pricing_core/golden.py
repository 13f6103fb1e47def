"""A fixed batch of decisions that every model must be able to make before it prices anything.

The offers come of fixed events, through the code that a worker runs: new and old, dear and cheap, with and without
rivals, stock, sales. What is asked is not whether a model decides well, but whether it decides at all.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pricing_core import rolling_sums, valuation
from pricing_core.decisions import Decisions
from pricing_core.model_file import Model
from pricing_core.replaying import Question, ReplayingEngine
from schemas.binary import BinaryArray
from schemas.codec import decoder_for, encode
from schemas.columns import NONE
from schemas.events import ClickRecorded, CompetitorPriceObserved, InventoryCounted, OrderRecorded
from schemas.policies import OfferPolicy
from schemas.timestamps import format_ms, parse_ms
from schemas.topics import CLICKS, COMPETITOR_PRICES, INVENTORY, OFFER_POLICIES, ORDERS, Topic, offer_key

OFFERS = 32
LEAST_CONSIDERED = 24
CAPACITY = 64
DAY_MS = 86_400_000
NOW = 1_790_000_000_000
"""Event time of the decisions."""
DAYS = 14
Event = OfferPolicy | ClickRecorded | OrderRecorded | CompetitorPriceObserved | InventoryCounted
COMPILED = (*rolling_sums.COMPILED, *valuation.COMPILED)


class ModelUnfit(Exception):
    """A model that can be read, and cannot decide the golden batch. The message is one line for a person."""


class GoldenBatch:
    """The batch, and an engine of its own that decides it: not the one that prices, and so in any thread."""

    def __init__(self, model: Model) -> None:
        """Make the batch and compile what decides it, with a model that is known to be good.

        Raises:
            ModelUnfit: It is not.
        """
        self._engine = ReplayingEngine(model, capacity=CAPACITY)
        self._engine.open_shard(0)
        for day in range(DAYS, 0, -1):
            now = NOW - day * DAY_MS
            self._hear(now - DAY_MS, now)
            self._engine.decide(0, now, "HALTED")  # nothing moves, but what is sold from now on is learned from
        self._hear(NOW - DAY_MS, NOW)
        decisions = self._engine.decide(0, NOW, "ACTIVE")
        self._engine.drop_shard(0)
        self._question = Question(
            recorded=decisions.recorded,
            now=decisions.now,
            mode=decisions.run_mode,
            scope=decisions.run_mode_scope,
            uniform=decisions.uniform,
            sequence=decisions.sequence,
            batch=int(decisions.batch.max()),
        )
        _require_fit(model, self._decide(model))

    def _hear(self, after: int, until: int) -> None:
        for topic, events in _events().items():
            heard = [event for event in events if after < _time(event) <= until]
            if heard:
                keys = BinaryArray.of(offer_key(event.channel, event.sku) for event in heard)
                decoded = decoder_for(topic)(keys, BinaryArray.of(encode(event) for event in heard), NOW)
                assert not decoded.rejects, decoded.rejects[0].detail
                self._engine.apply(0, decoded.columns)

    def judge(self, model: Model) -> Decisions:
        """Let a model decide the batch.

        Returns:
            Its decisions, `OFFERS` of them.

        Raises:
            ModelUnfit: It does not answer with finite values and legal choices, or would have to be compiled for.
        """
        before = _compilations()
        decisions = self._decide(model)
        _require_fit(model, decisions)
        if _compilations() != before:  # on the hot path that would be a pause of seconds
            raise ModelUnfit(f"{model.label} is not computed by what is compiled already")
        return decisions

    def _decide(self, model: Model) -> Decisions:
        self._engine.model = model
        return self._engine.decide_again(self._question)


def differing(one: Decisions, other: Decisions) -> int:
    """How many of the decisions of two models about the batch differ, in outcome or price."""
    return int(((one.outcome != other.outcome) | (one.price != other.price)).sum())


def _require_fit(model: Model, decisions: Decisions) -> None:
    considered = np.flatnonzero(decisions.considered)
    assert len(considered) >= LEAST_CONSIDERED, "the batch itself holds too few offers with a choice"
    q, legal = decisions.q[considered], decisions.masked[considered] == 0
    chosen = decisions.chosen[considered]
    faults = {
        "gives values that are no numbers": ~(np.isfinite(q) | ~legal).all(axis=1),
        "chooses nothing": chosen == NONE,
        "chooses forbidden prices": ~np.take_along_axis(legal, np.maximum(chosen, 0)[:, None], axis=1)[:, 0],
        "gives impossible propensities": ~((decisions.propensity > 0) & (decisions.propensity <= 1))[considered],
    }
    for what, rows in faults.items():
        if rows.any():
            raise ModelUnfit(f"{model.label} {what}, in {int(rows.sum())} of {len(considered)} golden decisions")


def _compilations() -> list[int]:
    return [function._cache_size() for function in COMPILED]  # type: ignore[attr-defined]  # noqa: SLF001  # JAX says it nowhere else


def _events() -> dict[Topic, Sequence[Event]]:
    """What was heard of the offers, by topic; policies first."""
    policies = [_policy(i) for i in range(OFFERS)]
    days = [(policy, i, NOW - day * DAY_MS) for day in range(DAYS, 0, -1) for i, policy in enumerate(policies)]
    return {
        OFFER_POLICIES: policies,
        CLICKS: [_shown(policy, i, at) for policy, i, at in days if i % 8],
        ORDERS: [_sold(policy, i, at) for policy, i, at in days if i % 3],
        COMPETITOR_PRICES: [_rival(policy, i) for i, policy in enumerate(policies) if i % 4],
        INVENTORY: [_stock(policy, i) for i, policy in enumerate(policies) if i % 5],
    }


def _time(event: Event) -> int:
    if isinstance(event, OfferPolicy):
        return parse_ms(event.updated_at)
    return parse_ms(event.observed_at if isinstance(event, CompetitorPriceObserved) else event.occurred_at)


def _policy(i: int) -> OfferPolicy:
    price = (499, 1299, 4999, 24900)[i % 4]
    return OfferPolicy(
        sku=f"golden-{i}",
        channel="web",
        version=1,
        currency="EUR",
        unit_cost=price * (40 + i) // 100,
        list_price=price,
        floor=price * 75 // 100,
        ceiling=price * 150 // 100,
        updated_at=format_ms(NOW - DAYS * DAY_MS),
    )


def _id(policy: OfferPolicy, what: str, at: int) -> str:
    return f"{policy.sku}-{what}-{at}"


def _shown(policy: OfferPolicy, i: int, at: int) -> ClickRecorded:
    return ClickRecorded(
        event_id=_id(policy, "shown", at),
        kind="impression",
        sku=policy.sku,
        channel=policy.channel,
        price_shown=policy.list_price,
        occurred_at=format_ms(at),
        count=1 + i**3,
    )


def _sold(policy: OfferPolicy, i: int, at: int) -> OrderRecorded:
    quantity = 1 + i // 4
    return OrderRecorded(
        event_id=_id(policy, "sold", at),
        type="placed",
        order_id=_id(policy, "sold", at),
        sku=policy.sku,
        channel=policy.channel,
        quantity=quantity,
        line_total=quantity * policy.list_price,
        currency="EUR",
        occurred_at=format_ms(at),
    )


def _rival(policy: OfferPolicy, i: int) -> CompetitorPriceObserved:
    return CompetitorPriceObserved(
        event_id=_id(policy, "rival", NOW),
        sku=policy.sku,
        channel=policy.channel,
        competitor="other",
        price=policy.list_price * (85 + i) // 100,
        currency="EUR",
        observed_at=format_ms(NOW - DAY_MS),
    )


def _stock(policy: OfferPolicy, i: int) -> InventoryCounted:
    return InventoryCounted(
        event_id=_id(policy, "stock", NOW),
        sku=policy.sku,
        channel=policy.channel,
        on_hand=1 + i * i,
        occurred_at=format_ms(NOW - DAY_MS),
    )
