"""The price rules once more, slowly: one offer, Python's integers and fractions, straight from the policy's words."""

from fractions import Fraction
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from pricing_core import offers as offer_views
from pricing_core.policy_table import SIBLINGS, PolicyTable
from pricing_core.price_window import BUCKET_MS
from pricing_core.rules import CODE
from pricing_core.run_modes import ACTIVE, OfferModes
from pricing_core.slots import SlotTable
from pricing_core.state import State
from schemas import columns as c
from schemas.binary import BinaryArray
from tests.pricing_core.events import DAY, EUR, HOUR, POLICY, T0, batch

ONE = 10_000
MEMORY = 14 * DAY


class Rival(NamedTuple):
    """A competitor as it was seen last."""

    price: int
    name: int = 1
    age: int = 0
    in_stock: bool = True


class Situation(NamedTuple):
    """What counts for one price."""

    policy: dict
    current: int
    in_effect: list
    rivals: tuple = ()
    lowest: int = 0
    """In effect in the last 30 days, with the current one; 0: no lower one than that."""
    known: int = 100 * DAY
    """For how long prices have been known."""
    others: tuple = ()
    """Prices of the other members of the family, if the policy has one."""
    left: int | None = None
    """Price before a promotion that set the current one."""


def margin(policy, price):
    """(net - commission - fee - cost) / net."""
    tax = Fraction(policy["tax_rate_bp"], ONE) if policy["prices_include_tax"] else 0
    net = Fraction(price) / (1 + tax)
    profit = net - Fraction(policy["commission_bp"], ONE) * price - policy["fixed_fee"] - policy["unit_cost"]
    return profit / net


def too_low(policy, price):
    """Static rules that ask for more."""
    rules = {
        "floor": price < policy["floor"],
        "minimum_margin": policy["min_margin_bp"] != c.NONE
        and (price == 0 or margin(policy, price) < Fraction(policy["min_margin_bp"], ONE)),
        "map": policy["map_price"] != c.NONE and price < policy["map_price"],
    }
    return [rule for rule, broken in rules.items() if broken]


def too_high(policy, price):
    """Static rules that ask for less."""
    before, rise = policy["emergency_price"], Fraction(policy["max_emergency_rise_bp"], ONE)
    rules = {
        "emergency_cap": before != c.NONE and price > before * (1 + rise),
        "ceiling": price > policy["ceiling"],
    }
    return [rule for rule, broken in rules.items() if broken]


def broken_static(policy, price):
    """Static rules that a price breaks, in their order."""
    found = set(too_low(policy, price)) | set(too_high(policy, price))
    return [rule for rule in ("emergency_cap", "floor", "ceiling", "minimum_margin", "map") if rule in found]


def bounds(policy):
    """Lowest and highest price that break no static rule; None where there is none."""
    high = policy["ceiling"]
    if policy["emergency_price"] != c.NONE:
        high = min(high, policy["emergency_price"] * (ONE + policy["max_emergency_rise_bp"]) // ONE)
    if high < 1 or too_low(policy, high):
        return None
    low, enough = 0, high
    while enough - low > 1:  # what is too low at one price is so at all below
        middle = (low + enough) // 2
        low, enough = (middle, enough) if too_low(policy, middle) else (low, middle)
    return enough, high


def is_promoted(policy, now=T0):
    return policy["promotion_price"] != c.NONE and policy["promotion_from"] <= now < policy["promotion_to"]


def forced(found):
    """Why the price must move and to which one, as far as that is said; (None, None) if it must not."""
    policy, room = found.policy, bounds(found.policy)
    if is_promoted(policy):
        return (None, None) if found.current == policy["promotion_price"] else ("promotion", policy["promotion_price"])
    if room and found.left is not None:
        back = min(max(found.left, room[0]), room[1])
        if back != found.current:
            return "promotion_over", back
    return ("bounds_repair", None) if room and broken_static(policy, found.current) else (None, None)


def cheapest(found):
    """Lowest price of a competitor that is heeded; None if there is none."""
    policy = found.policy
    limit = (
        MEMORY - 1 if policy["max_competitor_age_ms"] == c.NONE else min(policy["max_competitor_age_ms"], MEMORY - 1)
    )
    heeded = [
        rival.price
        for rival in found.rivals
        if rival.in_stock
        and rival.age <= limit
        and Fraction(policy["list_price"], 4) <= rival.price <= 4 * policy["list_price"]
        and (policy["heeds_all"] or rival.name in policy["competitors"])
    ]
    return min(heeded, default=None)


def family_ends(found):
    """Least price that a cut may end at and most that a raise may, because of the family; None: any."""
    if found.policy["family"] == 0 or not found.others:
        return None
    spread = Fraction(found.policy["max_family_spread_bp"], ONE)
    return -(-max(found.others) / (1 + spread) // 1), min(found.others) * (1 + spread) // 1


def band(found):
    """Where the price must lie beside competitors, as far as the static rules and the family allow; None: anywhere."""
    policy, price, room = found.policy, cheapest(found), bounds(found.policy)
    share = Fraction(policy["competitor_bp"], ONE)
    if policy["competitor_rule"] == c.FREE or price is None or room is None:
        return None
    wanted = {
        c.MATCH: (price, price),
        c.UNDERCUT: (0, price * (1 - share)),
        c.WITHIN: (price * (1 - share), price * (1 + share)),
    }[policy["competitor_rule"]]
    least, most = -(-wanted[0] // 1), wanted[1] // 1
    if ends := family_ends(found):
        least, most = (min(max(limit, min(ends)), max(ends)) for limit in (least, most))
    return tuple(int(min(max(limit, room[0]), room[1])) for limit in (least, most))


def broken(found, price):
    """All rules that a move to ``price`` breaks, in their order."""
    policy, current, beside, ends = found.policy, found.current, band(found), family_ends(found)
    why, target = forced(found)
    step = Fraction(abs(price - current), current)
    lowest = min([current, *([found.lowest] if found.lowest else [])])
    wanted = policy["promotion_price"] if is_promoted(policy) else target if why == "promotion_over" else None
    digits = len(str(policy["ending_modulus"])) - 1
    rules = {
        "maximum_jump": price > 10 * current or 10 * price < current,
        "promotion": wanted is not None and price != wanted,
        "prior_price": policy["reductions"] == c.ANNOUNCED_OR_HELD
        and price < current
        and (found.known < 30 * DAY or price >= lowest),
        "family_spread": ends is not None and ((price < current and price < ends[0]) or price > max(ends[1], current)),
        "competitors": beside is not None and not min(beside[0], current) <= price <= max(beside[1], current),
        "maximum_step": step > Fraction(policy["max_step_bp"], ONE),
        "maximum_daily_change": any(
            Fraction(abs(price - was), was) > Fraction(policy["max_daily_change_bp"], ONE) for was in found.in_effect
        ),
        "price_ending": policy["ending"] != c.NONE
        and str(price).zfill(5)[-digits:] != str(policy["ending"]).zfill(digits),
        "minimum_change": price == current or step < Fraction(policy["min_change_bp"], ONE),
    }
    if why is not None:
        kept = {"maximum_jump", "promotion", *(["prior_price"] if why == "promotion" else [])}
        rules = {rule: is_broken for rule, is_broken in rules.items() if rule in kept}
    all_broken = broken_static(policy, price) + [rule for rule, is_broken in rules.items() if is_broken]
    return sorted(all_broken, key=ORDER.index)


ORDER = (
    "emergency_cap", "prior_price", "floor", "ceiling", "minimum_margin", "map", "maximum_jump", "promotion",
    "family_spread", "competitors", "maximum_step", "maximum_daily_change", "price_ending", "minimum_change",
)  # fmt: skip


@st.composite
def policies(draw, top=50_000):
    """Policies, most of which leave room for prices and some of which do not."""
    floor = draw(st.integers(1, top))
    digits = draw(st.integers(0, 3))
    often_none = st.none() | st.none() | st.integers(0, 10_000)
    margin_bp, map_price = draw(often_none), draw(st.none() | st.integers(1, top))
    ceiling = floor + draw(st.integers(0, top))
    return POLICY | {
        "unit_cost": draw(st.integers(0, floor)),
        "list_price": draw(st.integers(1, 2 * top)),
        "floor": floor,
        "ceiling": ceiling,
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
        "goal": draw(st.sampled_from([c.PROFIT, c.REVENUE])),
        "emergency_price": draw(st.sampled_from([c.NONE, c.NONE, floor, ceiling])),
        "max_emergency_rise_bp": draw(st.integers(0, 10_000)),
        "reductions": draw(st.sampled_from([c.SILENT, c.ANNOUNCED, c.ANNOUNCED_OR_HELD])),
        **draw(promotions(floor, ceiling)),
        "competitor_rule": draw(st.sampled_from([c.FREE, c.MATCH, c.UNDERCUT, c.WITHIN])),
        "competitor_bp": draw(st.sampled_from([0, 100, 1_000, 10_000])),
        "expected_elasticity_bp": draw(st.sampled_from([c.NONE, 5_000, 80_000])),
        "expected_monthly_units": draw(st.sampled_from([c.NONE, 1, 90])),
        "max_rung": draw(st.sampled_from([c.RULES, c.BANDIT, c.Q_FUNCTION])),
        **draw(st.sampled_from([{}, {"heeds_all": False, "competitors": [1, 2] + [0] * 6}])),
        **draw(st.sampled_from([{}, *({"family": 1, "max_family_spread_bp": bp} for bp in (0, 333, 1_000, 10_000))])),
    }


def promotions(floor, ceiling):
    """No promotion, one that is over, one that lasts, one that is to come."""
    none = st.just({})
    price = st.integers(floor, ceiling) | st.integers(1, 2 * ceiling)
    times = st.sampled_from([(T0 - DAY, T0), (T0, T0 + HOUR), (T0 + 1, T0 + DAY)])
    lasting = st.builds(
        lambda price, at: {"promotion_price": price, "promotion_from": at[0], "promotion_to": at[1]}, price, times
    )
    return none | none | lasting


@st.composite
def situations(draw, top=50_000):
    """A policy, the current price, prices lately in effect, competitors, and what was promoted."""
    policy = draw(policies(top))
    inside = st.integers(policy["floor"], policy["ceiling"])
    current = draw(inside | inside | st.integers(1, 2 * top))
    near = st.integers(max(1, current * 3 // 4), max(1, current * 5 // 4))
    ages = st.sampled_from([0, HOUR, MEMORY - 1, MEMORY])
    rivals = st.lists(st.builds(Rival, near | st.integers(1, 4 * top), st.integers(1, 3), ages, st.booleans()))
    return Situation(
        policy,
        current,
        [current, *draw(st.lists(near, max_size=4))],
        draw(rivals)[:8],
        draw(st.just(0) | st.integers(max(1, current // 2), current)),
        draw(st.sampled_from([100 * DAY, 30 * DAY, 30 * DAY - 1])),
        tuple(draw(st.lists(near | st.integers(1, 2 * top), max_size=3))),
        draw(st.none() | st.none() | inside),
    )


def offers_of(*found, now=T0, mode=ACTIVE):
    """Offers in the given situations, as the engine would see them."""
    table, state, policy_table = SlotTable(len(found)), State(len(found)), PolicyTable(len(found))
    table.open(0)
    slots, _ = table.find(0, BinaryArray.of(b"web:%d" % i for i in range(len(found))))
    state.clear(slots)
    found = [Situation(*one) for one in found]
    policy_table.put(slots, batch(c.PolicyColumns, *(one.policy for one in found)))
    for slot, one in enumerate(found):
        state.price[slot], state.currency[slot], state.policy_version[slot] = one.current, EUR, one.policy["version"]
        state.bucket[slot], state.priced_since[slot] = now // BUCKET_MS, now - one.known
        prices = np.resize(np.array(one.in_effect), 5)
        state.lowest[slot], state.highest[slot] = prices, prices
        state.month_lowest[slot] = one.lowest or one.current
        for place, rival in enumerate(one.rivals):
            state.rival[slot, place], state.rival_price[slot, place] = rival.name, rival.price
            state.rival_seen_at[slot, place], state.rival_in_stock[slot, place] = now - rival.age, rival.in_stock
        if one.left is not None:
            state.decided_code[slot], state.decided_price[slot] = CODE["promotion"], one.current
            state.regular_price[slot] = one.left
    n = len(found)
    modes = OfferModes(np.full(n, mode, np.int8), np.zeros(n, np.int8))
    offers = offer_views.view(state, policy_table, slots, np.full(n, now), modes)
    for slot, one in enumerate(found):
        if one.policy["family"] and one.others:
            known = min(one.others), max(one.others), len(one.others)
            for name, value in zip(SIBLINGS, known, strict=True):
                offers.policy[name][slot] = value
    return offers
