"""From decisions with what followed to what the gate judges by: which count, and the running model as a candidate."""

from dataclasses import replace

import jax
import msgspec
import numpy as np
import pytest

from pricing_core.decisions import CHANGED
from pricing_core.evaluation.gate import Guarded, judge
from schemas import columns as c
from streams.models.evidence import evidence, logged_prices, sort_out
from streams.models.transitions import Followed, Happened
from tests.pricing_core.engines import MODEL, engine
from tests.pricing_core.events import DAY, HOUR, T0, batch
from tests.streams.recorded_decisions import records_of

pytestmark = pytest.mark.timeout(580)

OFFERS, DAYS = 60, 25


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
    )


@pytest.fixture(scope="module")
def log():
    """A shop with a decision of every offer a day; dear offers sell less."""
    made, rng, found = engine(0), np.random.default_rng(1), []
    keys = [b"web:%d" % i for i in range(OFFERS)]
    free = {"min_change_bp": 0, "cooldown_ms": 0, "max_daily_change_bp": 10_000}
    made.apply(0, batch(c.PolicyColumns, *({"key": key, **free} for key in keys)))
    for day in range(DAYS):
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


def test_only_decisions_count_in_which_nothing_but_the_model_decided_and_whose_outcome_is_known(log):
    good = next(one for one in log if one.reason == "demand")
    change = msgspec.structs.replace
    left_out = [
        change(good, reason="held_out"),
        change(good, run_mode="REDUCING"),
        change(good, acknowledgement="missing"),
        change(good, incomplete=True),
        change(good, starts_at=None),
        change(good, ends_at=good.starts_at),
        change(good, inputs=None),
        change(good, legal=None, prices=None, chosen=None, action=None, propensity=None),
        change(good, outcome="proposed", action=None),
        change(good, outcome="held", reason="breaker", action=4),
    ]
    forbidden = change(good, outcome="held", reason="ceiling", action=4)
    found = sort_out([good, *left_out, forbidden])
    assert (found.free, found.guarded) == ([good], [forbidden])


def test_profit_is_what_stayed_sold_less_its_cost(log):
    happened = Happened(5, 6500, units_cancelled=1, amount_cancelled=1300, units_returned=1, amount_returned=1300)
    one = msgspec.structs.replace(log[0], happened=happened, profit_slope=0.8, profit_offset=700.0)
    assert one.sold == 3
    assert one.profit == pytest.approx(0.8 * 3900 - 3 * 700)
    assert logged_prices([log[0], one]).units.tolist() == [log[0].happened.units, 3.0]


def test_the_running_model_as_a_candidate_is_as_good_as_itself_and_lacks_a_shadow_run(log):
    found = sort_out(log)
    assert len(found.free) > 1_000
    judgement = judge(evidence(found, MODEL, MODEL, shadow=None))
    assert [reason.partition(":")[0] for reason in judgement.reasons] == ["shadow"]
    assert judgement.figures["effective_sample_size"] == pytest.approx(len(found.free), rel=1e-3)
    assert abs(judgement.figures["gain_value"]) < 0.02
    assert judgement.figures["roll_out_value"] == 0.0
    assert judgement.figures["guards_candidate"] <= judgement.figures["guards_running"] + 0.01


def test_a_model_that_wants_the_opposite_is_refused(log):
    flipped = replace(MODEL, params=jax.tree.map(lambda weights: -weights, MODEL.params))
    judgement = judge(evidence(sort_out(log), flipped, MODEL, Guarded(2000, 0, 0)))
    assert any(reason.startswith("off-policy") for reason in judgement.reasons)


def test_without_a_log_nothing_is_promoted():
    judgement = judge(evidence(sort_out([]), MODEL, MODEL, Guarded(2000, 0, 0)))
    assert [reason.partition(":")[0] for reason in judgement.reasons] == ["off-policy", "roll-outs", "guards"]
