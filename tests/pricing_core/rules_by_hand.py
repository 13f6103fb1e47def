"""The price rules once more, slowly: one offer, Python's integers and fractions, straight from the policy's words."""

from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

from pricing_core import offers as offer_views
from pricing_core.policy_table import PolicyTable
from pricing_core.price_window import BUCKET_MS
from pricing_core.slots import SlotTable
from pricing_core.state import State
from schemas import columns as c
from schemas.binary import BinaryArray
from tests.pricing_core.events import EUR, POLICY, T0, batch


def margin(policy, price):
    """(net - commission - fee - cost) / net."""
    tax = Fraction(policy["tax_rate_bp"], 10_000) if policy["prices_include_tax"] else 0
    net = Fraction(price) / (1 + tax)
    profit = net - Fraction(policy["commission_bp"], 10_000) * price - policy["fixed_fee"] - policy["unit_cost"]
    return profit / net


def broken_static(policy, price):
    """Static rules that a price breaks, in their order."""
    rules = {
        "floor": price < policy["floor"],
        "ceiling": price > policy["ceiling"],
        "minimum_margin": policy["min_margin_bp"] != c.NONE
        and (price == 0 or margin(policy, price) < Fraction(policy["min_margin_bp"], 10_000)),
        "map": policy["map_price"] != c.NONE and price < policy["map_price"],
    }
    return [rule for rule, broken in rules.items() if broken]


def broken(policy, current, in_effect, price):
    """All rules that a move from ``current`` to ``price`` breaks, in their order."""
    step = Fraction(abs(price - current), current)
    rules = {
        "maximum_step": step > Fraction(policy["max_step_bp"], 10_000),
        "maximum_daily_change": any(
            Fraction(abs(price - was), was) > Fraction(policy["max_daily_change_bp"], 10_000) for was in in_effect
        ),
        "price_ending": policy["ending"] != c.NONE
        and str(price).zfill(5)[-(len(str(policy["ending_modulus"])) - 1) :]
        != str(policy["ending"]).zfill(len(str(policy["ending_modulus"])) - 1),
        "minimum_change": price == current or step < Fraction(policy["min_change_bp"], 10_000),
    }
    return broken_static(policy, price) + [rule for rule, is_broken in rules.items() if is_broken]


@st.composite
def policies(draw, top=50_000):
    """Policies, most of which leave room for prices and some of which do not."""
    floor = draw(st.integers(1, top))
    digits = draw(st.integers(0, 3))
    often_none = st.none() | st.none() | st.integers(0, 10_000)
    margin_bp, map_price = draw(often_none), draw(st.none() | st.integers(1, top))
    return POLICY | {
        "unit_cost": draw(st.integers(0, floor)),
        "list_price": draw(st.integers(1, 2 * top)),
        "floor": floor,
        "ceiling": floor + draw(st.integers(0, top)),
        "tax_rate_bp": draw(st.sampled_from([0, 700, 1900, 2500, 10_000])),
        "prices_include_tax": draw(st.booleans()),
        "commission_bp": draw(st.sampled_from([0, 800, 1500, 9999])),
        "fixed_fee": draw(st.integers(0, 100)),
        "min_margin_bp": c.NONE if margin_bp is None else margin_bp // 5,
        "map_price": c.NONE if map_price is None else map_price,
        "max_step_bp": draw(st.integers(0, 10_000)),
        "max_daily_change_bp": draw(st.integers(0, 10_000)),
        "min_change_bp": draw(st.integers(0, 300)),
        "ending": c.NONE if digits == 0 else draw(st.integers(0, 10**digits - 1)),
        "ending_modulus": 10**digits,
    }


@st.composite
def situations(draw, top=50_000):
    """A policy, the current price, and prices lately in effect."""
    policy = draw(policies(top))
    inside = st.integers(policy["floor"], policy["ceiling"])
    current = draw(inside | inside | st.integers(1, 2 * top))
    near = st.integers(max(1, current * 3 // 4), current * 5 // 4)
    return policy, current, [current, *draw(st.lists(near, max_size=4))]


def offers_of(*found, now=T0, active=True):
    """Offers in the given situations, as the engine would see them."""
    table, state, policy_table = SlotTable(len(found)), State(len(found)), PolicyTable(len(found))
    table.open(0)
    slots, _ = table.find(0, BinaryArray.of(b"web:%d" % i for i in range(len(found))))
    state.clear(slots)
    policy_table.put(slots, batch(c.PolicyColumns, *(policy for policy, _, _ in found)))
    for slot, (policy, current, in_effect) in enumerate(found):
        state.price[slot], state.currency[slot], state.policy_version[slot] = current, EUR, policy["version"]
        state.bucket[slot] = now // BUCKET_MS
        prices = np.resize(np.array(in_effect), 5)
        state.lowest[slot], state.highest[slot] = prices, prices
    n = len(found)
    return offer_views.view(state, policy_table, slots, np.full(n, now), np.full(n, active))
