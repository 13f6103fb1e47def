"""Five offers of a family that take shoppers from one another: multinomial logit with an outside option.

A shopper buys offer i with probability w_i / (1 + Σ w_j), w_i = exp(a_i - b_i·(p_i / list_i - 1)); the own-price
elasticity at the list prices is b_i·(1 - share_i). Shoppers are counted, and different in number from period to period.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator.bar.interface import History, Outcome, View
from pricing_core.simulator.bar.offers import Range, guess, money, price_set, uniform
from pricing_core.simulator.bar.unlimited import SPAN
from pricing_core.simulator.coupling import poisson_quantile

FAMILY = 5

_ROUNDS = 10  # Dinkelbach's method converges superlinearly: after 4 nothing changed any more in 64 families


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    """Own-price, with all offers at their list prices."""
    cost: Range
    """Unit cost / list price."""
    bought: Range
    """Share of the shoppers that buy something at the list prices."""
    shoppers: tuple[int, int]
    """In a period."""
    periods: int


TUNING = Ranges(elasticity=(1.6, 3.5), cost=(0.45, 0.65), bought=(0.3, 0.6), shoppers=(80, 300), periods=120)
TEST = Ranges(elasticity=(1.5, 4.0), cost=(0.5, 0.7), bought=(0.3, 0.7), shoppers=(100, 400), periods=150)


class Families(NamedTuple):
    """N = 5 n offers. [N] float32 unless said."""

    appeal: Array
    """a."""
    sensitivity: Array
    """b."""
    list_price: Array
    unit_cost: Array
    prices: Array
    """[N, A] ascending."""
    prior_share: Array
    """A guess at the share of shoppers that buy the offer at the list prices."""
    prior_elasticity: Array
    shoppers: Array
    """[T, n], whole numbers."""


@dataclass(frozen=True)
class Substitutes:
    """The optimum prices each family jointly. State is the number of periods so far, int32 scalar."""

    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """The kind."""
        return "substitutes"

    @property
    def family(self) -> int:
        """Offers of a family."""
        return FAMILY

    @property
    def periods(self) -> int:
        """Decisions to play."""
        return self.ranges.periods

    def sample(self, key: Array, n: int) -> Families:
        """Draw families; list prices within one differ by some 20 %."""
        k = jax.random.split(key, 8)
        r, offers = self.ranges, n * FAMILY
        weight = jnp.exp(0.5 * jax.random.normal(k[0], (n, FAMILY)))
        share = (uniform(k[1], n, r.bought)[:, None] * weight / weight.sum(axis=1, keepdims=True)).ravel()
        outside = jnp.repeat(1.0 - share.reshape(n, FAMILY).sum(axis=1), FAMILY)
        level = jnp.repeat(money(k[2], n), FAMILY)
        list_price = level * jnp.exp(0.2 * jax.random.normal(k[3], (offers,)))
        return Families(
            appeal=jnp.log(share / outside),
            sensitivity=uniform(k[4], offers, r.elasticity) / (1.0 - share),
            list_price=list_price,
            unit_cost=list_price * uniform(k[5], offers, r.cost),
            prices=price_set(list_price, SPAN),
            prior_share=guess(k[6], share),
            prior_elasticity=jnp.full(offers, (r.elasticity[0] + r.elasticity[1]) / 2.0),
            shoppers=jax.random.randint(k[7], (r.periods, n), r.shoppers[0], r.shoppers[1] + 1).astype(jnp.float32),
        )

    def history(self, _params: Families, _key: Array) -> History | None:
        """None."""
        return None

    def start(self, _params: Families, _key: Array) -> Array:
        """Start at period 0."""
        return jnp.zeros((), jnp.int32)

    def view(self, params: Families, state: Array) -> View:
        """Show prices, costs, and how many shoppers come."""
        exposure = jnp.repeat(params.shoppers[state], FAMILY)
        endless = jnp.full_like(exposure, jnp.inf)
        return View(
            prices=params.prices,
            unit_cost=params.unit_cost,
            stock=endless,
            periods_left=endless,
            exposure=exposure,
            list_price=params.list_price,
            prior_units=params.prior_share * exposure,
            prior_elasticity=params.prior_elasticity,
            rival_price=jnp.full_like(exposure, jnp.nan),
        )

    def step(self, params: Families, state: Array, price: Array, key: Array) -> tuple[Array, Outcome]:
        """Sell Poisson numbers about shoppers · share. Profit is the expectation."""
        luck = jax.random.uniform(jax.random.fold_in(key, state), price.shape)
        weight = _weight(params, price)
        share = weight / (1.0 + jnp.repeat(weight.reshape(-1, FAMILY).sum(axis=1), FAMILY))
        mean = jnp.repeat(params.shoppers[state], FAMILY) * share
        units = poisson_quantile(luck, mean)
        return state + 1, Outcome(units, jnp.zeros(price.shape, bool), mean * (price - params.unit_cost))

    def optimum(self, params: Families) -> Array:
        """Best joint profit of a shopper times all shoppers, [n]."""
        per_shopper, _ = best_joint_prices(params)
        return per_shopper * params.shoppers.sum(axis=0)

    def clairvoyant(self, params: Families) -> Callable[[Array], Array]:
        """Ask the best joint prices."""
        _, best = best_joint_prices(params)
        return lambda _state: best


def best_joint_prices(params: Families) -> tuple[Array, Array]:
    """Find the prices of the sets that maximise a family's profit, Σ m_i·w_i / (1 + Σ w_i), exactly.

    A fractional programme (Dinkelbach 1967): for a guess θ at the best profit of a shopper, the best prices are those
    that maximise (m_i - θ)·w_i, each offer for itself: θ is what a sale takes from the rest of the family. The profit
    at these prices is the next guess; it rises until it stays. Where prices are free and b / list is the same for all
    offers, the same condition gives them equal margins.

    Returns:
        Profit of a shopper float32 [n], and indices int32 [N].
    """
    weight = _weight(params, params.prices.T).T
    margin = params.prices - params.unit_cost[:, None]

    def improve(_: int | Array, guess: tuple[Array, Array]) -> tuple[Array, Array]:
        displaced = jnp.repeat(guess[0], FAMILY)[:, None]
        chosen = ((margin - displaced) * weight).argmax(axis=1)[:, None]
        w, m = (jnp.take_along_axis(table, chosen, axis=1).reshape(-1, FAMILY) for table in (weight, margin))
        return (m * w).sum(axis=1) / (1.0 + w.sum(axis=1)), chosen[:, 0]

    n = params.list_price.shape[0]
    nothing = (jnp.zeros(n // FAMILY), jnp.zeros(n, jnp.int32))
    best: tuple[Array, Array] = jax.lax.fori_loop(0, _ROUNDS, improve, nothing)
    return best


def _weight(params: Families, price: Array) -> Array:
    """Attraction at prices [..., N], where to buy nothing has 1."""
    return jnp.exp(params.appeal - params.sensitivity * (price / params.list_price - 1.0))
