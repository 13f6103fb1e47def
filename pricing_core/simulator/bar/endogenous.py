"""A log that misleads: the price followed a demand shock that nobody logged, and it followed cost.

    log shock = x: AR(1), stationary with standard deviation s;  demand = curve · exp(x - s²/2), of mean 1
    log (price / list) = response · x + log (cost / usual cost), the latter with standard deviation s_c

High prices met high demand, so that demand seems to bear high prices: a regression of sales on prices finds an
elasticity that is too small by response·s² / (response²·s² + s_c²). The cost moved the price and not the demand:
it is an instrument (for counts, with a control function: Wooldridge 2015, Journal of Human Resources 50).
From the first decision on there is no shock left to follow, and cost is the usual one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.demand.forms import CONSTANT_ELASTICITY
from pricing_core.simulator.bar.interface import History
from pricing_core.simulator.bar.offers import Offers, Range, logged, sample_offers, uniform
from pricing_core.simulator.bar.unlimited import SPAN, UnlimitedMarket


class Ranges(NamedTuple):
    """What markets are drawn from."""

    elasticity: Range
    units: Range
    """A period at the list price."""
    cost: Range
    """Usual unit cost / list price."""
    shock: Range
    """s, standard deviation of the log shock."""
    shock_memory: float
    """Autocorrelation of the log shock from one period to the next."""
    response: Range
    """Of the log price to the log shock."""
    cost_spread: Range
    """s_c, standard deviation of the log cost."""
    cost_memory: float
    """Its autocorrelation."""
    log: int
    """Periods."""
    periods: int


TUNING = Ranges(
    elasticity=(1.4, 3.5),
    units=(5.0, 40.0),
    cost=(0.45, 0.65),
    shock=(0.25, 0.45),
    shock_memory=0.6,
    response=(0.4, 0.7),
    cost_spread=(0.05, 0.12),
    cost_memory=0.5,
    log=400,
    periods=50,
)
TEST = Ranges(
    elasticity=(1.5, 4.0),
    units=(5.0, 60.0),
    cost=(0.5, 0.7),
    shock=(0.3, 0.5),
    shock_memory=0.7,
    response=(0.5, 0.8),
    cost_spread=(0.05, 0.1),
    cost_memory=0.5,
    log=500,
    periods=60,
)


class Confounded(NamedTuple):
    """N offers and how their log came about. [N] float32."""

    offers: Offers
    shock: Array
    response: Array
    cost_spread: Array


@dataclass(frozen=True)
class Endogenous(UnlimitedMarket):
    """The optimum knows the curve without shocks. All curves have constant elasticity."""

    ranges: Ranges = TEST

    @property
    def name(self) -> str:
        """The kind."""
        return "endogenous"

    @property
    def periods(self) -> int:
        """Decisions to play."""
        return self.ranges.periods

    def offers(self, params: Confounded, _period: Array) -> Offers:
        """Give the curves, which never change."""
        return params.offers

    def sample(self, key: Array, n: int) -> Confounded:
        """Draw offers and the habits of their merchants."""
        k_offers, k_shock, k_response, k_cost = jax.random.split(key, 4)
        r = self.ranges
        offers = sample_offers(k_offers, n, elasticity=r.elasticity, units=r.units, cost=r.cost, span=SPAN)
        return Confounded(
            offers._replace(form=jnp.full(n, CONSTANT_ELASTICITY)),
            uniform(k_shock, n, r.shock),
            uniform(k_response, n, r.response),
            uniform(k_cost, n, r.cost_spread),
        )

    def history(self, params: Confounded, key: Array) -> History:
        """Log prices that followed shock and cost; they need not be of the set."""
        k_shock, k_cost, k_units = jax.random.split(key, 3)
        r, offers, n = self.ranges, params.offers, params.shock.shape[0]
        log_shock = params.shock * _autoregressive(k_shock, r.log, n, r.shock_memory)
        log_cost = params.cost_spread * _autoregressive(k_cost, r.log, n, r.cost_memory)
        price = offers.list_price * jnp.exp(params.response * log_shock + log_cost)
        shock = jnp.exp(log_shock - params.shock**2 / 2.0)
        return logged(offers, price, k_units, shock, offers.unit_cost * jnp.exp(log_cost))


def _autoregressive(key: Array, periods: int, n: int, memory: float) -> Array:
    """Draw stationary AR(1) series of mean 0 and variance 1: [periods, n]."""
    normal = jax.random.normal(key, (periods, n))

    def step(before: Array, fresh: Array) -> tuple[Array, Array]:
        now = memory * before + jnp.sqrt(1.0 - memory**2) * fresh
        return now, now

    _, series = jax.lax.scan(step, normal[0], normal[1:])
    return jnp.concatenate([normal[:1], series])
