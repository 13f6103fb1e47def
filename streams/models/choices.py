"""Which decisions of a log say something about a model, and how probable each of its choices was among them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import jax.numpy as jnp
import numpy as np
from jax import Array

from pricing_core.choose import probabilities
from pricing_core.decisions import Decisions
from pricing_core.evaluation.arrays import Float64, Int64
from pricing_core.features import HOLD, MOVES_BP
from pricing_core.recorded import Recorded, RecordedError
from schemas.columns import AUTO, Q_FUNCTION
from streams.models.transitions import Followed

AT_ONCE = 1_024
BY_THE_MODEL = frozenset({"demand", "model_holds"})
"""Reasons of decisions in which nothing but the model decided."""
LEAST_ALIKE = 0.8
"""Of moves at least this share of what is known of holds: else the sample is one of what was chosen."""
_AS_RECORDED = 1e-4
"""So far may a recorded propensity be from that which its record's values give."""
HELD_TRULY = frozenset({"not_needed", "applied"})
"""Acknowledgements by which the price is known to have held."""


@dataclass(slots=True)
class Choices:
    """Holds, or moves, that a model chose where it might have chosen the other."""

    chosen: int = 0
    known: int = 0
    """Of those, how many of which it is known what followed."""

    @property
    def share(self) -> float:
        """Of the choices, those whose outcome is known."""
        return self.known / self.chosen if self.chosen else 1.0

    def note(self, *, known: bool) -> None:
        """Count one more."""
        self.chosen += 1
        self.known += known


@dataclass(slots=True)
class Sorted:
    """Decisions in which the model had a choice, and whether its price moved was for nobody else to say."""

    free: list[Followed] = field(default_factory=list)
    """Nothing but the model decided, and what followed is known."""
    guarded: list[Followed] = field(default_factory=list)
    """A guard forbade the model's choice."""
    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Of those that were read, by reason."""
    holds: Choices = field(default_factory=Choices)
    moves: Choices = field(default_factory=Choices)


def sort_out(followed: Iterable[Followed]) -> Sorted:
    """Pick the decisions that say something about a model.

    Which of them are looked at depends on nothing that was chosen: of offers whose moves somebody else carries out, or
    does not, the holds say nothing either. What followed may be unknown of a move and not of a hold; `logging_of`
    makes up for that.
    """
    found, rest = Sorted(), iter(followed)
    while page := list(islice(rest, AT_ONCE)):
        found.read += len(page)
        choices = [one for one in page if _is_choice(one)]
        found.left_out += Counter({"no choice": len(page) - len(choices)})  # += keeps no zeros
        for one, mode in zip(choices, _modes(choices), strict=True):
            if mode is None:
                found.left_out["inputs unreadable"] += 1
            elif mode != AUTO:
                found.left_out["another carries it out"] += 1
            else:
                _sort_in(found, one)
    return found


def _is_choice(one: Followed) -> bool:
    several = one.legal is not None and sum(one.legal) > 1
    return several and one.inputs is not None and one.run_mode == "ACTIVE" and one.chosen is not None


def _modes(choices: Sequence[Followed]) -> list[int | None]:
    """Of the policies of then; None where the inputs cannot be read."""
    try:
        modes: list[int | None] = Recorded.unpacked(one.inputs or b"" for one in choices).policies["mode"].tolist()
    except RecordedError:
        return [None] if len(choices) == 1 else [mode for one in choices for mode in _modes([one])]
    return modes


def _sort_in(found: Sorted, one: Followed) -> None:
    moves = one.chosen != HOLD
    guarded = one.outcome == "held" and moves
    if not guarded and (one.reason not in BY_THE_MODEL or not one.propensity):
        found.left_out["the model had no say"] += 1
        return
    free = not guarded and _is_known(one)
    if free:
        found.free.append(one)
    elif guarded and one.reason != "breaker":  # which looks at all offers together, and not at this choice
        found.guarded.append(one)
    else:
        found.left_out["not known what followed"] += 1
    (found.moves if moves else found.holds).note(known=free)


def _is_known(one: Followed) -> bool:
    carried_out = one.action is not None and one.action == one.chosen
    return carried_out and one.acknowledgement in HELD_TRULY and not one.incomplete and one.days > 0


def logging_of(found: Sorted, decided: Sequence[Decisions]) -> tuple[Int64, Float64]:
    """Probabilities of the candidates under the model that decided, in decisions whose outcome is known, [N, A].

    A move is known less often than a hold: the catalog did not answer, or a guard held it. If that is chance, the
    probability of an action among known decisions is p(a) k(a) / Σ p(b) k(b), with k the share that is known.

    Args:
        found: What was sorted out.
        decided: Its free decisions, made again by any model.

    Returns:
        Places of the free decisions whose recorded propensity is that of their record's values, and the probabilities
        in them.

    Raises:
        ValueError: Far fewer moves are known than holds, or the other way round: then it is not chance.
    """
    hold, move = found.holds.share, found.moves.share
    if min(hold, move) < LEAST_ALIKE * max(hold, move):
        raise ValueError(
            f"it is known what followed of {hold:.0%} of the holds and of {move:.0%} of the moves: which decisions are "
            "looked at depends on what was chosen"
        )
    if not found.free:
        return np.zeros(0, np.int64), np.zeros((0, len(MOVES_BP)))
    logging = on_their_rungs(_recorded_probabilities(found.free), decided)
    said = np.array([one.propensity or 0.0 for one in found.free])
    action = np.array([one.action or 0 for one in found.free], np.int64)
    sound = np.flatnonzero(np.abs(logging[np.arange(len(action)), action] - said) < _AS_RECORDED)
    known = logging[sound] * np.where(np.arange(logging.shape[1]) == HOLD, hold, move)
    return sound, known / known.sum(axis=1, keepdims=True)


def on_their_rungs(by_value: Array, again: Sequence[Decisions]) -> Float64:
    """Probabilities of the candidates, [N, A]: by their values on the highest rung, below it those of every model."""
    anyway, rung = (
        np.concatenate(columns) for columns in zip(*((d.probabilities, d.rung) for d in again), strict=True)
    )
    return np.where((rung == Q_FUNCTION)[:, None], by_value, anyway).astype(np.float64)


def _recorded_probabilities(free: Sequence[Followed]) -> Array:
    """Nothing where the values of the candidates were not recorded."""
    unknown: list[float | None] = [None] * len(MOVES_BP)
    q = np.array([one.q or unknown for one in free], np.float32)  # None becomes NaN: no choice
    epsilon = jnp.array([one.epsilon or 0.0 for one in free], jnp.float32)
    legal = np.array([one.legal for one in free], np.bool_)
    return probabilities(jnp.asarray(q), jnp.asarray(legal), epsilon[:, None])
