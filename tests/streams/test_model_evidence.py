"""From decisions with what followed to what the gate judges by: which count, and the running model as a candidate."""

import msgspec
import numpy as np
import pytest

from pricing_core.evaluation.gate import Guarded, judge
from pricing_core.features import HOLD
from pricing_core.recorded import Recorded
from schemas.columns import RECOMMEND
from streams.models.choices import sort_out
from streams.models.evidence import decide_logged, evidence, log_of, logged_prices
from streams.models.transitions import Happened
from tests.pricing_core.engines import MODEL
from tests.streams.followed_decisions import played, wanting_another_price

pytestmark = pytest.mark.timeout(580)


@pytest.fixture(scope="module")
def log():
    return played(offers=60, days=25)


def logged(followed):
    """What the log says of the model that wrote it."""
    found = sort_out(followed)
    _, said, _ = log_of(found, decide_logged(MODEL, found.free))
    return said


def test_a_price_that_holds_for_longer_earns_no_more_by_that(log):
    """A day earns 1,000 at every price; moves last for four days, holds for one."""
    lasting = []
    for one in log:
        days = 1 if one.action == HOLD else 4
        happened = Happened(units=days, revenue=1700 * days, impressions=200)
        lasting.append(msgspec.structs.replace(one, ends_at=f"2026-01-{1 + days:02}T00:00:00Z", happened=happened))
    profits = logged(lasting)
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
    assert logged_prices([log[0], one], np.zeros((2, 9))).units.tolist() == [log[0].happened.units, 3.0]


def test_the_running_model_as_a_candidate_is_as_good_as_itself_and_lacks_a_shadow_run(log):
    found = sort_out(log)
    assert len(found.free) > 1_000
    judgement = judge(evidence(found, MODEL, MODEL, shadow=None))
    assert [reason.partition(":")[0] for reason in judgement.reasons] == ["shadow"]
    assert judgement.figures["effective_sample_size"] == pytest.approx(len(found.free), rel=1e-3)
    assert abs(judgement.figures["gain_value"]) < 0.02
    assert judgement.figures["roll_out_value"] == 0.0
    assert judgement.figures["guards_candidate"] <= judgement.figures["guards_running"] + 0.01


def by_mode(one, mode):
    """The same decision under a policy of another mode."""
    recorded = Recorded.unpacked([one.inputs])
    recorded.policies["mode"] = mode
    return msgspec.structs.replace(one, inputs=recorded.packed()[0])


def test_which_decisions_are_looked_at_does_not_depend_on_what_was_chosen(log):
    """Holds of offers whose moves wait for somebody would be holds of a model that never moves."""
    choices = [one for reason in ("demand", "model_holds") for one in [o for o in log if o.reason == reason][:20]]
    recommended = [
        msgspec.structs.replace(by_mode(one, RECOMMEND), outcome="recommended" if one.chosen != HOLD else "held")
        for one in choices
    ]
    assert len({one.chosen == HOLD for one in choices}) == 2

    found = sort_out([*recommended, *choices])

    assert found.free == choices
    assert found.left_out["another carries it out"] == len(recommended)


def unanswered(log, share):
    """The catalog has not answered some of the moves."""
    chance = np.random.default_rng(3).uniform(size=len(log))
    return [
        msgspec.structs.replace(one, acknowledgement="missing", starts_at=None, ends_at=None)
        if one.chosen != HOLD and luck < share
        else one
        for one, luck in zip(log, chance, strict=True)
    ]


def test_moves_that_nobody_answered_make_up_for_themselves_by_chance_and_refuse_beyond(log):
    """Of the known decisions fewer are moves: so they were less probable among them."""
    whole, few = (logged(one) for one in (log, unanswered(log, 0.15)))
    best = whole.logging.argmax(axis=1) == whole.action
    moved = few.action != HOLD
    assert few.logging[~moved].sum(axis=1) == pytest.approx(1.0)
    # what importance weighting needs: moves are as frequent as they are said to be
    expected = 1.0 - few.logging[:, HOLD]
    assert moved.mean() == pytest.approx(expected.mean(), abs=0.02)
    assert best.any()
    with pytest.raises(ValueError, match="depends on what was chosen"):
        logged(unanswered(log, 0.5))


def test_inputs_of_another_layout_are_left_out_and_counted(log):
    found = sort_out([msgspec.structs.replace(log[-1], inputs=b"another layout"), *log[-3:]])
    assert found.left_out["inputs unreadable"] == 1
    assert len(found.free) + found.left_out.total() + len(found.guarded) == 4


def test_a_model_that_wants_what_was_never_tried_is_refused(log):
    judgement = judge(evidence(sort_out(log), wanting_another_price(MODEL), MODEL, Guarded(2000, 0, 0)))
    assert any("that the logging policy cannot take" in reason for reason in judgement.reasons)


def test_without_a_log_nothing_is_promoted():
    judgement = judge(evidence(sort_out([]), MODEL, MODEL, Guarded(2000, 0, 0)))
    assert [reason.partition(":")[0] for reason in judgement.reasons] == ["off-policy", "roll-outs", "guards"]
