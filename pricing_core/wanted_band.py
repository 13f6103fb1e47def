"""Where a price must lie, if other rules allow: in its family's room and there beside competitors, or at its list."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pricing_core import rivals
from pricing_core.family_room import Room
from pricing_core.offers import Offers
from pricing_core.policy_table import ONE
from pricing_core.run_modes import HELD_OUT
from schemas.columns import FREE, MATCH, UNDERCUT, WITHIN, Int64
from schemas.money import divide_up

_WHOLE = np.array(ONE)


class Band(NamedTuple):
    """Prices from ``least`` to ``most``, [n] each."""

    least: Int64
    most: Int64


def wanted_band(offers: Offers, room: Room | None) -> Band:
    """Where a price must lie, as far as other rules allow; of an offer that is held out, at the list price.

    Args:
        offers: n offers.
        room: That their families leave; competitors count inside of it.
    """
    band, held_out = competitor_band(offers), offers.mode == HELD_OUT
    if room is not None:
        low, high = offers.policy["low"], offers.policy["high"]
        band = Band(*(np.clip(room.nearest(limit), low, high) for limit in band))
    if not held_out.any():
        return band
    wanted = np.clip(offers.policy["list_price"], offers.policy["low"], offers.policy["high"])
    return Band(np.where(held_out, wanted, band.least), np.where(held_out, wanted, band.most))


def competitor_band(offers: Offers) -> Band:
    """Where the rule about competitors wants the price, inside of the static bounds: anywhere where nothing is known.

    With r the cheapest price heeded and b the policy's basis points: match r; undercut: up to r - b·r; within: from
    r - b·r to r + b·r.
    """
    low, high, rule = offers.policy["low"], offers.policy["high"], offers.policy["competitor_rule"]
    if not rule.any():
        return Band(low, high)
    price, known, *_ = rivals.cheapest(offers)
    share = np.where(rule == MATCH, 0, offers.policy["competitor_bp"])
    ruled = known & (rule != FREE)
    least = np.where(ruled & (rule != UNDERCUT), divide_up(price * (ONE - share), _WHOLE), low)
    most = np.where(rule == WITHIN, price * (ONE + share), price * (ONE - share)) // ONE
    most = np.where(ruled, most, high)
    return Band(np.clip(least, low, high), np.clip(most, low, high))
