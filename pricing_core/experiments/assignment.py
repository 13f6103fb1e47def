"""Which offers, or which times, are held out of repricing: a function of the experiment's name and nothing else.

Nobody stores an arm. The worker that decides a price, the report that counts the profit and a replay a month later
each compute it, and come to the same. One price holds for all shoppers at any moment: what is randomised are offers
or stretches of time, never shoppers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, Self
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from pricing_core.draws import uniform
from schemas.events import ExperimentSet
from schemas.timestamps import parse_ms

Int64 = NDArray[np.int64]
Bool = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Experiment:
    """A comparison of the repricer with its absence, for a while."""

    name: str
    """A new name draws new arms."""
    kind: Literal["offers", "switchback"]
    """``offers``: some offers are held out all the time. ``switchback``: all offers, every other block of time."""
    starts_at: int
    """Event time, ms."""
    ends_at: int
    """Event time, ms; the first moment behind it."""
    control_share: float = 0.5
    """Of the offers; of a switchback always a half."""
    block_ms: int = 86_400_000
    """Length of a block of a switchback."""

    def __post_init__(self) -> None:
        """Refuse what cannot be played.

        Raises:
            ValueError: The experiment ends before it starts, has no control or no treatment, or too few blocks.
        """
        if self.ends_at <= self.starts_at:
            raise ValueError(f"experiment {self.name!r} ends before it starts")
        if not 0.0 < self.control_share < 1.0:
            raise ValueError(
                f"experiment {self.name!r} holds {self.control_share:g} of the offers out: say 0.01 to 0.99"
            )
        if self.kind == "switchback" and self.pairs < 2:
            raise ValueError(f"experiment {self.name!r} has {self.pairs} pairs of blocks: give it two or more")

    @classmethod
    def of(cls, said: ExperimentSet) -> Self:
        """What a record of ``pricing-control`` is about.

        Raises:
            ValueError: It cannot be played, or a time is none.
        """
        return cls(
            name=said.experiment,
            kind=said.kind,
            starts_at=parse_ms(said.starts_at),
            ends_at=parse_ms(said.ends_at),
            control_share=said.control_share_bp / 10_000,
            block_ms=said.block_s * 1000,
        )

    @property
    def pairs(self) -> int:
        """Whole pairs of blocks that a switchback has room for."""
        return (self.ends_at - self.starts_at) // (2 * self.block_ms)

    @property
    def seed(self) -> int:
        """Of all its coins."""
        return int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:8], "big")

    def is_running(self, now: int) -> bool:
        """Whether it decides anything at an event time (ms)."""
        return self.starts_at <= now < self.ends_at

    def controls(self, keys: Iterable[bytes], now: Int64) -> Bool:
        """Tell who is in the control arm, [n].

        Args:
            keys: n offer keys; of a switchback they do not matter.
            now: [n] event times, ms, while the experiment runs.
        """
        if self.kind == "offers":
            place = np.fromiter(map(crc32, keys), np.int64)
            drawn: Bool = uniform(self.seed, 0, place) < self.control_share
            return drawn
        block = (now - self.starts_at) // self.block_ms
        return self.control_blocks(block)

    def control_blocks(self, block: Int64) -> Bool:
        """Tell which blocks of a switchback are control, [n]: of each two that follow one another one, by a coin."""
        first_is_control = uniform(self.seed, 0, block // 2) < 0.5
        is_second = block % 2 == 1
        control: Bool = first_is_control != is_second
        return control
