"""Which competitors' prices an offer heeds, and the cheapest of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pricing_core.offers import Offers, age
from schemas.columns import NONE, Bool, Int64

MEMORY_MS = 14 * 86_400_000
"""A competitor that was not seen for so long is not heeded, nor one that is older than the policy allows."""

PLAUSIBLE = 4
"""A price that is so many times our list price, or as small a part of it, is an error: of its seller, or of a unit."""

_FAR = np.iinfo(np.int64).max


class Cheapest(NamedTuple):
    """The lowest price that each of n offers heeds."""

    price: Int64
    """[n] landed; meaningless where it is not known."""
    known: Bool
    """[n]."""
    age_ms: Int64
    """[n] of that observation."""


def named(offers: Offers) -> Bool:
    """Which of the remembered competitors the policy names, [n, RIVALS]."""
    every = offers.policy["heeds_all"]
    found: Bool = np.repeat(every[:, None], offers.state["rival"].shape[1], axis=1)
    some = np.flatnonzero(~every)
    if len(some):
        ours, theirs = offers.policy["competitors"][some], offers.state["rival"][some]
        found[some] = ((theirs[:, :, None] == ours[:, None, :]) & (ours[:, None, :] != 0)).any(axis=2)
    return found


def newest(offers: Offers) -> Int64:
    """When one of those that the policy names was seen last, [n]; 0: never."""
    seen: Int64 = np.where(named(offers), offers.state["rival_seen_at"], 0).max(axis=1)
    return seen


def cheapest(offers: Offers) -> Cheapest:
    """Find the cheapest competitor that has the product, was seen lately, and asks what one can believe."""
    price, seen_at = offers.state["rival_price"], offers.state["rival_seen_at"]
    oldest, reference = offers.policy["max_competitor_age_ms"], offers.policy["list_price"][:, None]
    since = offers.now - np.where(oldest == NONE, MEMORY_MS, np.minimum(oldest + 1, MEMORY_MS))
    heeded = (offers.state["rival_in_stock"] == 1) & (seen_at > since[:, None]) & (seen_at > 0) & named(offers)
    heeded &= (price * PLAUSIBLE >= reference) & (price <= reference * PLAUSIBLE)
    place = np.where(heeded, price, _FAR).argmin(axis=1)
    row = np.arange(len(offers))
    return Cheapest(price[row, place], heeded[row, place], age(offers.now, seen_at[row, place]))
