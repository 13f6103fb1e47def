"""One to three rivals with rules, some of which answer our last price, in a logit choice.

A shopper buys from us with probability w / (1 + w + Σ w_r), w = exp(a - b·(p / list - 1)), and the rivals' weights fall
in their own prices in the same way. Rivals never go below their floor, nor far above their list price:

- static: asks its list price,
- matching: asks what we asked in the last period,
- undercutting: asks 1-2 % less than that,
- raising: undercuts, too, but goes back to its list price for some periods in each cycle.

What they ask in a period depends on that period and our last price only. Hence the optimum is an exact dynamic
programme over our last price; it includes prices that are asked for the sake of the answer alone. `best_constant`
is what the best single price earns with the answers to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History, Outcome, View
from pricing_core.simulator.bar.offers import Range, guess, log_uniform, money, price_set, uniform
from pricing_core.simulator.bar.unlimited import SPAN
from pricing_core.simulator.coupling import poisson_quantile

RIVALS = 3
STATIC, MATCHING, UNDERCUTTING, RAISING = range(4)

_CAP = 1.1  # of a rival's list price


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    """Own-price, with all prices at list."""
    units: Range
    """A period with all prices at list."""
    cost: Range
    """Unit cost / list price."""
    floor: Range
    """Of a rival / our unit cost."""
    cut: Range
    """By how much the undercutting undercut."""
    cycle: tuple[int, int]
    """Periods from one raise to the next; the list price is asked in the first quarter of them."""
    periods: int


TUNING = Ranges(
    elasticity=(1.6, 3.5),
    units=(4.0, 40.0),
    cost=(0.45, 0.65),
    floor=(1.05, 1.35),
    cut=(0.01, 0.03),
    cycle=(8, 20),
    periods=150,
)
TEST = Ranges(
    elasticity=(1.5, 4.0),
    units=(5.0, 60.0),
    cost=(0.5, 0.7),
    floor=(1.05, 1.4),
    cut=(0.01, 0.02),
    cycle=(12, 30),
    periods=200,
)


class Rivalled(NamedTuple):
    """N offers and their rivals. [N] float32 unless said; prices of rivals as shares of our list price."""

    traffic: Array
    """Shoppers a period; nobody counts them."""
    appeal: Array
    """a."""
    sensitivity: Array
    """b."""
    list_price: Array
    unit_cost: Array
    prices: Array
    """[N, A] ascending."""
    prior_units: Array
    prior_elasticity: Array
    present: Array
    """bool [N, R]."""
    rule: Array
    """int32 [N, R], `STATIC` ... `RAISING`."""
    rival_appeal: Array
    """[N, R] log weight at the rival's list price."""
    rival_list: Array
    """[N, R]."""
    rival_floor: Array
    """[N, R]."""
    cut: Array
    """[N, R]."""
    cycle: Array
    """int32 [N, R]."""
    phase: Array
    """int32 [N, R]."""


class Answered(NamedTuple):
    """Where N markets stand."""

    period: Array
    """int32 scalar: periods so far."""
    last: Array
    """float32 [N], our price of the last period / list price."""


@dataclass(frozen=True)
class Rivals:
    """Rivals see our price of a period before they set theirs of the next."""

    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """The kind."""
        return "rivals"

    @property
    def family(self) -> int:
        """Offers are independent."""
        return 1

    @property
    def periods(self) -> int:
        """Decisions to play."""
        return self.ranges.periods

    def sample(self, key: Array, n: int) -> Rivalled:
        """Draw offers and rivals; their list prices are within some 6 % of ours."""
        k = jax.random.split(key, 14)
        r, shape = self.ranges, (n, RIVALS)
        present = jnp.arange(RIVALS) < jax.random.randint(k[0], (n, 1), 1, RIVALS + 1)
        weight = jnp.exp(-0.3 + 0.4 * jax.random.normal(k[1], (n,)))
        rival_appeal = -0.7 + 0.5 * jax.random.normal(k[2], shape)
        share = weight / (1.0 + weight + jnp.where(present, jnp.exp(rival_appeal), 0.0).sum(axis=1))
        units = log_uniform(k[3], n, r.units)
        list_price = money(k[4], n)
        cost = uniform(k[5], n, r.cost)
        floor = cost[:, None] * jax.random.uniform(k[6], shape, minval=r.floor[0], maxval=r.floor[1])
        cycle = jax.random.randint(k[7], shape, r.cycle[0], r.cycle[1] + 1)
        return Rivalled(
            traffic=units / share,
            appeal=jnp.log(weight),
            sensitivity=uniform(k[8], n, r.elasticity) / (1.0 - share),
            list_price=list_price,
            unit_cost=cost * list_price,
            prices=price_set(list_price, SPAN),
            prior_units=guess(k[9], units),
            prior_elasticity=jnp.full(n, (r.elasticity[0] + r.elasticity[1]) / 2.0),
            present=present,
            rule=jax.random.randint(k[10], shape, 0, 4),
            rival_appeal=rival_appeal,
            rival_list=jnp.maximum(jnp.exp(0.06 * jax.random.normal(k[11], shape)), floor),
            rival_floor=floor,
            cut=jax.random.uniform(k[12], shape, minval=r.cut[0], maxval=r.cut[1]),
            cycle=cycle,
            phase=jax.random.randint(k[13], shape, 0, cycle),
        )

    def history(self, _params: Rivalled, _key: Array) -> History | None:
        """None."""
        return None

    def start(self, params: Rivalled, _key: Array) -> Answered:
        """Start as if the list price had been asked before."""
        return Answered(jnp.zeros((), jnp.int32), jnp.ones_like(params.list_price))

    def view(self, params: Rivalled, state: Answered) -> View:
        """Show the cheapest rival, as shoppers of the coming period will."""
        asked = jax.vmap(_answers, (0, None, 0))(params, state.period, state.last)
        cheapest = jnp.where(params.present, asked, jnp.inf).min(axis=1)
        endless = jnp.full_like(cheapest, jnp.inf)
        return View(
            prices=params.prices,
            unit_cost=params.unit_cost,
            stock=endless,
            periods_left=endless,
            exposure=jnp.ones_like(cheapest),
            list_price=params.list_price,
            prior_units=params.prior_units,
            prior_elasticity=params.prior_elasticity,
            rival_price=cheapest * params.list_price,
        )

    def step(self, params: Rivalled, state: Answered, price: Array, key: Array) -> tuple[Answered, Outcome]:
        """Sell what is demanded. Profit is the expectation."""
        luck = jax.random.uniform(jax.random.fold_in(key, state.period), price.shape)
        ratio = price / params.list_price
        mean = jax.vmap(_mean_units, (0, None, 0, 0))(params, state.period, state.last, ratio)
        outcome = Outcome(
            units=poisson_quantile(luck, mean),
            stocked_out=jnp.zeros(price.shape, bool),
            profit=mean * (price - params.unit_cost),
        )
        return Answered(state.period + 1, ratio), outcome

    def optimum(self, params: Rivalled) -> Array:
        """Value of the programme at the start, [n]."""
        start = self.start(params, jax.random.key(0))
        worth = _worth(params, self.periods)
        return jax.vmap(_value_of_prices, (0, 0, None, 0))(params, worth[:, 1], start.period, start.last).max(axis=1)

    def clairvoyant(self, params: Rivalled) -> Callable[[Answered], Array]:
        """Weigh profit now against what the answer to each price is worth."""
        worth = _worth(params, self.periods)

        def choose(state: Answered) -> Array:
            after = worth[:, state.period + 1]
            value = jax.vmap(_value_of_prices, (0, 0, None, 0))(params, after, state.period, state.last)
            return value.argmax(axis=1)

        return choose

    def best_constant(self, params: Rivalled) -> Array:
        """Profit over all periods of the best single price with the answers to it, [n]: a merchant's optimum."""

        def of_price(offer: Rivalled, index: Array) -> Array:
            ratio = offer.prices[index] / offer.list_price

            def profit(period: Array) -> Array:
                last = jnp.where(period == 0, 1.0, ratio)
                return _mean_units(offer, period, last, ratio) * (offer.prices[index] - offer.unit_cost)

            return jax.vmap(profit)(jnp.arange(self.periods)).sum()

        every = jax.vmap(jax.vmap(of_price, (None, 0)), (0, None))
        return every(params, jnp.arange(params.prices.shape[1])).max(axis=1)


def _worth(params: Rivalled, periods: int) -> Array:
    """Best profit from period t on by the last price of the set, float32 [N, T + 1, A]."""

    def of_offer(offer: Rivalled) -> Array:
        last = offer.prices / offer.list_price

        def period(after: Array, t: Array) -> tuple[Array, Array]:
            before = jax.vmap(_value_of_prices, (None, None, None, 0))(offer, after, t, last).max(axis=1)
            return before, before

        _, rows = jax.lax.scan(period, jnp.zeros_like(last), jnp.arange(periods), reverse=True)
        return jnp.pad(rows, ((0, 1), (0, 0)))

    return jax.vmap(of_offer)(params)


def _value_of_prices(offer: Rivalled, after: Array, period: Array, last: Array) -> Array:
    """Value of each price of one offer, [A]: profit now, and what comes after it, [A]."""
    ratio = offer.prices / offer.list_price
    return _mean_units(offer, period, last, ratio) * (offer.prices - offer.unit_cost) + after


def _mean_units(offer: Rivalled, period: Array, last: Array, ratio: Array) -> Array:
    """Expected units of one offer at prices / list price of any shape."""
    own = jnp.exp(offer.appeal - offer.sensitivity * (ratio - 1.0))
    dearer = _answers(offer, period, last) - offer.rival_list
    others = jnp.where(offer.present, jnp.exp(offer.rival_appeal - offer.sensitivity * dearer), 0.0).sum()
    return offer.traffic * own / (1.0 + own + others)


def _answers(offer: Rivalled, period: Array, last: Array) -> Array:
    """What the rivals of one offer ask in a period, [R], as shares of our list price."""
    matched = jnp.clip(last, offer.rival_floor, _CAP * offer.rival_list)
    undercut = jnp.clip((1.0 - offer.cut) * last, offer.rival_floor, _CAP * offer.rival_list)
    raised = (period + offer.phase) % offer.cycle < offer.cycle // 4
    by_rule = (offer.rival_list, matched, undercut, jnp.where(raised, offer.rival_list, undercut))
    return jnp.select([offer.rule == rule for rule in range(len(by_rule))], list(by_rule))
