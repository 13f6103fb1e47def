"""Halted, reduced, active: which offers, by whose word, and what may still move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_core.decisions import CHANGED
from pricing_core.engine import Moment
from pricing_core.experiments.assignment import Experiment
from pricing_core.features import HOLD
from pricing_core.run_modes import ALL, CATEGORY, CHANNEL, MODES, SCOPES, RunModes, Scope
from schemas import columns as c
from schemas.binary import BinaryArray
from schemas.sources import name_digest
from tests.pricing_core.engines import UP, decide, engine, only, opinionated
from tests.pricing_core.events import DAY, HOUR, T0, applied, batch, policy

DOWN = HOLD - 1
CHANNELS, CATEGORIES = ("web", "we", "web2", "shop"), ("shoes", "hats")
SAID = st.lists(
    st.tuples(
        st.just(ALL)
        | st.builds(Scope, st.just(CHANNEL), st.sampled_from(CHANNELS))
        | st.builds(Scope, st.just(CATEGORY), st.sampled_from(CATEGORIES)),
        st.sampled_from([*MODES, "stopped"]),
    )
)


@given(SAID, st.lists(st.tuples(st.sampled_from(CHANNELS), st.sampled_from([None, *CATEGORIES])), min_size=1))
def test_the_last_word_of_a_scope_counts_and_of_an_offers_scopes_the_strictest(said, offers):
    modes, last = RunModes(), {}
    for scope, mode in said:
        modes = modes.having(scope, mode)
        last[scope] = mode if mode in MODES else "HALTED"
    keys = BinaryArray.of(f"{channel}:a:b".encode() for channel, _ in offers)
    categories = np.array([0 if name is None else name_digest(name.encode()) for _, name in offers])
    found = modes.of_offers(keys, categories, T0)
    for i, (channel, category) in enumerate(offers):
        words = [
            (MODES.index(last.get(scope, "ACTIVE")), kind)
            for kind, scope in enumerate([ALL, Scope(CHANNEL, channel), Scope(CATEGORY, category)], start=1)
        ]
        strictest = max(mode for mode, _ in words)
        widest = min(kind for mode, kind in words if mode == strictest) if strictest else 0
        assert (MODES[found.mode[i]], SCOPES[found.scope[i]]) == (MODES[strictest], SCOPES[widest])


@pytest.mark.parametrize(
    ("price", "choice", "expected"),
    [
        (1400, DOWN, ("demand", 1386)),  # towards the list price of 1299
        (1400, UP, ("reducing", 1400)),
        (1305, DOWN, ("demand", 1299)),  # to it, and no farther
        (1200, UP, ("demand", 1212)),
        (1200, DOWN, ("reducing", 1200)),
        (1299, UP, ("reducing", 1299)),
        (1299, DOWN, ("reducing", 1299)),
        (1299, HOLD, ("reducing", 1299)),
        (1400, HOLD, ("model_holds", 1400)),
    ],
)
def test_while_prices_are_reduced_they_only_go_back_towards_the_list_price(price, choice, expected):
    made = opinionated(engine(), choice)
    made.apply(0, policy(min_change_bp=10))
    made.apply(0, applied(price=price))
    found = only(decide(made, run_mode="REDUCING"))
    assert (found.code, found.price) == expected
    assert (MODES[found.run_mode], SCOPES[found.run_mode_scope]) == ("REDUCING", "everything")


def test_a_price_out_of_bounds_is_repaired_while_prices_are_reduced_and_not_while_they_are_halted():
    """Bounds are the law. But who halts does not know yet what is wrong, and that may be the bounds."""
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(floor=1400))
    assert only(decide(made, run_mode="HALTED")).code == "halted"
    found = only(decide(made, T0 + HOUR, run_mode="REDUCING"))
    assert (found.outcome, found.code, found.price) == (CHANGED, "bounds_repair", 1400)


def test_a_promotion_does_not_begin_while_prices_are_reduced_and_ends_if_that_is_the_way_back():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(promotion_price=1000, promotion_from=T0, promotion_to=T0 + HOUR))
    assert only(decide(made, run_mode="REDUCING")).code == "reducing"
    assert only(decide(made, T0 + HOUR // 4)).code == "promotion"
    made.apply(0, applied(price=1000))
    found = only(decide(made, T0 + HOUR, run_mode="REDUCING"))
    assert (found.code, found.price) == ("promotion_over", 1299)


def test_a_halted_channel_or_category_leaves_the_others_alone():
    made = opinionated(engine(), UP)
    offers = [(b"web:a", "shoes"), (b"web:b", "hats"), (b"shop:a", "shoes"), (b"shop:b", "hats"), (b"shop:c", None)]
    rows = [{"key": key, "category": 0 if name is None else name_digest(name.encode())} for key, name in offers]
    made.apply(0, batch(c.PolicyColumns, *rows))
    modes = RunModes().having(Scope(CHANNEL, "web"), "HALTED").having(Scope(CATEGORY, "hats"), "REDUCING")
    found = made.decide_together({0: Moment(T0, modes)}).decisions
    said = zip(found.reasons, (SCOPES[scope] for scope in found.run_mode_scope), strict=True)
    assert dict(zip(found.keys, said, strict=True)) == {
        b"web:a": ("halted", "channel"),
        b"web:b": ("halted", "channel"),
        b"shop:a": ("demand", None),
        b"shop:b": ("reducing", "category"),
        b"shop:c": ("demand", None),
    }


def test_what_the_catalog_has_not_answered_is_not_sent_again_where_prices_may_not_move():
    made = opinionated(engine(), UP)
    made.apply(0, batch(c.PolicyColumns, {"key": b"web:a"}, {"key": b"shop:a"}))
    assert (decide(made).outcome == CHANGED).all()
    halted = Moment(T0 + 2 * HOUR, RunModes().having(Scope(CHANNEL, "web"), "HALTED"))
    assert made.overdue_acknowledgements(0, halted).keys.present() == [b"shop:a"]
    assert made.overdue_acknowledgements(0, Moment(T0 + 2 * HOUR)).keys.present() == [b"web:a"]


# Experiments


@pytest.mark.parametrize(
    ("price", "changed", "expected"),
    [
        (1400, {}, ("held_out", 1299)),
        (1200, {}, ("held_out", 1299)),
        (1299, {}, ("held_out", 1299)),
        (1600, {}, ("held_out", 1440)),  # a step at a time
        (1400, {"ending": 50, "ending_modulus": 100}, ("held_out", 1350)),
        (1000, {"list_price": 900, "floor": 950}, ("held_out", 950)),
        (1305, {}, ("minimum_change", 1305)),
        (1400, {"competitor_rule": c.MATCH}, ("held_out", 1299)),  # whatever they ask
        (1400, {"floor": 1450}, ("bounds_repair", 1450)),
    ],
)
@pytest.mark.parametrize("choice", [UP, DOWN, HOLD])
def test_an_offer_that_is_held_out_goes_to_its_list_price_as_fast_as_its_policy_allows(
    price, changed, expected, choice
):
    made = opinionated(engine(), choice)
    made.apply(0, policy(**{"min_change_bp": 100, **changed}))
    made.apply(0, applied(price=price))
    made.apply(0, batch(c.CompetitorColumns, {"price": 1500}))
    found = only(decide(made, T0 + HOUR, run_mode="HELD_OUT"))

    assert (found.code, found.price) == expected
    assert MODES[found.run_mode] == "HELD_OUT"


def test_an_offer_that_is_held_out_waits_for_its_cooldown():
    made = opinionated(engine(), UP)
    made.apply(0, policy(cooldown_ms=DAY))
    assert only(decide(made)).outcome == CHANGED
    made.apply(0, applied(price=1312))
    assert len(decide(made, T0 + HOUR, run_mode="HELD_OUT")) == 0
    assert only(decide(made, T0 + DAY, run_mode="HELD_OUT")).code == "held_out"


def test_only_the_control_arm_of_a_running_experiment_is_held_out_and_a_halt_still_halts():
    experiment = Experiment("spring", "offers", T0, T0 + DAY)
    keys = [b"web:%d" % i for i in range(40)]
    controls = experiment.controls(keys, np.full(40, T0)).tolist()
    modes = RunModes().testing(experiment)

    def reasons(modes, now):
        made = opinionated(engine(), UP)
        made.apply(0, batch(c.PolicyColumns, *({"key": key} for key in keys)))
        found = made.decide_together({0: Moment(now, modes)}).decisions
        by_key = dict(zip(found.keys, found.reasons, strict=True))
        return [by_key[key] for key in keys]

    assert reasons(modes, T0) == ["held_out" if control else "demand" for control in controls]
    assert reasons(modes, T0 + DAY) == ["demand"] * 40
    assert reasons(modes.having(ALL, "HALTED"), T0) == ["halted"] * 40
    assert reasons(modes.testing(Experiment("spring", "offers", T0 - DAY, T0)), T0) == ["demand"] * 40


def test_in_a_control_block_of_a_switchback_every_offer_is_held_out():
    experiment = Experiment("spring", "switchback", T0, T0 + 8 * DAY)
    keys = BinaryArray.of(b"web:%d" % i for i in range(5))
    modes = RunModes().testing(experiment)
    blocks = experiment.control_blocks(np.arange(8)).tolist()

    for block, is_control in enumerate(blocks):
        found = modes.of_offers(keys, np.zeros(5, np.int64), T0 + block * DAY + HOUR)
        assert [MODES[mode] for mode in found.mode] == ["HELD_OUT" if is_control else "ACTIVE"] * 5
        assert {SCOPES[scope] for scope in found.scope} == {"experiment" if is_control else None}


def test_an_offer_in_a_promotion_is_promoted_in_both_arms():
    made = opinionated(engine(), HOLD)
    made.apply(0, policy(promotion_price=1000, promotion_from=T0, promotion_to=T0 + HOUR))
    assert only(decide(made, run_mode="HELD_OUT")).code == "promotion"


def test_what_a_held_out_offer_was_told_is_sent_again_too():
    made = opinionated(engine(), UP)
    made.apply(0, policy())
    made.apply(0, applied(price=1400))
    assert only(decide(made, run_mode="HELD_OUT")).outcome == CHANGED
    held_out = Moment(T0 + 2 * HOUR, RunModes.everywhere("HELD_OUT"))
    assert len(made.overdue_acknowledgements(0, held_out)) == 1
