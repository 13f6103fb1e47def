"""Estimate, then plan: the belief of `demand.belief` and the closed form of `planning.planner`, without a network.

One set of constants for steady sellers and finite stock, cold starts and logs; families are priced offer by offer. It
does not explore: on the tuning markets a Thompson draw among prices worth at least 95 % of the best cost 0.5 to 1
point with finite stock, and a floor under the variation of prices 0.7 to 1 point without, but for markets that change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.demand import belief, choice
from pricing_core.demand.belief import CURVES, ELASTICITY_OF_CURVE, FORM_OF_CURVE, Period, Posterior, Prior, Tally
from pricing_core.demand.choice import Choice
from pricing_core.demand.control_function import control
from pricing_core.demand.forms import demand
from pricing_core.planning import planner
from pricing_core.planning.joint import best_joint_prices
from pricing_core.planning.planner import Curve
from pricing_core.simulator.bar.interface import History, Outcome, View

LEVEL_SPREAD = float(__import__('os').environ.get('LS','.9'))
"""Standard deviation of the log of the level about its guess."""
UNKNOWN_LEVEL_SPREAD = 2.0
"""The same where nobody has a guess."""
ELASTICITY_SPREAD = float(__import__('os').environ.get('ES','.35'))
"""The same of an elasticity about its category's."""
import os
HS = float(os.environ.get('HS','0'))
HORIZON = float(__import__('os').environ.get('H','100'))
STEP = int(__import__('os').environ.get('S','1'))
FAMILY_LEAD = 1e9
"""Log odds that the offers of a family take shoppers from one another, before anything is seen."""
SCENARIOS = 12
"""Curves that stand for a belief; each comes with three levels."""
_ROOTS = (-(3.0**0.5), 0.0, 3.0**0.5)
_WEIGHTS = (1.0 / 6.0, 2.0 / 3.0, 1.0 / 6.0)


class Family(NamedTuple):
    """What is remembered of n families of K offers."""

    choice: Choice
    """Of n."""
    lead: Array
    """[n] faded log likelihood ratio of one-step predictions: the family's, against each offer's on its own."""


class Memory(NamedTuple):
    """What is remembered of N offers."""

    tally: Tally
    prior: Prior
    family: Family | None
    """None where every offer is its own."""


@dataclass(frozen=True)
class EstimateThenPlan:
    """A policy of the bar (`evaluation.bar.OnlinePolicy`)."""

    def begin(self, view: View, history: History | None, family: int) -> Memory:
        """Start from the prior, and from the log if there is one."""
        guessed = jnp.isfinite(view.prior_units)
        units = jnp.where(guessed, view.prior_units / view.exposure, 1.0)
        shape = 1.0 / jnp.expm1(jnp.where(guessed, LEVEL_SPREAD, UNKNOWN_LEVEL_SPREAD) ** 2)
        prior = Prior(shape, shape / units, view.prior_elasticity, jnp.full_like(units, ELASTICITY_SPREAD))
        tally = belief.start(prior)
        if history is not None:
            ratio = history.price / view.list_price
            found = control(jnp.log(ratio), jnp.log(history.cost), history.exposure, history.units)
            exposure = history.exposure * found.demand
            tally = belief.absorb(tally, prior, ratio, exposure, history.units, found.weight)
        return Memory(tally, prior, None if family == 1 else _family(view, history, family))

    def decide(self, memory: Memory, view: View, key: Array) -> Array:
        """Choose the price that the plan values most."""
        held = belief.posterior(memory.tally)
        limited = jnp.isfinite(view.stock) & jnp.isfinite(view.periods_left)
        unlimited = _steady(held, memory.tally, view, key)
        if memory.family is not None:
            unlimited = jnp.where(_as_family(memory.family), _joint(memory.family, view, key), unlimited)
        planned = jax.lax.cond(limited.any(), lambda: _worth(held, view).argmax(axis=1), lambda: unlimited)
        return jnp.where(limited, planned, unlimited)

    def learn(self, memory: Memory, view: View, price: Array, outcome: Outcome) -> Memory:
        """Take a period in. One without stock tells nothing, and one that ran out only the least of the demand."""
        exposure = jnp.where(view.stock > 0, view.exposure, 0.0)
        ratio = price / view.list_price
        censored = jnp.isfinite(view.stock) & outcome.stocked_out
        period = Period(ratio, exposure, outcome.units, censored)
        family = memory.family
        if family is not None:
            alone = belief.log_predictive(memory.tally, period)
            family = _family_learns(family, period, alone)
        return memory._replace(tally=belief.observe(memory.tally, memory.prior, period), family=family)


def _family(view: View, history: History | None, size: int) -> Family:
    share = (view.prior_units / view.exposure).reshape(-1, size)
    started = jax.vmap(choice.guess)(share, view.prior_elasticity.reshape(-1, size), (view.exposure > 1.0).reshape(-1, size)[:, 0])
    family = Family(started, jnp.full(len(share), FAMILY_LEAD))
    return family


def _family_learns(family: Family, period: Period, alone: Array) -> Family:
    rows = [part.reshape(len(family.lead), -1) for part in (period.ratio, period.exposure, period.units)]
    ratio, exposure, units = rows
    mean, variance = jax.vmap(choice.predict)(family.choice, ratio, exposure)
    together = jnp.where(exposure > 0, belief.log_negative_binomial(units, mean, variance), 0.0)
    lead = belief.FADE * family.lead + (together - alone.reshape(units.shape)).sum(axis=1)
    return Family(jax.vmap(choice.observe)(family.choice, *rows), lead)


def _as_family(family: Family) -> Array:
    """Whether the offers are priced jointly, bool [N]."""
    return jnp.repeat(family.lead > 0.0, family.choice.mode.shape[1] // 2)


def _joint(family: Family, view: View, key: Array) -> Array:
    """Best joint prices, indices [N]."""
    n = len(family.lead)
    prices, list_price, cost, exposure = (
        part.reshape(n, -1, *part.shape[1:]) for part in (view.prices, view.list_price, view.unit_cost, view.exposure)
    )
    ratio = prices / list_price[..., None]
    weight = jax.vmap(choice.attraction)(family.choice.mode, ratio)
    best = jax.vmap(best_joint_prices)(weight, prices - cost[..., None])
    asked = jnp.take_along_axis(ratio, best[..., None], axis=2)[..., 0]
    mean, _ = jax.vmap(choice.predict)(family.choice, asked, exposure)
    size = best.shape[1]
    variance = jnp.diagonal(jnp.linalg.inv(family.choice.precision), axis1=1, axis2=2)[:, size:]
    sensitivity = jnp.exp(family.choice.mode[:, size:]) * asked
    margin = 1.0 - cost / (asked * list_price)
    explore = HORIZON * (margin * sensitivity * variance) ** 2 * mean > 1.0
    step = STEP * jnp.where(jax.random.bernoulli(key, 0.5, best.shape), 1, -1)
    return jnp.clip(jnp.where(explore, best + step, best), 0, view.prices.shape[1] - 1).ravel()


def _steady(held: Posterior, tally: Tally, view: View, key: Array) -> Array:
    """Choose for a stock that never ends: the best price of a period, and prices beside it while that teaches enough."""
    ratio = (view.prices / view.list_price[:, None])[:, None, :]
    curves = demand(jnp.asarray(FORM_OF_CURVE)[None, :, None], jnp.asarray(ELASTICITY_OF_CURVE)[None, :, None], ratio)
    level = held.weight * held.level
    units = jnp.einsum("nj,nja->na", level, curves)
    best = (units * (view.prices - view.unit_cost[:, None])).argmax(axis=1)
    last = view.prices.shape[1] - 1
    at = lambda table, i: jnp.take_along_axis(table, i.reshape(-1, *[1] * (table.ndim - 1)), axis=-1)[..., 0]
    up, down = jnp.minimum(best + 1, last), jnp.maximum(best - 1, 0)
    rise = jnp.log(at(view.prices, up) / at(view.prices, down))
    slope = (jnp.log(jnp.maximum(at(curves, down), 0.01)) - jnp.log(jnp.maximum(at(curves, up), 0.01))) / rise[:, None]
    mean = (held.weight * slope).sum(axis=1)
    variance = (held.weight * (slope - mean[:, None]) ** 2).sum(axis=1)
    sold = at(units, best) * view.exposure
    curvature = jnp.maximum(mean * (mean - 1.0), 1.0)
    explore = HS * tally.periods * sold * variance**2 > curvature**2
    if os.environ.get("SIDE", "0") == "1":
        gain = units * (view.prices - view.unit_cost[:, None])
        side = jnp.where(at(gain, up) > at(gain, down), up, down)
    else:
        side = jnp.where(jax.random.bernoulli(key, 0.5, best.shape), up, down)
    coin = jax.random.bernoulli(jax.random.fold_in(key, 1), float(os.environ.get("COIN", "1")), best.shape)
    return jnp.where(explore & coin, side, best)


def _worth(held: Posterior, view: View) -> Array:
    """Expected profit of a period less what the units sold would be worth later, [N, A].

    The mean over scenarios, in each of which demand is known from the next period on (Littman, Cassandra & Kaelbling
    1995, Q-MDP).
    """
    curve, weight = _scenarios(held, view)
    stock, left, cost = (column[:, None, None] for column in (view.stock, view.periods_left, view.unit_cost))
    bid = planner.bid_price(curve, cost, stock, left)[..., None]
    wide = Curve(*(part[..., None] for part in curve))
    price = view.prices[:, None, None, :]
    units = wide.level * demand(wide.form, wide.elasticity, price / wide.list_price)
    gain = planner.expected_sales(units, stock[..., None]) * (price - cost[..., None] - bid)
    return (weight[..., None] * gain).sum(axis=(1, 2))


def _scenarios(held: Posterior, view: View) -> tuple[Curve, Array]:
    """Curves at even quantiles of the belief, in the order of forms and elasticities, and their weights: [N, S, 3]."""
    shape = (len(view.stock), SCENARIOS, len(_ROOTS))
    quantiles = (jnp.arange(SCENARIOS) + 0.5) / SCENARIOS
    index = jax.vmap(jnp.searchsorted, (0, None))(jnp.cumsum(held.weight, axis=1), quantiles)
    index = jnp.minimum(index, CURVES - 1)
    k, mean = (jnp.take_along_axis(part, index, axis=1)[..., None] for part in (held.shape, held.level))
    # The cube root of a Gamma is nearly normal (Wilson & Hilferty 1931): Gauss-Hermite points of that.
    root = 1.0 - 1.0 / (9.0 * k) + jnp.asarray(_ROOTS) / (3.0 * jnp.sqrt(k))
    curve = Curve(
        jnp.broadcast_to(jnp.asarray(FORM_OF_CURVE)[index][..., None], shape),
        jnp.broadcast_to(jnp.asarray(ELASTICITY_OF_CURVE)[index][..., None], shape),
        mean * jnp.maximum(root, 0.05) ** 3 * view.exposure[:, None, None],
        jnp.broadcast_to(view.list_price[:, None, None], shape),
    )
    return curve, jnp.broadcast_to(jnp.asarray(_WEIGHTS) / SCENARIOS, shape)
