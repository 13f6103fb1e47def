"""What the network was shown when recorded decisions were made, computed again from their records."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pricing_core.features import FEATURES, HOLD, MOVES_BP
from pricing_core.ladder import Ladder
from pricing_core.model_file import Model
from pricing_core.offers import Offers
from pricing_core.recorded import Recorded
from pricing_core.replaying import Question, ReplayingEngine
from pricing_core.run_modes import MODES
from pricing_core.valuation import Memory, Valuation, see
from schemas.columns import Bool, Int64

Float32 = NDArray[np.float32]

AT_ONCE = 1024
"""Decisions that are recalled together."""


class Recalled(NamedTuple):
    """n recorded decisions; those that would have no choice now are missing."""

    rows: Int64
    """[m] which of them are here."""
    seen: tuple[Float32, ...]
    """[m, ...] arguments of `q_function.q_values` beside the parameters."""
    log_ratio: Float32
    """[m, A] ln(candidate / current price)."""
    legal: Bool
    """[m, A]."""


class Recall(ReplayingEngine):
    """Decides recorded offers again, with a model that only looks."""

    def __init__(self, model: Model) -> None:
        super().__init__(model, capacity=AT_ONCE)
        self._looked: list[tuple[tuple[Float32, ...], Float32, Bool]] = []

    def recall(self, recorded: Recorded, now: Int64, modes: list[str]) -> Recalled:
        """Look at n offers as they were.

        Args:
            recorded: At most `AT_ONCE`.
            now: [n] event time of the decisions, ms.
            modes: n run modes, by name.
        """
        n = len(recorded)
        nothing, mode = np.zeros(n, np.int64), np.array([MODES.index(name) for name in modes], np.int8)
        question = Question(recorded, now, mode, nothing.astype(np.int8), nothing.astype(np.float32), nothing)
        self._looked.clear()
        rows = np.flatnonzero(self.decide_again(question).considered)
        if not len(rows):
            blank = np.empty((0, len(MOVES_BP)))
            return Recalled(rows, (), blank.astype(np.float32), blank.astype(np.bool_))
        return Recalled(rows, *self._looked[0])

    def _ask(self, offers: Offers, ladder: Ladder, chance: Float32) -> Valuation:  # noqa: ARG002  # the engine's signature
        n = len(offers)
        log_ratio = np.log(np.maximum(ladder.prices, 1) / offers.current[:, None]).astype(np.float32)
        self._looked.append((see(Memory(self._sums, self._tallies), offers, ladder), log_ratio, ladder.legal))
        q, features = np.zeros((n, len(MOVES_BP)), np.float32), np.zeros((n, len(FEATURES)), np.float32)
        nothing = np.zeros(n, np.int64)
        return Valuation(q, np.full(n, HOLD), q, nothing, nothing > 0, features, nothing)
