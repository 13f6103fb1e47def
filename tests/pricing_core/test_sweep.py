"""Small sweeps; `repricer sweep --states 1000000` is the large one. One that could find nothing would prove nothing."""

import pytest

from pricing_core import deciding
from pricing_core.evaluation.sweep.run import sweep
from pricing_core.guardrails import CONDITIONS, PRICE_RULES

STATES = 20_000
FEWER = 10_000
MOVING = {"demand", "bounds_repair", "promotion", "promotion_over", "competitors", "rollback"}


def first_that_finds(rule):
    """A sweep that finds the rule broken: some rules rarely stand alone between a model and a price."""
    for seed in range(20):
        swept = sweep(FEWER, seed=seed)
        if swept.broken[rule]:
            return swept
    pytest.fail(f"no price that breaks {rule} in {20 * FEWER} states")


def test_no_moved_price_breaks_a_rule_whatever_state_policy_and_model_say():
    swept = sweep(STATES, seed=1)
    assert (swept.states, swept.out_of_bounds, swept.examples) == (STATES, 0, [])
    assert swept.nonfinite_in > STATES / 20
    assert MOVING | {check.code for check in (*CONDITIONS, *PRICE_RULES)} <= set(swept.reasons)
    assert all(swept.reasons[reason] > STATES / 1000 for reason in MOVING)


def test_another_seed_draws_other_states():
    assert sweep(1000, seed=1).reasons == sweep(1000, seed=1).reasons != sweep(1000, seed=2).reasons


@pytest.mark.parametrize("rule", [check.code for check in PRICE_RULES])
def test_control_without_one_price_rule_the_sweep_finds_prices_that_break_it(monkeypatch, rule):
    monkeypatch.setattr(deciding, "PRICE_RULES", tuple(check for check in PRICE_RULES if check.code != rule))
    swept = first_that_finds(rule)
    assert swept.out_of_bounds == sum(swept.broken.values())


@pytest.mark.parametrize(
    "rule",
    [
        *("halted", "paused", "currency_mismatch", "pending_acknowledgement", "stock_out", "stale_input", "cooldown"),
        *("superseded", "expired", "paused_by_operator", "rejected", "pending_approval"),
    ],
)
def test_control_without_one_condition_the_sweep_finds_offers_that_should_have_been_held(monkeypatch, rule):
    monkeypatch.setattr(deciding, "CONDITIONS", tuple(check for check in CONDITIONS if check.code != rule))
    first_that_finds(rule)
