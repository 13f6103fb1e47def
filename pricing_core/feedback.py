"""Feedback loops with competitors, found in the prices of both sides: who follows whom, and where it leads.

Looked at is the cheapest competitor that an offer heeds, whenever the offer is decided. A *round* is over when both its
price and ours have changed since the last one. Four patterns are no market but two machines that answer each other, or
one that answers itself, each found in its third round:

- *echo*: its new price is our own one, or the one that we had before: our own offer comes back as a competitor's, or
  somebody copies us;
- *spiral*: both go the same way and its price keeps its ratio to ours: the book of 2011 (x 0.9983, x 1.2706 a round);
- *price war*: we undercut it, it undercuts us, and so on;
- *relent*: after at least two rounds of a price war it raises its price above ours again, to begin anew.

Such a competitor is ignored for some days: the price comes from demand and from the other competitors, and a floor that
both would have run to is not reached. If a second one is found meanwhile, all of them are ignored. What is seen is a
pure function of the row and written down with the decision: a decision that is made again sees the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pricing_core import rivals
from pricing_core.offers import Offers
from schemas.columns import Bool, Int64

LOOPS = ("none", "echo", "spiral", "price_war", "relent")
"""What was found, by number (`state.LOOP`)."""
NONE_FOUND, ECHO, SPIRAL, PRICE_WAR, RELENT = range(5)
ROUNDS = 3
IGNORED_MS = 7 * 86_400_000
TOLERANCE = 0.001
"""Of a ratio, beside the rounding of both prices to minor units."""

Loops = NDArray[np.void]
"""[n] of `state.LOOP`."""


def watch(offers: Offers) -> Loops:
    """What is known about the loops of n offers after this look at them; ``found`` says what was found just now."""
    before = offers.state["loop"]
    theirs, known, _, name = rivals.cheapest(offers)
    after = before.copy()
    after["found"] = NONE_FOUND
    if not known.any():
        return after
    ours = offers.current
    same = known & (before["rival"] == name) & (before["theirs"] > 0)
    _begin(after, known & ~same, name, ours, theirs)
    moved, answered = theirs != before["theirs"], ours != before["own"]
    relented = same & moved & (theirs > before["theirs"]) & (theirs > ours) & (before["undercuts"] >= ROUNDS - 1)
    _begin(after, same & moved & ~answered, name, ours, theirs)  # it moves by itself: no answer to us
    _end_round(after, before, same & moved & answered, ours, theirs)
    _judge(after, same & moved, relented, theirs < ours)
    _ignore(after, name, offers.now)
    return after


def _begin(after: Loops, rows: Bool, name: Int64, ours: Int64, theirs: Int64) -> None:
    """Count from here."""
    for field, values in (("rival", name), ("own", ours), ("theirs", theirs)):
        after[field][rows] = values[rows]
    for field in ("own_before", "echoes", "rises", "falls", "ratios", "undercuts"):
        after[field][rows] = 0


def _end_round(after: Loops, before: Loops, rows: Bool, ours: Int64, theirs: Int64) -> None:
    own, last = before["own"], before["theirs"]
    up, down = (ours > own) & (theirs > last), (ours < own) & (theirs < last)
    at_once, late = _same_ratio(theirs, ours, last, own), _same_ratio(theirs, own, last, before["own_before"])
    seen = {
        "echoes": (theirs == ours) | (theirs == own),
        "rises": up,
        "falls": down,
        "ratios": (up | down) & (at_once | late),
        "undercuts": down & (ours < last) & (theirs < ours),
    }
    for field, holds in seen.items():
        counted = np.where(holds, np.minimum(before[field], 254) + 1, 0)
        after[field][rows] = counted[rows]
    for field, values in (("own_before", own), ("own", ours), ("theirs", theirs)):
        after[field][rows] = values[rows]


def _judge(after: Loops, moved: Bool, relented: Bool, undercut: Bool) -> None:
    spiral = (after["ratios"] >= ROUNDS - 1) & ((after["rises"] >= ROUNDS) | (after["falls"] >= ROUNDS))
    war = (after["undercuts"] >= ROUNDS) & undercut
    found = np.select([after["echoes"] >= ROUNDS, war, spiral, relented], [ECHO, PRICE_WAR, SPIRAL, RELENT], NONE_FOUND)
    after["found"] = np.where(moved, found, NONE_FOUND)


def _ignore(after: Loops, name: Int64, now: Int64) -> None:
    rows = np.flatnonzero(after["found"])
    if not len(rows):
        return
    another = (after["ignored_until"][rows] > now[rows]) & (after["ignored"][rows] != name[rows])
    after["ignored"][rows] = np.where(another, rivals.ALL, name[rows])
    after["ignored_until"][rows] = now[rows] + IGNORED_MS
    for field in ("rival", "own", "own_before", "theirs", "echoes", "rises", "falls", "ratios", "undercuts"):
        after[field][rows] = 0


def _same_ratio(theirs: Int64, ours: Int64, theirs_before: Int64, ours_before: Int64) -> Bool:
    """Whether theirs / ours is what it was, as far as prices in minor units can say."""
    now, then = theirs.astype(np.float64) * ours_before, theirs_before.astype(np.float64) * ours
    rounding = (ours.astype(np.float64) + ours_before) / 2
    same: Bool = (ours_before > 0) & (np.abs(now - then) <= TOLERANCE * then + rounding)
    return same
