"""A decision that moves a price, as the sweep's check sees it, and where it leads within its family."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ONE = 10_000
"""In basis points."""


@dataclass(frozen=True, slots=True)
class Moved:
    """One decision that moves a price, with what was known before it."""

    p: dict[str, Any]
    """Policy."""
    s: dict[str, Any]
    """State row."""
    d: dict[str, Any]
    """Decision."""
    now: int
    run_mode: int
    """0 active, 1 held out at the list price, 2 only towards it, 3 halted."""

    others: tuple[int, int, int]
    """Lowest and highest price of the family's other members, and how many there are."""

    @property
    def is_rollback(self) -> bool:
        """Whether a person has ordered the price back."""
        return bool(self.s["command"] == 5)  # numbers of rows are the contract

    @property
    def is_approved(self) -> bool:
        """Whether a person has approved a price."""
        return bool(self.s["command"] == 3)

    @property
    def current(self) -> int:
        """Price in effect."""
        return int(self.s["price"] or self.p["list_price"])


def parts(m: Moved, price: int) -> bool:
    """Whether the move leads too far below the dearest sibling, or too far above the cheapest one."""
    lowest, highest, _ = m.others
    whole = ONE + int(m.p["max_family_spread_bp"])
    return price * ONE > lowest * whole if price > m.current else price * whole < highest * ONE


def is_apart(m: Moved, price: int) -> bool:
    """Whether a price lies beyond both ends that the siblings leave, on one side; never without any."""
    if not m.p["family"] or m.others[2] <= 0:
        return False
    lowest, highest, _ = m.others
    whole = ONE + int(m.p["max_family_spread_bp"])
    beside_lowest, beside_highest = price * ONE - lowest * whole, price * whole - highest * ONE
    return max(beside_lowest, beside_highest) < 0 or min(beside_lowest, beside_highest) > 0
