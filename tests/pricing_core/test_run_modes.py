"""Halted, reduced, active: which offers, by whose word, and what may still move."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pricing_core.decisions import CHANGED
from pricing_core.engine import Moment
from pricing_core.features import HOLD
from pricing_core.run_modes import ALL, CATEGORY, CHANNEL, MODES, SCOPES, RunModes, Scope
from schemas import columns as c
from schemas.binary import BinaryArray
from schemas.sources import name_digest
from tests.pricing_core.engines import UP, decide, engine, only, opinionated
from tests.pricing_core.events import HOUR, T0, applied, batch, policy

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
    found = modes.of_offers(keys, categories)
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
