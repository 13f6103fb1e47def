"""Plan for prices near the present one, where a stock never ends: what a belief says of demand there, curve by curve.

About the present price the log demand of curve j at a move m in ln price is taken for ``l - s·m - c·m²/2``, with level
l, slope s and bend c of that curve at that price. Curves are weighed by the units that they expect here, v, so that the
mean profit of a move is that of the mean demand. To second order

    E[exp(-s·m - c·m²/2)] = exp(-E[s]·m - E[c]·m²/2 + var(s·m + c·m²/2) / 2)

and the best move of a curve is one step of Newton's from no move. With these, what `exploration` says that trying a
price saves takes means over curves only: nothing is computed for each curve and each price, which is ten times
as quick as `under_belief.endless` with `exploration.saved_by_trying` and says the same of moves up to some 10 %.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from pricing_core.demand.belief import Posterior
from pricing_core.demand.curves import CURVES, tabulated
from pricing_core.demand.knots import FARTHEST

NEAR = 0.12
"""So far the second order holds; demand goes on from there as steep as it is there."""
_PROBE = 0.06
"""Slope and bend of a curve are those of the parabola through its log demand here and so far to either side."""
_MOST_BEND = 60.0
"""Of a curve, where its demand ends abruptly."""
_STEP = 0.03
_PLACES = np.arange(-FARTHEST, FARTHEST + 0.5 * _STEP, _STEP).astype(np.float32)
"""ln(price / list price) at which curves are tabulated; between two of them the parabola about the nearer one holds."""
_LEAST_MARGIN = 0.02
"""Of a unit, as a share of the price after tax, where the best move is looked for."""
_LEAST_CURVATURE = 0.1
_LEAST_UNITS = 1e-3
_LEAST_VARIANCE = 1e-9


class Nearby(NamedTuple):
    """What is believed of N offers about their present prices, and of A moves from there. float32."""

    units: Array
    """[N] expected of a period at the present price."""
    slope: Array
    """[N] mean of s = -d ln demand / d ln price, by units."""
    slope_spread: Array
    """[N] its standard deviation."""
    kept: Array
    """[N, A] expected demand after the move over that before it."""
    doubt: Array
    """[N, A] standard deviation of that over the curves, as a share of it."""
    saved: Array
    """[N, A] profit that a period there saves in each later one, by what it teaches, for each unit expected here."""
    best: Array
    """[N, J] best move of each curve, between the lowest and the highest one."""


def _tabulated() -> NDArray[Any]:
    """Level, slope and bend of each curve about each of `_PLACES`, float32 [P, 3 J]."""
    below, here, above = (np.log(tabulated(_PLACES + away).T, dtype=np.float64) for away in (-_PROBE, 0.0, _PROBE))
    slope, bend = (below - above) / (2.0 * _PROBE), (2.0 * here - below - above) / _PROBE**2
    return np.concatenate([here, slope, np.clip(bend, 0.0, _MOST_BEND)], axis=1).astype(np.float32)


_TABLE = _tabulated()


class _Curves(NamedTuple):
    """J curves of N offers about a price, [N, J]."""

    share: Array
    """Of the units expected, sums to 1."""
    level: Array
    """ln demand, less what is the same for all curves."""
    slope: Array
    bend: Array


def look_about(held: Posterior, exposure: Array, log_price: Array, moves: Array, profit: tuple[Array, Array]) -> Nearby:
    """Say what is believed of moves.

    Args:
        held: Belief, whose Gamma's shape is the same for all curves.
        exposure: [N] of a period.
        log_price: [N] ln(price / list price), at most `FARTHEST` from 0.
        moves: [N, A] in ln price.
        profit: a and b, [N]: a unit earns a·e^m - b after the move m.
    """
    curves, units = _about(held, log_price)
    units = units * exposure
    level, slope, bend = (_mean(curves.share, part) for part in curves[1:])
    unknown, best = _lost(curves, slope, bend, moves, profit)
    off = curves.level - level, curves.slope - slope, curves.bend - bend, best - _mean(curves.share, best)
    products = [[_sum(curves.share * one * other) for other in off[i:]] for i, one in enumerate(off)]
    (ll, ls, lc, lt), (ss, sc, st), (cc, ct), (tt,) = jax.lax.optimization_barrier(products)  # type: ignore[no-untyped-call]  # JAX gives no types
    near, half, variance, kept = _after(moves, slope, bend, (ss, sc, cc))
    told = ll - 2.0 * (near * ls + half * lc) + variance + 1.0 / jnp.maximum(units[:, None] * kept, _LEAST_UNITS)
    together = lt - near * st - half * ct
    saved = unknown * together**2 / (jnp.maximum(tt, _LEAST_VARIANCE) * told)
    return Nearby(units, slope[:, 0], jnp.sqrt(ss)[:, 0], kept, jnp.sqrt(variance), saved, best)


def kept_usually(moments: Array, log_price: Array, moves: Array) -> Array:
    """Expected demand after moves over that before them, [N, A], as long as nothing is known of an offer.

    Args:
        moments: [N, P, 5] of what is believed then, from `moments_of`.
        log_price: [N] ln(price / list price), at most `FARTHEST` from 0.
        moves: [N, A] in ln price.
    """
    here = jnp.take_along_axis(moments, _place(log_price)[:, None, None], axis=1)
    slope, bend, *spread = jnp.moveaxis(here, 2, 0)
    return _after(moves, slope, bend, tuple(spread))[3]


def moments_of(weight: NDArray[Any]) -> NDArray[np.float32]:
    """Mean slope and bend of curves of some weights [J] about each place, by units; variances and covariance, [P, 5].

    In the order slope, bend, variance of the slope, covariance, variance of the bend.
    """
    level, slope, bend = np.split(_TABLE, 3, axis=1)
    share = weight * np.exp(level)
    share /= share.sum(axis=1, keepdims=True)
    means = [(share * part).sum(axis=1, keepdims=True) for part in (slope, bend)]
    s, c = slope - means[0], bend - means[1]
    spread = [(share * product).sum(axis=1, keepdims=True) for product in (s * s, s * c, c * c)]
    return np.concatenate([*means, *spread], axis=1).astype(np.float32)


def _after(moves: Array, slope: Array, bend: Array, spread: tuple[Array, ...]) -> tuple[Array, Array, Array, Array]:
    """Moves as far as the second order holds and half their squares, variance of log demand there, demand kept: [N, A].

    ``spread`` has the variance of the slope, the covariance with the bend, and its variance, [N, 1].
    """
    ss, sc, cc = spread
    near = jnp.clip(moves, -NEAR, NEAR)
    half = 0.5 * near**2
    variance = near**2 * ss + 2.0 * near * half * sc + half**2 * cc
    farther = jnp.maximum(slope + bend * near, 0.0) * (moves - near)
    return near, half, variance, jnp.exp(-near * slope - half * bend + 0.5 * variance - farther)


def _place(log_price: Array) -> Array:
    return jnp.round((log_price + FARTHEST) / _STEP).astype(jnp.int32)


def _about(held: Posterior, log_price: Array) -> tuple[_Curves, Array]:
    """Expand all curves about the prices; and give the units expected there for a unit of exposure, [N]."""
    place = _place(log_price)
    away = (log_price - jnp.asarray(_PLACES)[place])[:, None]
    level, slope, bend = jnp.split(jnp.asarray(_TABLE)[place], 3, axis=1)
    level = level - away * (slope + 0.5 * away * bend) - jnp.log(held.rate)
    by_curve = held.weight * jnp.exp(level)
    total = _sum(by_curve)
    curves = _Curves(by_curve / total, level, slope + away * bend, bend)
    # All that follows reads them: fused into each mean they would be computed again and again.
    curves = jax.lax.optimization_barrier(curves)  # type: ignore[no-untyped-call]  # JAX gives no types
    return curves, (total * held.shape[:, :1])[:, 0]


def _lost(curves: _Curves, slope: Array, bend: Array, moves: Array, profit: tuple[Array, Array]) -> tuple[Array, Array]:
    """Profit that a unit loses by not knowing the curve, [N, 1], and the best move of each, [N, J]."""
    a, b = (part[:, None] for part in profit)
    margin = jnp.maximum(a - b, _LEAST_MARGIN * a)
    lowest, highest = moves.min(axis=1, keepdims=True), moves.max(axis=1, keepdims=True)

    def best(slope: Array, bend: Array) -> Array:
        curvature = jnp.maximum(a * b / margin**2 + bend, _LEAST_CURVATURE)
        return jnp.clip((a / margin - slope) / curvature, lowest, highest)

    def earned(move: Array) -> Array:
        return (a * jnp.exp(move) - b) * jnp.exp(-move * (curves.slope + 0.5 * move * curves.bend))

    of_each, of_all = best(curves.slope, curves.bend), best(slope, bend)
    return jnp.maximum(_mean(curves.share, earned(of_each) - earned(of_all)), 0.0), of_each


def _mean(share: Array, values: Array) -> Array:
    return _sum(share * values)


def _sum(values: Array) -> Array:
    """Add up over curves, [N, J] → [N, 1]. As a product: twice as quick on CPUs, and see `exploration.mean`."""
    return (values @ jnp.ones(CURVES))[:, None]
