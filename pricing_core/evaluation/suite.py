"""Play a row of the bar: all contestants in the same markets, with the same luck."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.bar import OnlinePolicy, earned, earned_by_clairvoyant, given_away
from pricing_core.evaluation.contestants import Contestant
from pricing_core.simulator.bar.interface import Market, PlannedMarket

GROUP = 64
"""Markets that are played at once: enough to keep a processor busy, few enough for the tables of long seasons."""


class Played(NamedTuple):
    """What contestants made of n markets of T periods; who does not play in them is missing."""

    row: str
    shares: dict[str, Float64]
    """float64 [n] by contestant: profit as a share of the optimum, without the luck of sales where that can be told."""
    curves: dict[str, Float64]
    """float64 [T] by contestant: what was earned by then as a share of what the optimum had earned, with the same luck,
    mean of the markets; nan before the first sale. What a price gives away counts where luck is left out of the
    shares: a stock sold too fast is no lead.
    """

    @property
    def n(self) -> int:
        """Markets."""
        return len(next(iter(self.shares.values())))


def groups_of(markets: int) -> tuple[int, int]:
    """Split markets into even groups: how many, and of how many each. Together they may be a few more than asked."""
    groups = -(-markets // GROUP)
    return groups, -(-markets // groups)


class Group(NamedTuple):
    """What contestants made of one group of markets, all as shares of each market's optimum."""

    reached: Float64
    """[T], what the optimum had earned by then, summed over markets."""
    kept: dict[str, Float64]
    """[T, n] by contestant: what it earned in a period, or minus what it gave away."""


def play_row(
    market: Market,
    contestants: Sequence[Contestant],
    *,
    key: Array,
    markets: int,
    report: Callable[[str], None] = lambda _contestant: None,
) -> Played:
    """Let all contestants play in the same markets.

    Args:
        market: The kind.
        contestants: Who plays, where it makes sense.
        key: Of markets and luck (`rows.key`). The same key gives the same figures on one backend.
        markets: How many at least, 1 or more; see `groups_of`.
        report: Called with a name before each turn: of every contestant in every group.
    """
    groups, size = groups_of(markets)
    return together(
        market, [play_group(market, contestants, key=key, group=g, n=size, report=report) for g in range(groups)]
    )


def play_group(
    market: Market,
    contestants: Sequence[Contestant],
    *,
    key: Array,
    group: int,
    n: int,
    report: Callable[[str], None] = lambda _contestant: None,
) -> Group:
    """Play one group of a row; groups do not depend on each other.

    Args:
        market: The kind.
        contestants: Who plays, where it makes sense.
        key: Of the row, see `play_row`.
        group: Number of the group, from 0.
        n: Markets in it.
        report: Called with a name before each turn.
    """
    k_params, k_luck = jax.random.split(jax.random.fold_in(key, group))
    params = market.sample(k_params, n)
    view = market.view(params, market.start(params, k_luck))
    optimum = np.asarray(jax.jit(market.optimum)(params), np.float64)
    kept = {}
    for contestant in contestants:
        policy = contestant.policy(market, view)
        if policy is not None:
            report(contestant.name)
            kept[contestant.name] = _kept(market, policy, params, k_luck) / optimum
    by_clairvoyant = np.asarray(earned_by_clairvoyant(market, params, k_luck), np.float64) / optimum
    return Group(by_clairvoyant.sum(axis=1).cumsum(), kept)


def together(market: Market, groups: Sequence[Group]) -> Played:
    """Put the groups of a row together, in their order."""
    reached = np.sum([group.reached for group in groups], axis=0)
    # What was given away is taken off the whole, what was earned adds up to it.
    whole = 1.0 if isinstance(market, PlannedMarket) else 0.0
    kept = {name: np.concatenate([group.kept[name] for group in groups], axis=1) for name in groups[0].kept}
    return Played(
        row=market.name,
        shares={name: whole + of.sum(axis=0) for name, of in kept.items()},
        curves={name: whole + _curve(of, reached) for name, of in kept.items()},
    )


def _kept(market: Market, policy: OnlinePolicy, params: Any, key: Array) -> Float64:
    if isinstance(market, PlannedMarket):
        return -np.asarray(given_away(market, policy, params, key), np.float64)
    return np.asarray(earned(market, policy, params, key), np.float64)


def _curve(kept: Float64, reached: Float64) -> Float64:
    so_far: Float64 = kept.sum(axis=1).cumsum()
    return np.divide(so_far, reached, out=np.full_like(reached, np.nan), where=reached > 0.0)
