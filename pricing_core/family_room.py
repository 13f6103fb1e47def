"""The room that a family leaves: not too far from the prices of the other members, where any of them is known.

No price is to be higher than another of the family by more than the spread s, as a share of the lower one. With h the
dearest and l the cheapest of the others: no cut ends below h / (1 + s), and no raise above l · (1 + s). (Were shares
those of the other's price, h · (1 - s) would be allowed, h would then be too high beside it, and one price that follows
a competitor would draw the whole family after it step by step.) Where the others lie further apart than s allows, the
two ends cross: from outside of both a price may come up to the nearer one, and between them it stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from pricing_core.offers import Offers
from pricing_core.policy_table import IMPOSSIBLE, ONE
from schemas.columns import Bool, Int64
from schemas.money import divide_up


class Room(NamedTuple):
    """Of n offers, [n] each; without end where no other member is known."""

    least: Int64
    """No cut ends below."""
    most: Int64
    """No raise ends above; smaller than ``least`` where the others lie too far apart."""

    def forbids(self, current: Int64, prices: Int64) -> Bool:
        """Which moves from ``current`` [n, 1] to ``prices`` [n, A] lead out of the room, [n, A]."""
        out: Bool = (prices > current) & (prices > self.most[:, None])
        return out | ((prices < current) & (prices < self.least[:, None]))

    def reachable(self, current: Int64) -> tuple[Int64, Int64]:
        """Lowest and highest price that a move from ``current`` [n] may end at, [n] each."""
        return np.minimum(self.least, current), np.maximum(self.most, current)

    def nearest(self, prices: Int64) -> Int64:
        """Where offers at these prices want to be, [n]: where they are, or the nearer end of the room."""
        inside: Int64 = np.clip(prices, np.minimum(self.least, self.most), np.maximum(self.least, self.most))
        return inside


def family_room(offers: Offers) -> Room | None:
    """The room of n offers; None where none of them has to heed other members."""
    policy = offers.policy
    ruled = (policy["family"] != 0) & (policy["family_count"] > 0)
    if not ruled.any():
        return None
    share = policy["max_family_spread_bp"]
    least = np.where(ruled, divide_up(policy["family_high"] * ONE, ONE + share), 0)
    return Room(least, np.where(ruled, policy["family_low"] * (ONE + share) // ONE, IMPOSSIBLE))
