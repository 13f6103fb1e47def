"""What the engine answers, as columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pricing_core.features import FEATURES, MOVES_BP
from pricing_core.policy_table import POLICY
from pricing_core.recorded import Recorded
from pricing_core.rules import CODES
from pricing_core.state import LOOP, ROW, Rows
from schemas.binary import BinaryArray
from schemas.columns import NONE, Bool, Int8, Int64

CHANGED, RECOMMENDED, HELD, PROPOSED = 0, 1, 2, 3
OUTCOMES = ("changed", "recommended", "held", "proposed")
"""Names of the values of `Decisions.outcome`."""

Float32 = NDArray[np.float32]


class _Coded:
    """Columns about offers, each row with the reason for it."""

    __slots__ = ()
    keys: BinaryArray
    code: Int64

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def reasons(self) -> list[str]:
        """Names of ``code``."""
        return [CODES[number] for number in self.code.tolist()]


@dataclass(frozen=True, slots=True)
class Decisions(_Coded):
    """n decisions. Optional integers are `NONE` where there is nothing to say."""

    now: Int64
    """Event time, ms; one for all that a shard decides at once."""
    keys: BinaryArray
    sequence: Int64
    """Numbers of the decisions, ascending by one within a shard."""
    outcome: Int8
    """`CHANGED`, `RECOMMENDED`, `HELD` or `PROPOSED`."""
    code: Int64
    """Why: numbers of `rules.CODES`."""
    price: Int64
    """After the decision; of a recommendation or a proposal, its price."""
    previous_price: Int64
    prior_price: Int64
    """Lowest one of the last 30 days, where the move is to be announced as a reduction from it; else `NONE`."""
    version: Int64
    """Of the change; `NONE` without one."""
    policy_version: Int64
    run_mode: Int8
    """Numbers of `run_modes.MODES`."""
    run_mode_scope: Int8
    """Who has set it: numbers of `run_modes.SCOPES`."""
    currency: Int64
    """ISO 4217 numeric; 0 unknown."""
    command: Int64
    """Offset of the command that is carried out or refused; `NONE` without one."""
    prices: Int64
    """[n, A] candidates."""
    masked: Int8
    """[n, A] 0 where legal, else the rule that forbids it: an index into `rules.CODES`."""
    q: Float32
    """[n, A]."""
    considered: Bool
    """Whether there were candidates at all. Where not, ``prices``, ``masked``, ``q`` and ``features`` are zero."""
    chosen: Int64
    """Candidate; `NONE` if none was chosen."""
    propensity: Float32
    """Probability of the chosen candidate; 0 if none."""
    probabilities: Float32
    """[n, A] with which the model chooses each candidate; 0 where it had no choice."""
    rung: Int64
    """Of the evidence ladder: numbers of `rungs.RUNGS`; says nothing where no candidates were made."""
    demand: Int8
    """1 where the offer's demand was found to have changed, else 0."""
    lower: Int64
    """Legal interval of the price, all rules but the ending; the static bounds where no candidates were made."""
    upper: Int64
    limit: Int64
    """Of the rule in ``code``: what it asks for, and what it found (minor units or ms)."""
    value: Int64
    features: Float32
    """[n, F] as the network saw them."""
    batch: Int64
    """Rows of the compiled call that valued the candidates; 0 without one."""
    uniform: Float32
    """In [0, 1): what chance said."""
    rows: Rows
    """[n] the offers before the decision."""
    policies: NDArray[np.void]
    """[n] their policies."""
    loops: NDArray[np.void]
    """[n] of `state.LOOP`: what is known about loops with competitors after the decision."""

    def part(self, rows: slice) -> Self:
        """Look at consecutive decisions; nothing is copied."""
        columns: dict[str, Any] = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "keys"}
        return type(self)(**columns, keys=self.keys.take(rows))

    @property
    def recorded(self) -> Recorded:
        """What the decisions depended on, for their records."""
        return Recorded(self.rows, self.policies)


@dataclass(frozen=True, slots=True)
class DecidedTogether:
    """Decisions of several shards, those of each behind one another."""

    decisions: Decisions
    rows: Mapping[int, slice]
    """Where those of each shard are that has any, ascending."""

    @property
    def sizes(self) -> dict[int, int]:
        """How many each shard has."""
        return {shard: rows.stop - rows.start for shard, rows in self.rows.items()}


Permit = Callable[[DecidedTogether], None]
"""Looks at all decisions of a step before they are written down, and may turn changes into holds."""


def permit_all(_: DecidedTogether) -> None:
    """Let every decision stand."""


@dataclass(frozen=True, slots=True)
class Resends(_Coded):
    """Price changes whose answer is overdue, to be sent again with the version that they had."""

    keys: BinaryArray
    sequence: Int64
    """Number of the decision that made each change."""
    code: Int64
    version: Int64
    price: Int64
    previous_price: Int64
    prior_price: Int64
    policy_version: Int64
    currency: Int64
    given_up: BinaryArray
    """Offers whose change was sent again as often as allowed and is still not answered. Each is named once."""


def no_decisions() -> Decisions:
    """Nothing was due."""
    return blank(np.empty(0, np.int64), BinaryArray.of([]))


def blank(now: Int64, keys: BinaryArray) -> Decisions:
    """Columns of n decisions to be filled in."""
    n = len(keys)
    none = [np.full(n, NONE, np.int64) for _ in range(11)]
    shape = (n, len(MOVES_BP))
    return Decisions(
        now=now,
        keys=keys,
        sequence=none[0],
        outcome=np.full(n, HELD, np.int8),
        code=np.zeros(n, np.int64),
        price=none[1],
        previous_price=none[2],
        prior_price=none[9],
        version=none[3],
        policy_version=none[4],
        run_mode=np.zeros(n, np.int8),
        run_mode_scope=np.zeros(n, np.int8),
        currency=np.zeros(n, np.int64),
        command=none[10],
        prices=np.zeros(shape, np.int64),
        masked=np.zeros(shape, np.int8),
        q=np.zeros(shape, np.float32),
        considered=np.zeros(n, np.bool_),
        chosen=none[5],
        propensity=np.zeros(n, np.float32),
        probabilities=np.zeros(shape, np.float32),
        rung=np.zeros(n, np.int64),
        demand=np.zeros(n, np.int8),
        lower=none[6],
        upper=none[7],
        limit=none[8],
        value=np.full(n, NONE, np.int64),
        features=np.zeros((n, len(FEATURES)), np.float32),
        batch=np.zeros(n, np.int64),
        uniform=np.zeros(n, np.float32),
        rows=np.zeros(n, ROW),
        policies=np.zeros(n, POLICY),
        loops=np.zeros(n, LOOP),
    )
