"""How `estimate_then_plan` prices the offers of a family: jointly, if they take shoppers from one another.

That they do is not known. Two models predict every period: the family's multinomial logit (`demand.choice`) and each
offer's own belief (`demand.belief`). The one that has predicted better of late sets the prices.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.demand import belief, choice
from pricing_core.demand.belief import Period
from pricing_core.demand.choice import Choice
from pricing_core.demand.counts import log_negative_binomial
from pricing_core.planning import exploration
from pricing_core.planning.joint import best_joint_prices
from pricing_core.simulator.bar.interface import History, View

LEAD = 3.0
"""Log odds that the offers of a family take shoppers from one another, before anything is seen."""


class Families(NamedTuple):
    """What is remembered of n families of K offers; N = n · K, the offers of a family are consecutive."""

    choice: Choice
    """Of n."""
    lead: Array
    """[n] faded log likelihood ratio of one-step predictions, the family's model against each offer's own."""


def begin(view: View, history: History | None, size: int) -> Families:
    """Start from what is known of the category, and from the log if there is one."""
    share, elasticity = (part.reshape(-1, size) for part in (view.prior_units / view.exposure, view.prior_elasticity))
    counted = (view.exposure > 1.0).reshape(-1, size).all(axis=1)
    guessed = jax.vmap(choice.guess)(share, elasticity, counted)
    if history is not None:
        rows = (part.reshape(-1, *share.shape) for part in (history.price / view.list_price, *history[1:3]))
        guessed, _ = jax.lax.scan(lambda held, row: (jax.vmap(choice.observe)(held, *row), None), guessed, tuple(rows))
    return Families(guessed, jnp.full(len(share), LEAD))


def learn(families: Families, period: Period, alone: Array) -> Families:
    """Take a period in.

    Args:
        families: Before it.
        period: Of N offers.
        alone: [N] log probability of the units by each offer's own belief.
    """
    rows = tuple(_by_family(families, part) for part in (period.ratio, period.exposure, period.units))
    mean, variance = jax.vmap(choice.predict)(families.choice, *rows[:2])
    together = jnp.where(rows[1] > 0.0, log_negative_binomial(rows[2], mean, variance), 0.0)
    gained = (together - _by_family(families, alone)).sum(axis=1)
    return Families(jax.vmap(choice.observe)(families.choice, *rows), belief.FADE * families.lead + gained)


def substitutes(families: Families) -> Array:
    """Say which offers are priced jointly, bool [N]."""
    return jnp.repeat(families.lead > 0.0, families.choice.mode.shape[1] // 2)


def decide(families: Families, view: View, periods: Array, key: Array) -> Array:
    """Choose the best joint prices, and prices beside them while that teaches enough: indices int [N].

    Args:
        families: What is remembered.
        view: Of N offers.
        periods: [N] seen so far.
        key: Of the side that is tried.
    """
    prices, list_price, cost, exposure, seen = (
        _by_family(families, part) for part in (view.prices, view.list_price, view.unit_cost, view.exposure, periods)
    )
    ratio = prices / list_price[..., None]
    weight = jax.vmap(choice.attraction)(families.choice.mode, ratio)
    best = jax.vmap(best_joint_prices)(weight, prices - cost[..., None])
    asked = jnp.take_along_axis(ratio, best[..., None], axis=2)[..., 0]
    units, _ = jax.vmap(choice.predict)(families.choice, asked, exposure)
    slope, variance = jax.vmap(choice.slope)(families.choice, asked)
    side = jnp.where(jax.random.bernoulli(key, 0.5, best.shape), 1, -1)
    explores = exploration.pays(seen, units, slope, variance)
    return jnp.clip(jnp.where(explores, best + side, best), 0, prices.shape[2] - 1).ravel()


def _by_family(families: Families, of_offers: Array) -> Array:
    """Give [N, ...] as [n, K, ...]."""
    return of_offers.reshape(len(families.lead), -1, *of_offers.shape[1:])
