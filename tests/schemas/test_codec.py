from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import columns as c
from schemas import examples as ex
from schemas.codec import decode_run_mode, encode
from schemas.experiments import decode_experiment, is_experiment
from schemas.sources import SOURCES, family_digest, name_digest
from schemas.timestamps import format_ms
from schemas.topics import (
    CLICKS,
    COMMANDS,
    COMPETITOR_PRICES,
    HOT_SOURCES,
    INVENTORY,
    OFFER_POLICIES,
    ORDERS,
    PRICE_APPLIED,
    TICKS,
)
from tests.schemas.decoding import ORDER_EVENTS, changed, decode, row

EUR = 978


# what goes in comes out


@pytest.mark.parametrize(
    ("topic", "expected"),
    [
        (ORDERS, {"kind": c.PLACED, "quantity": 2, "amount": 2598, "currency": EUR}),
        (CLICKS, {"kind": c.CLICK, "count": 3, "price": 1299}),
        (
            COMPETITOR_PRICES,
            {"competitor": name_digest("Müller".encode()), "price": 1648, "currency": EUR, "in_stock": False},
        ),
        (INVENTORY, {"on_hand": 7}),
        (PRICE_APPLIED, {"version": 4, "status": c.APPLIED, "price": 1249, "currency": EUR}),
        (TICKS, {}),
        (
            COMMANDS,
            {
                "kind": c.ROLL_BACK,
                "value": 1299,
                "currency": EUR,
                "expires_at": ex.NOW + 3_600_000,
                "offset": c.NONE,
            },
        ),
        (
            OFFER_POLICIES,
            {
                "removed": False,
                "version": 3,
                "currency": EUR,
                "unit_cost": 700,
                "list_price": 1299,
                "floor": 900,
                "ceiling": 1999,
                "mode": c.AUTO,
                "tax_rate_bp": 0,
                "prices_include_tax": True,
                "commission_bp": 0,
                "fixed_fee": 0,
                "min_margin_bp": 500,
                "map_price": c.NONE,
                "max_step_bp": 1000,
                "max_daily_change_bp": 3000,
                "cooldown_ms": 3_600_000,
                "min_change_bp": 50,
                "ending": 9,
                "ending_modulus": 100,
                "goal": c.PROFIT,
                "emergency_price": c.NONE,
                "max_emergency_rise_bp": 1000,
                "reductions": c.SILENT,
                "promotion_price": 1109,
                "promotion_from": ex.NOW + 30 * ex.DAY_MS,
                "promotion_to": ex.NOW + 37 * ex.DAY_MS,
                "competitor_rule": c.FREE,
                "competitor_bp": 0,
                "max_rung": c.Q_FUNCTION,
                "heeds_all": True,
                "competitors": [0] * 8,
                "expected_elasticity_bp": c.NONE,
                "expected_monthly_units": c.NONE,
                "season_ends_at": c.NONE,
                "salvage_value": c.NONE,
                "max_stock_age_ms": 60_000,
                "max_competitor_age_ms": c.NONE,
                "category": name_digest(b"shoes"),
                "family": 0,
                "max_family_spread_bp": c.NONE,
            },
        ),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_every_source_becomes_its_columns(topic, expected):
    decoded = decode(topic, (ex.KEY, encode(ex.EXAMPLES[topic.type])))
    assert decoded.rejects == []
    assert row(decoded.columns) == expected
    assert decoded.columns.time.tolist() == [ex.NOW]
    assert list(decoded.columns.keys) == ([b""] if topic is TICKS else [ex.KEY])
    expected_ids = [ex.EXAMPLES[topic.type].event_id.encode()] if SOURCES[topic.name].has_event_id else []
    assert list(decoded.event_ids) == expected_ids


@pytest.mark.parametrize("topic", HOT_SOURCES, ids=lambda topic: topic.name)
def test_an_empty_batch_has_the_same_column_types(topic):
    empty, full = decode(topic).columns, decode(topic, (ex.KEY, encode(ex.EXAMPLES[topic.type]))).columns
    for field in fields(full):
        if field.name != "keys":
            assert getattr(empty, field.name).dtype == getattr(full, field.name).dtype, field.name
    assert len(empty) == 0


def test_a_null_policy_removes_the_offer_in_its_place_among_the_others():
    policy = encode(ex.POLICY)
    decoded = decode(OFFER_POLICIES, (ex.KEY, policy), (ex.KEY, None), (b"web:a:b", None), (ex.KEY, policy))
    assert decoded.columns.removed.tolist() == [False, True, True, False]
    assert list(decoded.columns.keys) == [ex.KEY, ex.KEY, b"web:a:b", ex.KEY]
    assert decoded.columns.time.tolist() == [ex.NOW, 0, 0, ex.NOW]


def test_a_policy_names_competitors_as_their_prices_do():
    bodies = (changed(ex.POLICY, competitors=names) for names in (["Müller", "a"], [], None))
    heeded = decode(OFFER_POLICIES, *((ex.KEY, body) for body in bodies)).columns
    seen = decode(COMPETITOR_PRICES, (ex.KEY, encode(ex.RIVAL))).columns
    assert heeded.competitors[:, 0].tolist() == [*seen.competitor.tolist(), 0, 0]
    assert (heeded.competitors != 0).sum(axis=1).tolist() == [2, 0, 0]
    assert heeded.heeds_all.tolist() == [False, False, True]  # to heed nobody is not to heed everybody


def test_members_of_a_family_share_channel_name_and_currency_and_have_the_rule():
    rule = {"family": "shoes", "max_family_spread_bp": 500}
    bodies = [rule, rule | {"sku": "SKU-2"}, rule | {"currency": "USD"}, rule | {"channel": "app"}, {"family": "shoes"}]
    keys = [f"{body.get('channel', 'web')}:{body.get('sku', 'SKU-1')}".encode() for body in bodies]
    decoded = decode(
        OFFER_POLICIES, *((key, changed(ex.POLICY, **body)) for key, body in zip(keys, bodies, strict=True))
    )
    assert decoded.rejects == []
    found = decoded.columns.family.tolist()
    assert found[0] == found[1] == family_digest(b"web", b"shoes", 978)
    assert len(set(found)) == 4
    assert (found[4], decoded.columns.max_family_spread_bp[4]) == (0, c.NONE)


def test_a_spread_without_a_family_is_refused():
    rejects = decode(OFFER_POLICIES, (ex.KEY, changed(ex.POLICY, max_family_spread_bp=500))).rejects
    assert [reject.reason for reject in rejects] == ["schema_violation"]


@given(st.lists(ORDER_EVENTS))
def test_encoded_orders_are_decoded_without_loss(orders):
    keys = [f"{order.channel}:{order.sku}".encode() for order in orders]
    decoded = decode(ORDERS, *zip(keys, map(encode, orders), strict=True))
    columns = decoded.columns
    assert decoded.rejects == []
    assert list(columns.keys) == keys
    assert list(decoded.event_ids) == [order.event_id.encode() for order in orders]
    assert columns.amount.tolist() == [order.line_total for order in orders]
    assert columns.quantity.tolist() == [order.quantity for order in orders]
    assert [format_ms(ms) for ms in columns.time.tolist()] == [order.occurred_at for order in orders]


@pytest.mark.parametrize(
    "changes",
    [
        {"price": None},
        {"currency": None},
        {"command": "approve"},
        {"command": "approve", "decision_id": "1042"},
        {"command": "reject", "decision_id": "3-1042x"},
        {"command": "pause"},  # it would expire
        {"command": "undo"},
        {"by": ""},
    ],
)
def test_a_command_that_does_not_say_what_it_must_is_refused(changes):
    (reject,) = decode(COMMANDS, (ex.KEY, changed(ex.COMMAND, **changes))).rejects
    assert reject.reason == "schema_violation"


def test_an_approval_names_a_decision_by_its_number():
    approval = changed(ex.COMMAND, command="approve", decision_id="3-1042", price=..., currency=..., expires_at=...)
    assert row(decode(COMMANDS, (ex.KEY, approval)).columns)["value"] == 1042


# pricing-control, one record at a time


def test_a_run_mode_is_decoded():
    assert decode_run_mode(b"channel:web", encode(ex.HALT)) == ex.HALT


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"channel:web", None, "schema_violation"),
        (b"channel:web", b"HALTED", "malformed_json"),
        (b"channel:web", changed(ex.HALT, mode="halted"), "schema_violation"),
        (b"channel:web", changed(ex.HALT, by=...), "schema_violation"),
        (b"channel:web", changed(ex.HALT, at="2026-13-01T00:00:00Z"), "invalid_timestamp"),
        (b"channel:web", changed(ex.HALT, category="shoes"), "schema_violation"),
        (b"*", encode(ex.HALT), "key_mismatch"),  # compaction would lose the halt of everything for it
        (None, encode(ex.HALT), "key_mismatch"),
        (b"category:web", encode(ex.HALT), "key_mismatch"),
    ],
)
def test_a_bad_run_mode_is_refused(key, value, reason):
    assert decode_run_mode(key, value).reason == reason


def test_a_record_of_earlier_versions_names_no_scope_and_means_everything():
    old = changed(ex.HALT, channel=...)
    assert decode_run_mode(b"*", old).channel is None


def test_an_experiment_is_told_by_its_key():
    key = b"experiment:spring-2026"
    assert is_experiment(key)
    assert not any(map(is_experiment, [None, b"*", b"channel:experiment:a", b"category:shoes"]))
    assert decode_experiment(key, encode(ex.EXPERIMENT)) == ex.EXPERIMENT


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        (b"experiment:spring-2026", None, "schema_violation"),
        (b"experiment:spring-2026", b"{", "malformed_json"),
        (b"experiment:spring-2026", changed(ex.EXPERIMENT, kind="shoppers"), "schema_violation"),
        (b"experiment:spring-2026", changed(ex.EXPERIMENT, control_share_bp=10_000), "schema_violation"),
        (b"experiment:spring-2026", changed(ex.EXPERIMENT, ends_at="soon"), "invalid_timestamp"),
        (b"experiment:spring 2026", changed(ex.EXPERIMENT, experiment="spring 2026"), "schema_violation"),
        (b"experiment:autumn", encode(ex.EXPERIMENT), "key_mismatch"),
    ],
)
def test_a_bad_experiment_is_refused(key, value, reason):
    assert decode_experiment(key, value).reason == reason
