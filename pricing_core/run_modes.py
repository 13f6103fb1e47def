"""Whether the prices of an offer may move, and by which scope's word: what persons have set, the strictest counting.

ACTIVE: prices move. HELD_OUT: the offer is in the control arm of an experiment, and goes to the list price and stays
there, as without a repricer; every limit of its policy holds on the way. REDUCING: prices move only towards the list
price, and into new bounds, which are the law. HALTED: no price moves, not even into bounds: who halts does not know yet
what is wrong, and that may be the bounds. What a person orders for an offer in so many words (a rollback) goes through
all of them, or nobody could roll back in a crisis.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple, Self

import numpy as np

from pricing_core.experiments.assignment import Experiment
from schemas.binary import BinaryArray
from schemas.columns import Bool, Int8, Int64
from schemas.offer_keys import channels_and_skus
from schemas.sources import name_digest

MODES = ("ACTIVE", "HELD_OUT", "REDUCING", "HALTED")
"""Each stricter than the one before. Audit records name them: the number is only ours."""
ACTIVE, HELD_OUT, REDUCING, HALTED = range(len(MODES))

SCOPES = (None, "everything", "channel", "category", "experiment", "breaker")
"""Which kind of scope has set the mode of an offer; None: no scope restrains it."""
NOBODY, EVERYTHING, CHANNEL, CATEGORY, EXPERIMENT, BREAKER = range(len(SCOPES))


class Scope(NamedTuple):
    """Offers that a run mode is about."""

    kind: int
    """`EVERYTHING`, `CHANNEL` or `CATEGORY`."""
    name: str = ""
    """Of the channel or the category."""


ALL = Scope(EVERYTHING)


def scope_of(channel: str | None, category: str | None) -> Scope:
    """Scope of a channel, of a category, or of everything; the caller names one at most."""
    if channel is not None:
        return Scope(CHANNEL, channel)
    return ALL if category is None else Scope(CATEGORY, category)


class OfferModes(NamedTuple):
    """What is in force for each of n offers."""

    mode: Int8
    """[n] numbers of `MODES`."""
    scope: Int8
    """[n] kind of the scope that has set it: numbers of `SCOPES`."""


@dataclass(frozen=True, slots=True)
class RunModes:
    """The run modes in force in a shard."""

    of_scope: Mapping[Scope, int] = field(default_factory=dict)
    """Number in `MODES`; a scope that is not here is ACTIVE."""
    experiments: Mapping[str, Experiment] = field(default_factory=dict)
    """By name."""
    stopped: bool = False
    """Whether the breaker has stopped the shard: no price moves, as if a person had halted everything."""

    @classmethod
    def everywhere(cls, mode: str) -> Self:
        """One mode for all offers. A mode that nobody knows halts."""
        return cls().having(ALL, mode)

    def having(self, scope: Scope, mode: str) -> Self:
        """The same with another mode for one scope. A mode that nobody knows halts."""
        number = MODES.index(mode) if mode in MODES else HALTED
        return replace(self, of_scope={**self.of_scope, scope: number})

    def testing(self, experiment: Experiment) -> Self:
        """The same with an experiment, in place of one of its name."""
        return replace(self, experiments={**self.experiments, experiment.name: experiment})

    def halted_by_breaker(self) -> Self:
        """The same in a shard that the breaker has stopped."""
        return replace(self, stopped=True)

    @property
    def restrain(self) -> bool:
        """Whether any offer may be held back: without that, `of_offers` has nothing to say."""
        return self.stopped or bool(self.experiments) or any(mode != ACTIVE for mode in self.of_scope.values())

    @property
    def everything(self) -> str:
        """Mode of the scope of all offers."""
        return MODES[HALTED if self.stopped else self.of_scope.get(ALL, ACTIVE)]

    def of_offers(self, keys: BinaryArray, categories: Int64, now: int) -> OfferModes:
        """Mode of each of n offers. Of scopes that say the same the widest is named.

        Args:
            keys: [n] ``channel:sku``.
            categories: [n] `name_digest` of each offer's category; 0 without one.
            now: Event time, ms.
        """
        if self.stopped:
            return OfferModes(np.full(len(keys), HALTED, np.int8), np.full(len(keys), BREAKER, np.int8))
        mode, scope = np.full(len(keys), ACTIVE, np.int8), np.full(len(keys), NOBODY, np.int8)
        for experiment in self.experiments.values():
            if experiment.is_running(now):
                held_out = experiment.controls(keys.present(), np.full(len(keys), now))
                mode[held_out], scope[held_out] = HELD_OUT, EXPERIMENT
        for one, strictness in sorted(self.of_scope.items()):
            if strictness != ACTIVE:
                stricter = (mode < strictness) & _covers(one, keys, categories)
                mode[stricter], scope[stricter] = strictness, one.kind
        return OfferModes(mode, scope)


def _covers(scope: Scope, keys: BinaryArray, categories: Int64) -> Bool:
    """Whether each offer belongs to a scope, [n]."""
    if scope.kind == EVERYTHING:
        return np.ones(len(keys), np.bool_)
    name = scope.name.encode()
    if scope.kind == CATEGORY:
        named: Bool = categories == name_digest(name)
        return named
    channels, _ = channels_and_skus(keys)
    covered: Bool = channels.length == len(name)
    rows = np.flatnonzero(covered)
    places = channels.start[rows, None] + np.arange(len(name))
    covered[rows] = (channels.data[places] == np.frombuffer(name, np.uint8)).all(axis=1)
    return covered
