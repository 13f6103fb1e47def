"""From decisions with what followed to what the gate judges by: which count, and the running model as a candidate."""

from dataclasses import replace

import jax
import msgspec
import numpy as np
import pytest

from pricing_core.evaluation.gate import Guarded, judge
from pricing_core.features import HOLD
from streams.models.evidence import evidence, logged_prices, sort_out
from streams.models.transitions import Happened
from tests.pricing_core.engines import MODEL
from tests.streams.followed_decisions import played

pytestmark = pytest.mark.timeout(580)


@pytest.fixture(scope="module")
def log():
    return played(offers=60, days=25)


def test_a_price_that_holds_for_longer_earns_no_more_by_that(log):
    """A day earns 1,000 at every price; moves last for four days, holds for one."""
    lasting = []
    for one in log:
        days = 1 if one.action == HOLD else 4
        happened = Happened(units=days, revenue=1700 * days, impressions=200)
        lasting.append(msgspec.structs.replace(one, ends_at=f"2026-01-{1 + days:02}T00:00:00Z", happened=happened))
    profits = logged_prices(sort_out(lasting).free)
    for offer in np.unique(profits.offer):
        assert np.ptp(profits.profit[profits.offer == offer]) < 1e-6


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
        change(next(one for one in log if one.chosen != 4 and one.reason == "demand"), outcome="recommended", action=4),
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
