"""Which competitors' prices an offer heeds, and the cheapest of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pricing_core.offers import Offers, age
from pricing_core.state import Rows
from schemas.columns import NONE, Bool, Int64

MEMORY_MS = 14 * 86_400_000
"""A competitor that was not seen for so long is not heeded, nor one that is older than the policy allows."""

PLAUSIBLE = 4
"""A price that is so many times our list price, or as small a part of it, is an error: of its seller, or of a unit."""

ALL = -1
"""In place of one competitor's name: every one."""

_FAR = np.iinfo(np.int64).max


class Cheapest(NamedTuple):
    """The lowest price that each of n offers heeds."""

    price: Int64
    """[n] landed; meaningless where it is not known."""
    known: Bool
    """[n]."""
    age_ms: Int64
    """[n] of that observation."""
    name: Int64
    """[n] whose price it is."""


def named(rows: Rows, policies: NDArray[np.void]) -> Bool:
    """Which of the remembered competitors each policy names, [n, RIVALS]."""
    every = policies["heeds_all"]
    found: Bool = np.repeat(every[:, None], rows["rival"].shape[1], axis=1)
    some = np.flatnonzero(~every)
    if len(some):
        ours, theirs = policies["competitors"][some], rows["rival"][some]
        found[some] = ((theirs[:, :, None] == ours[:, None, :]) & (ours[:, None, :] != 0)).any(axis=2)
    return found


def newest(offers: Offers) -> Int64:
    """When one of those that the policy names was seen last, [n]; 0: never."""
    seen: Int64 = np.where(named(offers.state, offers.policy), offers.state["rival_seen_at"], 0).max(axis=1)
    return seen


def heeded(rows: Rows, policies: NDArray[np.void], now: Int64) -> tuple[Bool, Int64]:
    """Whether there is a competitor to heed, [n], and the place of the cheapest.

    It has the product, was seen lately, is named by the policy, asks what one can believe, and is in no loop with us.
    """
    price, seen_at = rows["rival_price"], rows["rival_seen_at"]
    oldest, reference = policies["max_competitor_age_ms"], policies["list_price"][:, None]
    since = now - np.where(oldest == NONE, MEMORY_MS, np.minimum(oldest + 1, MEMORY_MS))
    good = (rows["rival_in_stock"] == 1) & (seen_at > since[:, None]) & (seen_at > 0) & named(rows, policies)
    good &= (price * PLAUSIBLE >= reference) & (price <= reference * PLAUSIBLE)
    good &= ~_ignored(rows, now)
    place = np.where(good, price, _FAR).argmin(axis=1)
    return good[np.arange(len(rows)), place], place


def cheapest(offers: Offers) -> Cheapest:
    """Find the cheapest competitor to heed, see `heeded`."""
    known, place = heeded(offers.state, offers.policy, offers.now)
    row = np.arange(len(offers))
    price, seen_at, name = (offers.state[column][row, place] for column in ("rival_price", "rival_seen_at", "rival"))
    return Cheapest(price, known, age(offers.now, seen_at), name)


def _ignored(rows: Rows, now: Int64) -> Bool:
    """Which of the remembered competitors are in a feedback loop with us (`feedback`), [n, RIVALS]."""
    ignored, until = rows["loop"]["ignored"][:, None], rows["loop"]["ignored_until"][:, None]
    found: Bool = (until > now[:, None]) & ((ignored == ALL) | (rows["rival"] == ignored))
    return found
