"""Families of offers in several shards: what each price heeds, what shards tell each other, and who is due by it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pricing_core.engine import Intervals, Moment
from pricing_core.families import NOBODY, TURN_MS, UNKNOWN, Prices
from pricing_core.features import HOLD
from pricing_core.recorded import Recorded
from pricing_core.replaying import Question, ReplayingEngine
from pricing_core.run_modes import RunModes
from schemas import columns as c
from tests.pricing_core.engines import CAPACITY, MODEL, decide, engine, only, opinionated
from tests.pricing_core.events import HOUR, MINUTE, POLICY, T0, applied, batch, competitor, policy

SHOES = 77
MEMBER = {"family": SHOES, "max_family_spread_bp": 500, "cooldown_ms": 0, "min_change_bp": 0, "max_step_bp": 10_000}
MEMBER |= {"max_daily_change_bp": 10_000}
FOLLOWER = MEMBER | {"competitor_rule": c.MATCH}
SOON = Intervals(decision=MINUTE, review=100 * HOUR)


def shop(*shards):
    """An engine that knows all there is to know of other shards, whose model holds every price."""
    made = opinionated(engine(*shards, intervals=SOON), HOLD)
    made.families.heard_all()
    return made


def sell(made, shard, *keys, **fields):
    made.apply(shard, batch(c.PolicyColumns, *({**MEMBER, **fields, "key": key} for key in keys)))


def decide_in_turn(made, shard=0, now=T0):
    """The decision of the next turn of a shard."""
    found = (made.decide(shard, now + turn * TURN_MS, "ACTIVE") for turn in range(50))
    return next(decisions for decisions in found if len(decisions))


def exchange(made):
    """Every shard hears what every other has to say."""
    said = {shard: made.families.changed(shard) for shard in made.shards}
    for shard, families in said.items():
        for family, prices in families.items():
            made.families.hear(family, shard, prices)
    return said


def answered(made, shard, decisions):
    """The catalog applies the changes."""
    rows = [
        {"key": key, "version": version, "price": price, "time": now}
        for key, version, price, now in zip(
            decisions.keys,
            decisions.version.tolist(),
            decisions.price.tolist(),
            decisions.now.tolist(),
            strict=True,
        )
        if version != c.NONE
    ]
    if rows:
        made.apply(shard, batch(c.AppliedColumns, *rows))


def test_a_price_follows_its_competitor_as_far_as_its_siblings_allow():
    made = shop(0)
    sell(made, 0, b"web:a", competitor_rule=c.MATCH)
    sell(made, 0, b"web:b", list_price=1299)
    made.apply(0, competitor(key=b"web:a", price=1000))
    decision = only(decide(made))
    assert (decision.price, decision.code, decision.lower) == (
        1238,
        "competitors",
        1238,
    )  # 1299 is 5 % more than 1237.14
    assert decision.policies["family_low"] == decision.policies["family_high"] == 1299
    assert decision.policies["family_count"] == 1


def test_members_are_decided_one_behind_the_other_and_see_prices_that_are_on_their_way():
    made = shop(0)
    for number, key in enumerate((b"web:a", b"web:b", b"web:c")):
        sell(made, 0, key, list_price=(1299, 1299, 1250)[number], competitor_rule=c.MATCH)
        made.apply(0, competitor(key=key, price=1000))
    seen = []
    for left in (True, True, False):
        decision = only(decide(made))
        seen.append((int(decision.policies["family_low"]), int(decision.policies["family_high"])))
        assert made.families.waiting is left
        assert decision.price * 105 >= 100 * decision.policies["family_high"]
    assert len(decide(made)) == 0
    assert seen[1:] == [(seen[1][0], 1299), (seen[2][0], 1299)]
    assert seen[1][0] < 1250  # what the first one was told


def test_a_price_that_lies_too_far_from_the_others_goes_towards_them_and_says_so():
    made = shop(0)
    sell(made, 0, b"web:a", list_price=1600, max_step_bp=1000)
    sell(made, 0, b"web:b", list_price=1299, mode=c.PAUSED)
    found = {}
    for _ in range(2):
        decision = only(decide(made))
        found[decision.keys] = decision
    assert (found[b"web:a"].price, found[b"web:a"].code) == (1440, "family_spread")
    assert found[b"web:b"].code == "paused"


def test_between_others_that_lie_too_far_apart_a_price_stays():
    made = shop(0)
    made.families.hear(SHOES, 3, Prices(1000, 1500, 2))
    sell(made, 0, b"web:a", list_price=1200, competitor_rule=c.MATCH)
    for price in (1100, 1300):
        made.apply(0, competitor(key=b"web:a", price=price, time=T0 + price))
        decision = only(decide_in_turn(made, now=T0 + price * MINUTE))
        assert (decision.price, decision.outcome) == (1200, 2)


@pytest.mark.parametrize(
    ("change", "price"),
    [
        ({"floor": 1500, "ceiling": 1600}, 1500),
        ({"promotion_price": 1000, "promotion_from": T0, "promotion_to": T0 + 1}, 1000),
    ],
)
def test_bounds_and_promotions_go_before_the_family(change, price):
    made = shop(0)
    made.families.hear(SHOES, 3, Prices(1299, 1299, 1))
    sell(made, 0, b"web:a", **change)
    assert only(decide_in_turn(made)).price == price


def test_prices_of_another_family_currency_or_of_offers_without_the_rule_do_not_count():
    made = shop(0)
    sell(made, 0, b"web:a")
    sell(made, 0, b"web:b", family=78, list_price=2000)
    sell(made, 0, b"web:c", family=0, max_family_spread_bp=c.NONE, list_price=2000)
    sell(made, 0, b"web:d", list_price=2000)
    made.apply(0, applied(key=b"web:e", currency=840, price=2000))
    sell(made, 0, b"web:e", list_price=2000)  # sold in another currency than its policy names
    made.apply(0, policy(key=b"web:d", removed=True))
    counts = [
        dict(zip(found.keys, found.policies["family_count"].tolist(), strict=True))
        for found in (decide(made), decide(made))
    ]
    assert counts[0][b"web:a"] == 0
    assert counts[0][b"web:c"] == 0


def test_who_has_not_heard_the_other_shards_holds_and_moves_as_soon_as_it_has():
    made = opinionated(engine(0, intervals=SOON), HOLD)
    sell(made, 0, b"web:a", list_price=1600)
    made.apply(0, policy(key=b"web:other"))
    found = decide(made)
    assert dict(zip(found.keys, found.reasons, strict=True)) == {
        b"web:a": "family_unknown",
        b"web:other": "model_holds",
    }
    made.families.hear(SHOES, 3, Prices(1299, 1299, 4))
    made.families.heard_all()
    decision = only(decide_in_turn(made))
    assert (decision.price, decision.code) == (1363, "family_spread")
    made.apply(0, applied(key=b"web:a", price=1363))
    made.families.hear(SHOES, 4, UNKNOWN)  # what it said cannot be read
    assert only(decide_in_turn(made, now=T0 + HOUR)).code == "family_unknown"
    made.families.hear(SHOES, 4, NOBODY)
    assert only(decide_in_turn(made, now=T0 + 2 * HOUR)).code == "model_holds"


def test_a_shard_says_what_is_new_and_whoever_is_concerned_is_due_again():
    made = shop(0, 1)
    sell(made, 0, b"web:a", b"web:b")
    sell(made, 1, b"web:c")
    assert exchange(made) == {0: {SHOES: (1299, 1299, 2)}, 1: {SHOES: (1299, 1299, 1)}}
    assert exchange(made) == {0: {}, 1: {}}
    for shard in (0, 0, 1):
        decide_in_turn(made, shard)
    assert exchange(made) == {0: {}, 1: {}}  # nothing has moved
    assert len(made.decide(0, T0 + HOUR, "ACTIVE")) == 0
    made.apply(1, applied(key=b"web:c", price=1350))
    assert exchange(made) == {0: {}, 1: {SHOES: (1350, 1350, 1)}}
    assert len(decide_in_turn(made, now=T0 + HOUR)) == 1
    assert made.families.waiting
    assert len(decide_in_turn(made, now=T0 + HOUR)) == 1
    made.apply(1, policy(key=b"web:c", version=2))  # no longer a member
    assert exchange(made)[1] == {SHOES: NOBODY}
    made.apply(0, policy(key=b"web:a", removed=True))
    assert exchange(made)[0] == {SHOES: (1299, 1299, 1)}


def test_a_new_owner_says_all_anew_and_takes_back_what_is_gone():
    made = shop(0)
    made.families.hear(78, 0, Prices(1000, 1000, 1))  # by the owner before
    made.drop_shard(0)
    made.open_shard(0)
    sell(made, 0, b"web:a")
    assert made.families.changed(0) == {SHOES: (1299, 1299, 1), 78: NOBODY}
    assert made.families.changed(0) == {}
    made.families.hear(79, 0, Prices(1000, 1000, 1))  # heard late
    assert made.families.changed(0) == {79: NOBODY}
    made.families.hear(79, 0, NOBODY)
    made.families.hear(SHOES, 0, Prices(1299, 1299, 1))
    assert made.families.changed(0) == {}


KEYS = {shard: [b"web:%d%d" % (shard, i) for i in range(2)] for shard in range(3)}
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["market", "market", "decide", "decide", "answer", "exchange"]),
        st.integers(0, 2),
        st.integers(0, 1),
        st.integers(900, 2000),
    ),
    max_size=40,
)


def started():
    made = shop(*KEYS)
    for shard, keys in KEYS.items():
        sell(made, shard, *keys, competitor_rule=c.MATCH)
    exchange(made)
    return made


def require_room(decisions):
    """No moved price lies outside of what was known of the others."""
    for row in np.flatnonzero(decisions.outcome == 0):
        known, price, before = decisions.policies[row], decisions.price[row], decisions.previous_price[row]
        if known["family_count"] > 0 and price > before:
            assert price * 100 <= known["family_low"] * 105
        if known["family_count"] > 0 and price < before:
            assert price * 105 >= known["family_high"] * 100


@settings(deadline=None, max_examples=40)
@given(STEPS)
def test_whatever_is_heard_when_no_price_leaves_what_is_known_and_in_the_end_all_are_near(steps):
    made, now, told = started(), T0, {shard: [] for shard in KEYS}

    def decide_shard(shard):
        decisions = made.decide(shard, now, "ACTIVE")
        require_room(decisions)
        told[shard].append(decisions)

    def answer(shard):
        for decisions in told[shard]:
            answered(made, shard, decisions)
        told[shard].clear()

    for what, shard, place, price in steps:
        now += MINUTE
        if what == "market":
            made.apply(shard, competitor(key=KEYS[shard][place], price=price, time=now))
        elif what == "exchange":
            exchange(made)
        else:
            {"decide": decide_shard, "answer": answer}[what](shard)
    for _ in range(240):
        now += TURN_MS
        for shard in KEYS:
            decide_shard(shard)
        for shard in KEYS:
            answer(shard)
        exchange(made)
    prices = [
        int(made._state.price[slot]) or POLICY["list_price"]
        for shard, keys in KEYS.items()
        for slot in made.known(shard, batch(c.InventoryColumns, *({"key": key} for key in keys)).keys)
    ]
    assert max(prices) * 100 <= min(prices) * 105


def test_two_shards_that_are_pulled_apart_find_an_end():
    made, now, pairs = shop(0, 1), T0, []
    for shard, key, price in ((0, b"web:a", 1500), (1, b"web:b", 1000)):
        sell(made, shard, key, competitor_rule=c.MATCH)
        made.apply(shard, competitor(key=key, price=price))
    exchange(made)
    shown = [1299, 1299]
    for _ in range(200):
        decided = made.decide_together({shard: Moment(now, RunModes.everywhere("ACTIVE")) for shard in (0, 1)})
        require_room(decided.decisions)
        for shard, rows in decided.rows.items():
            answered(made, shard, decided.decisions.part(rows))
            shown[shard] = int(decided.decisions.price[rows][0])
        exchange(made)
        pairs.append(tuple(shown))
        now += TURN_MS
    assert set(pairs[-100:]) == {pairs[-1]}
    assert pairs[-1][0] * 100 <= pairs[-1][1] * 105


def test_a_member_whose_turn_it_is_not_takes_no_place_of_another_offer():
    made = shop(0, 1)
    for shard in (0, 1):
        sell(made, shard, b"web:member-%d" % shard)
    exchange(made)
    made.apply(0, batch(c.PolicyColumns, *({"key": b"web:%d" % i} for i in range(6))))
    now = next(T0 + turn * TURN_MS for turn in range(50) if not made.families._has_turn(0, SHOES, T0 + turn * TURN_MS))
    assert len(made.decide(0, now, "ACTIVE", limit=6)) == 6


def test_shards_that_decide_together_heed_what_each_would_have_heeded_alone():
    together, alone = started(), started()
    for made in (together, alone):
        for shard, keys in KEYS.items():
            made.apply(shard, competitor(key=keys[0], price=1100 + 100 * shard))
    seen = set()
    for now in range(T0, T0 + 40 * TURN_MS, TURN_MS):
        found = together.decide_together({shard: Moment(now, RunModes.everywhere("ACTIVE")) for shard in KEYS})
        assert len(found.rows) <= 1  # one shard has its turn
        for shard in KEYS:
            single, rows = alone.decide(shard, now, "ACTIVE"), found.rows.get(shard, slice(0, 0))
            assert found.decisions.price[rows].tolist() == single.price.tolist()
            assert found.decisions.policies[rows].tobytes() == single.policies.tobytes()
            seen.update(single.keys)
    assert len(seen) == sum(map(len, KEYS.values()))


def test_a_decision_is_made_again_from_its_record_alone_whatever_is_known_by_then():
    made, replaying = shop(0), ReplayingEngine(MODEL, capacity=CAPACITY)
    made.families.hear(SHOES, 3, Prices(1290, 1299, 2))
    sell(made, 0, b"web:a", list_price=1600)
    decisions = decide_in_turn(made)
    question = Question(
        Recorded.unpacked(decisions.recorded.packed().present()),
        decisions.now,
        decisions.run_mode,
        decisions.run_mode_scope,
        decisions.uniform,
        decisions.sequence,
        int(decisions.batch.max()),
    )
    opinionated(replaying, HOLD)
    again = replaying.decide_again(question)
    assert again.price.tolist() == decisions.price.tolist() == [1354]
    assert again.recorded.packed().present() == decisions.recorded.packed().present()
