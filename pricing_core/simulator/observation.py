"""What a network sees of an offer of the bar: the view before a price is chosen, and sums over what has been sold.

Every number is free of the unit of money and of the number of periods that a kind plays, so that a network that was
trained on some ranges of markets can be asked about others.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History, View

HALF_LIVES = (float("inf"), 8.0)
"""Periods after which a memory has forgotten half."""
OBSERVATIONS = (
    "cost / list price",
    "log(1 + stock); 0 if unlimited",
    "log(1 + periods left); 0 without a deadline",
    "log exposure",
    "log of the guessed units at the list price; 0 if there is no guess",
    "elasticity of the category",
    "log(cheapest rival's price / list price); 0 without one",
    "log(price of the last period / list price); 0 before the first",
    *(
        f"{name}, half-life {half_life:g} periods"
        for half_life in HALF_LIVES
        for name in (
            "log of the units that the coming period would sell at the list price, by what was sold",
            "log of the same / (stock / periods left); 0 without both",
            "log(1 + units sold)",
            "mean log price",
            "standard deviation of the log price",
            "mean log price of a unit that was sold, less the mean log price",
        )
    ),
)
"""Meaning of each number of an observation, in order."""


class Sums(NamedTuple):
    """What is remembered of N offers."""

    totals: Array
    """[6, N, M], M memories of `HALF_LIVES`: of exposure, exposure x price ratio ^ -elasticity of the category, units,
    exposure x x, exposure x x² and units x x, where x is log(price / list price).
    """
    last_x: Array
    """[N], of the last period."""


def begin(view: View, history: History | None) -> Sums:
    """Start with nothing, or with the log."""
    n = view.stock.shape[0]
    if history is None:
        return Sums(jnp.zeros((6, n, len(HALF_LIVES))), jnp.zeros(n))
    x = jnp.log(history.price / view.list_price)
    age = jnp.arange(x.shape[0])[::-1]
    weight = jnp.exp2(-age[:, None] / jnp.asarray(HALF_LIVES))
    terms = _terms(view, x, history.exposure, history.units)
    return Sums(jnp.einsum("kln,lm->knm", terms, weight), x[-1])


def take_in(sums: Sums, view: View, price: Array, units: Array) -> Sums:
    """Add a period. One that began without stock tells nothing.

    Args:
        sums: Before it.
        view: Before it.
        price: [N] asked.
        units: [N] sold.
    """
    x = jnp.log(price / view.list_price)
    kept = jnp.exp2(-1.0 / jnp.asarray(HALF_LIVES))
    terms = _terms(view, x, jnp.where(view.stock > 0, view.exposure, 0.0), units)
    return Sums(kept * sums.totals + terms[:, :, None], x)


def observe(view: View, sums: Sums) -> Array:
    """Give float32 [N, len(OBSERVATIONS)]."""
    guessed = jnp.where(jnp.isfinite(view.prior_units), view.prior_units, 1.0)
    limited, timed = jnp.isfinite(view.stock), jnp.isfinite(view.periods_left)
    stock = jnp.where(limited, view.stock, 0.0)
    left = jnp.where(timed, view.periods_left, 0.0)
    rival = jnp.where(jnp.isfinite(view.rival_price), view.rival_price, view.list_price)
    known = (
        view.unit_cost / view.list_price,
        jnp.log1p(stock),
        jnp.log1p(left),
        jnp.log(view.exposure),
        jnp.log(guessed),
        view.prior_elasticity,
        jnp.log(rival / view.list_price),
        sums.last_x,
    )
    supply = jnp.where(limited & timed, jnp.log((1.0 + left) / (1.0 + stock)), 0.0)
    # One unit's worth of evidence stands for the guess: the mean of a Gamma posterior of shape 1 + units.
    exposure, expected, units, x, x_squared, x_of_units = sums.totals
    now = view.exposure[:, None]
    level = jnp.log((1.0 + units) / (expected + now / guessed[:, None]) * now)
    shown = jnp.maximum(exposure, 1e-6)
    mean = x / shown
    learned = (
        level,
        jnp.where((limited & timed)[:, None], level + supply[:, None], 0.0),
        jnp.log1p(units),
        mean,
        jnp.sqrt(jnp.maximum(x_squared / shown - mean**2, 0.0)),
        jnp.where(units > 0, x_of_units / jnp.maximum(units, 1e-6) - mean, 0.0),
    )
    by_memory = jnp.stack(learned, axis=2).reshape(stock.shape[0], -1)
    return jnp.concatenate([jnp.stack(known, axis=1), by_memory], axis=1).astype(jnp.float32)


def allowed(view: View) -> Array:
    """Prices above cost, bool [N, A]; at least the highest."""
    above: Array = view.prices > view.unit_cost[:, None]
    return above.at[:, -1].set(True)


def _terms(view: View, x: Array, exposure: Array, units: Array) -> Array:
    """What a period adds to `Sums.totals`: [6, ...] of what is of the shape of ``x``."""
    expected = exposure * jnp.exp(-view.prior_elasticity * x)
    return jnp.stack([exposure, expected, units, exposure * x, exposure * x**2, units * x])
