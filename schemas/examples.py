"""One good value of every type, about one offer, for the documents and the tests."""

from __future__ import annotations

from hashlib import sha256

import msgspec

from schemas.alarms import AlarmRaised
from schemas.dead_letter import DeadLettered, Reason, Replayed
from schemas.decisions import Candidates, PriceChanged, PriceDecided, Verdict
from schemas.events import (
    ClickRecorded,
    CommandGiven,
    CompetitorPriceObserved,
    ExperimentSet,
    InventoryCounted,
    OrderRecorded,
    PriceApplied,
    RunModeSet,
    Ticked,
)
from schemas.models import ModelPinned, ModelPublished, ModelSetLive, ModelStatusSet, WeightsPart
from schemas.policies import OfferPolicy
from schemas.summaries import FamilySummarised, ShardSummarised, Stopped
from schemas.timestamps import format_ms
from schemas.transitions import Next, Outcome, TransitionClosed

NOW = 1_790_000_000_000
AT = format_ms(NOW)
DAY_MS = 86_400_000
KEY = b"web:SKU-1"

ORDER = OrderRecorded(
    event_id="e-1",
    type="placed",
    order_id="o-1",
    sku="SKU-1",
    channel="web",
    quantity=2,
    line_total=2598,
    currency="EUR",
    occurred_at=AT,
)
CLICK = ClickRecorded(
    event_id="e-2", kind="click", sku="SKU-1", channel="web", price_shown=1299, occurred_at=AT, count=3
)
RIVAL = CompetitorPriceObserved(
    event_id="e-3",
    sku="SKU-1",
    channel="web",
    competitor="Müller",
    price=1249,
    currency="EUR",
    observed_at=AT,
    shipping=399,
    in_stock=False,
)
STOCK = InventoryCounted(event_id="e-4", sku="SKU-1", channel="web", on_hand=7, occurred_at=AT)
APPLIED = PriceApplied(
    sku="SKU-1", channel="web", version=4, status="applied", price=1249, currency="EUR", applied_at=AT
)
POLICY = OfferPolicy(
    sku="SKU-1",
    channel="web",
    version=3,
    currency="EUR",
    unit_cost=700,
    list_price=1299,
    floor=900,
    ceiling=1999,
    updated_at=AT,
    min_margin_bp=500,
    price_ending="09",
    promotion_price=1109,
    promotion_from=format_ms(NOW + 30 * DAY_MS),
    promotion_to=format_ms(NOW + 37 * DAY_MS),
    max_stock_age_s=60,
    category="shoes",
)
COMMAND = CommandGiven(
    event_id="rollback-1-web:SKU-1",
    sku="SKU-1",
    channel="web",
    command="rollback",
    by="ann",
    why="a model gone wrong",
    at=AT,
    price=1299,
    currency="EUR",
    expires_at=format_ms(NOW + 3_600_000),
)
TICK = Ticked(at=AT)
HALT = RunModeSet(mode="HALTED", by="ops", why="a price war", at=AT, channel="web")
EXPERIMENT = ExperimentSet(
    experiment="spring-2026",
    kind="offers",
    starts_at=AT,
    ends_at=format_ms(NOW + 28 * DAY_MS),
    by="ann",
    why="what does repricing earn?",
    at=AT,
    control_share_bp=1_000,
)
CHANGE = PriceChanged(
    decision_id="3-17",
    sku="SKU-1",
    channel="web",
    version=4,
    price=1249,
    previous_price=1299,
    prior_price=1279,
    currency="EUR",
    policy_version=3,
    reason="demand",
    valid_from=AT,
    expires_at=format_ms(NOW + 3_600_000),
)
DECISION = PriceDecided(
    decision_id="3-17",
    sku="SKU-1",
    channel="web",
    outcome="changed",
    reason="demand",
    decided_at=AT,
    price=1249,
    previous_price=1299,
    prior_price=1279,
    currency="EUR",
    version=4,
    policy_version=3,
    run_mode="ACTIVE",
    model="shipped 1",
    features=[0.5, None],
    candidates=Candidates(prices=[1249, 1299], q=[1.5, None], masked=[None, "floor"]),
    chosen=0,
    propensity=0.99,
    lower_bound=900,
    upper_bound=1999,
    verdict=Verdict("demand"),
    applied={"orders": 12},
    rules=1,
    epsilon=0.05,
    uniform=0.5,
    batch=32,
    run_mode_scope=None,
    command=None,
    proposal_expires_at=None,
    inputs=b"\1\2",
)
DEAD_LETTER = DeadLettered(
    topic="repricer.orders",
    partition=3,
    offset=12,
    reason=Reason.MALFORMED_JSON,
    detail="Input data was truncated",
    key=KEY,
    value=b"{",
    length=1,
    sha256=sha256(b"{").hexdigest(),
    rejected_at=AT,
)
REPLAY = Replayed(
    topic="repricer.orders", partition=3, offset=12, state="done", to_partition=3, to_offset=40, by="ann", at=AT
)

ALARM = AlarmRaised(
    alarm_id="3-a7",
    severity="warning",
    code="acknowledgement_overdue",
    scope="shard/3",
    cause="price changes were sent several times, and the catalog has answered none of them",
    values={"offer": "web:SKU-1"},
    what_to_do="See whether the catalog reads price-changes and writes price-applied.",
    count=12,
    at=AT,
    worker="worker-1",
    shard=3,
)

SUMMARY = ShardSummarised(
    shard=3,
    worker="worker-1",
    at=AT,
    event_time=AT,
    resumed_at=None,
    offers=8000,
    moved=4100,
    repeated=4050,
    notable=4000,
    distance_bp=4_000_000,
    extreme=0,
    answered=3900,
    rejected=2,
    asked=6000,
    anomalous=0,
    stopped=Stopped(code="many_changes", limit=5000, value=5001, source="", at=AT),
)
FAMILY = FamilySummarised(
    family="0123456789abcdef",
    shard=3,
    channel="web",
    currency="EUR",
    lowest=1249,
    highest=1299,
    members=2,
    event_time=AT,
)
TRANSITION = TransitionClosed(
    decision_id="3-17",
    sku="SKU-1",
    channel="web",
    decided_at=AT,
    outcome="changed",
    reason="demand",
    model="shipped 1",
    rules=1,
    run_mode="ACTIVE",
    policy_version=3,
    currency="EUR",
    starts_at=format_ms(NOW + 2_000),
    ends_at=format_ms(NOW + 6 * 3_600_000),
    ended_by="decision",
    acknowledgement="applied",
    censored=False,
    truncated=False,
    incomplete=False,
    price=1249,
    previous_price=1299,
    features=[0.5, None],
    prices=[1249, 1299],
    legal=[True, True],
    q=[1.5, 1.25],
    chosen=0,
    action=0,
    propensity=0.99,
    epsilon=0.05,
    profit_slope=0.84,
    profit_offset=700.0,
    stock_start=12,
    stock_end=9,
    happened=Outcome(orders=2, units=3, revenue=3747, impressions=120, clicks=9, add_to_carts=4),
    next=Next(decision_id="3-21", features=[0.25, None], legal=[True, False], inputs=b"\3\4"),
    inputs=b"\1\2",
)

_WEIGHTS = b"weights"
_SHA256 = sha256(_WEIGHTS).hexdigest()
MODEL = ModelPublished(
    name="default",
    version=3,
    sha256=_SHA256,
    size=len(_WEIGHTS),
    parts=1,
    uri=None,
    manifest={"name": "default", "version": 3, "sha256": _SHA256, "epsilon": 0.06},
    by="learner-1",
    why="three days of transitions more",
    at=AT,
)
PART = WeightsPart(name="default", version=3, part=0, data=_WEIGHTS)
STATUS = ModelStatusSet(
    name="default",
    version=3,
    status="candidate",
    reasons=["off-policy: the effective sample size is 41.0 of 5,000 decisions"],
    by="ann",
    why="wanted to promote it",
    at=AT,
)
LIVE = ModelSetLive(
    name="default", version=3, sha256=_SHA256, before=[None, 2], by="ann", why="it earns more in the shadow", at=AT
)

PINNED = ModelPinned(name="default", pinned=True, by="ann", why="the week before Christmas", at=AT)

_FACTS = (ORDER, CLICK, RIVAL, STOCK, APPLIED, POLICY, COMMAND, TICK, HALT, EXPERIMENT)
_ANSWERS = (CHANGE, DECISION, DEAD_LETTER, REPLAY, ALARM, SUMMARY, FAMILY, TRANSITION)
_MODELS = (MODEL, PART, STATUS, LIVE, PINNED)
EXAMPLES: dict[type[msgspec.Struct], msgspec.Struct] = {
    type(example): example for example in (*_FACTS, *_ANSWERS, *_MODELS)
}
"""By type."""
