"""A plain belief about demand for the baselines: Poisson, log-linear in the log price, with normal priors.

    units ~ Poisson(exposure · exp(l - e·log(price / list)))
    l ~ N(log guess, 0.85²), or N(-1, 2²) without a guess;   e ~ N(category mean, 1)

The maximum a posteriori is found by Newton's method on sums by price, and the posterior taken as normal about it
(Laplace). One form of the curve, no forgetting, prices off the set taken for the nearest: what a careful analyst does
first.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History, View

_STEPS = 12
"""Of Newton's method, of which the level needs one for each factor e that it was too high."""
_LONGEST_STEP = 1.0


class Belief(NamedTuple):
    """About N offers. float32."""

    units: Array
    """[N, A] sold at each price."""
    exposure: Array
    """[N, A] at each price."""
    mode: Array
    """[N, 2]: log level and elasticity."""
    precision: Array
    """[N, 2, 2] at the mode."""
    prior_mode: Array
    """[N, 2]."""
    prior_precision: Array
    """[N, 2], independent."""


def prior(view: View, history: History | None) -> Belief:
    """Start from what the merchant knows, and from the log if there is one."""
    guessed = jnp.isfinite(view.prior_units)
    level = jnp.where(guessed, jnp.log(view.prior_units / view.exposure), -1.0)
    mode = jnp.stack([level, view.prior_elasticity], axis=1)
    precision = jnp.stack([jnp.where(guessed, 0.85**-2, 0.25), jnp.ones_like(level)], axis=1)
    nothing = jnp.zeros_like(view.prices)
    belief = Belief(nothing, nothing, mode, jax.vmap(jnp.diag)(precision), mode, precision)
    return belief if history is None else _believe_log(belief, view, history)


def update(belief: Belief, view: View, price: Array, units: Array) -> Belief:
    """Take in a period's sales [N] at prices [N]."""
    return _fit(_add(belief, view, price, units, view.exposure), view)


def expected_units(coefficients: Array, view: View) -> Array:
    """Expected units of the coming period at every price, [N, A], by log level and elasticity [N, 2]."""
    level, elasticity = coefficients[:, :1], coefficients[:, 1:]
    return view.exposure[:, None] * jnp.exp(level - elasticity * _log_ratio(view))


def draw(belief: Belief, key: Array) -> Array:
    """Draw log level and elasticity from the posterior, [N, 2]."""
    factor = jnp.linalg.cholesky(belief.precision)
    normal = jax.random.normal(key, (*belief.mode.shape, 1))
    return belief.mode + jax.scipy.linalg.solve_triangular(factor, normal, trans=1, lower=True)[..., 0]


def _believe_log(belief: Belief, view: View, history: History) -> Belief:
    def add(belief: Belief, row: tuple[Array, Array, Array]) -> tuple[Belief, None]:
        return _add(belief, view, *row), None

    summed, _ = jax.lax.scan(add, belief, (history.price, history.units, history.exposure))
    return _fit(summed, view)


def _add(belief: Belief, view: View, price: Array, units: Array, exposure: Array) -> Belief:
    nearest = jnp.abs(jnp.log(view.prices / price[:, None])).argmin(axis=1)
    here = (jnp.arange(price.shape[0]), nearest)
    return belief._replace(units=belief.units.at[here].add(units), exposure=belief.exposure.at[here].add(exposure))


def _fit(belief: Belief, view: View) -> Belief:
    x = jnp.stack([jnp.ones_like(view.prices), -_log_ratio(view)], axis=2)
    mode, precision = jax.vmap(_newton)(belief, x)
    return belief._replace(mode=mode, precision=precision)


def _newton(belief: Belief, x: Array) -> tuple[Array, Array]:
    """Mode and precision of one offer with regressors [A, 2]."""

    def precision_at(mode: Array) -> Array:
        expected = belief.exposure * jnp.exp(x @ mode)
        return (x * expected[:, None]).T @ x + jnp.diag(belief.prior_precision)

    def step(_: int | Array, mode: Array) -> Array:
        surprise = belief.units - belief.exposure * jnp.exp(x @ mode)
        slope = surprise @ x - belief.prior_precision * (mode - belief.prior_mode)
        (a, b), (_, d) = precision_at(mode)
        newton = jnp.stack([d * slope[0] - b * slope[1], a * slope[1] - b * slope[0]]) / (a * d - b * b)
        return mode + jnp.clip(newton, -_LONGEST_STEP, _LONGEST_STEP)

    mode = jax.lax.fori_loop(0, _STEPS, step, belief.mode)
    return mode, precision_at(mode)


def _log_ratio(view: View) -> Array:
    return jnp.log(view.prices / view.list_price[:, None])
