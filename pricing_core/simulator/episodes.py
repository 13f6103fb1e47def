"""Markets of the bar as an environment for learners: N at once, one season after the other, pure and jittable.

Steps are those of gymnasium's vector environments with ``AutoresetMode.NEXT_STEP``: a step that ends the season shows
its last observation; the step after it ignores the actions and shows the first observation of a new season, in new
markets. All seasons of a kind are equally long, so that all markets end and begin together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator import observation
from pricing_core.simulator.bar.interface import Market, View
from pricing_core.simulator.observation import OBSERVATIONS, Sums


class Season(NamedTuple):
    """Where N markets are."""

    params: Any
    """Of the markets."""
    market: Any
    """State of the markets."""
    sums: Sums
    view: View
    """Of the coming period."""
    worth: Array
    """float32 [N], unit of the rewards in money: see `Episodes`."""
    luck: Array
    """Key of the season's sales."""
    next: Array
    """Key of the seasons to come."""
    period: Array
    """int32 scalar, so far in this season."""


class Step(NamedTuple):
    """What a step shows. [N]."""

    observation: Array
    """float32 [N, O]."""
    allowed: Array
    """bool [N, A], prices above cost."""
    reward: Array
    """float32, 0 in the first step of a season."""
    terminated: Array
    """bool: the deadline has come."""
    truncated: Array
    """bool: the season is over, but the offer would have gone on."""
    profit: Array
    """float32, the reward in money."""


@dataclass(frozen=True)
class Episodes:
    """A kind of market as an environment.

    The reward is profit in units of the season's list-price revenue: list price x the stock, or, where that is
    unlimited, list price x the units that the merchant guesses (1 if it does not) x periods.

    Raises:
        ValueError: Offers of the kind come in families, whose profit no offer's own reward tells.
    """

    market: Market

    def __post_init__(self) -> None:
        if self.market.family != 1:
            raise ValueError(f"market: expected a kind of independent offers, got {self.market.name}")

    @property
    def observations(self) -> int:
        """Length of an observation."""
        return len(OBSERVATIONS)

    def actions(self) -> int:
        """Prices of the set; an action is an index into them."""
        _, a = jax.eval_shape(self._prices).shape
        return int(a)

    def reset(self, key: Array, n: int) -> tuple[Season, Step]:
        """Begin a season in n new markets."""
        season = self._begin(key, n)
        return season, self._show(season, jnp.zeros(n))

    def step(self, season: Season, action: Array) -> tuple[Season, Step]:
        """Ask a price for a period, or begin a new season if this one is over.

        Args:
            season: Before.
            action: int [N], in [0, actions).
        """
        over = season.period >= self.market.periods
        n = action.shape[0]
        season, profit = jax.lax.cond(
            over, lambda: (self._begin(season.next, n), jnp.zeros(n)), lambda: self._sell(season, action)
        )
        return season, self._show(season, profit)

    def _begin(self, key: Array, n: int) -> Season:
        k_next, k_params, k_play = jax.random.split(key, 3)
        # As in `evaluation.bar.play`: who plays a season there with k_play has the same log and luck.
        k_history, k_start, k_market, _ = jax.random.split(k_play, 4)
        params = self.market.sample(k_params, n)
        start = self.market.start(params, k_start)
        view = self.market.view(params, start)
        sums = observation.begin(view, self.market.history(params, k_history))
        zero = jnp.zeros((), jnp.int32)
        return Season(params, start, sums, view, self._worth(view), k_market, k_next, zero)

    def _sell(self, season: Season, action: Array) -> tuple[Season, Array]:
        view = season.view
        price = jnp.take_along_axis(view.prices, action[:, None], axis=1)[:, 0]
        market, outcome = self.market.step(season.params, season.market, price, season.luck)
        sums = observation.take_in(season.sums, view, price, outcome.units)
        after = season._replace(
            market=market, sums=sums, view=self.market.view(season.params, market), period=season.period + 1
        )
        return after, outcome.profit

    def _show(self, season: Season, profit: Array) -> Step:
        over = jnp.broadcast_to(season.period >= self.market.periods, profit.shape)
        timed = jnp.isfinite(season.view.periods_left)
        return Step(
            observation.observe(season.view, season.sums),
            observation.allowed(season.view),
            profit / season.worth,
            over & timed,
            over & ~timed,
            profit,
        )

    def _worth(self, view: View) -> Array:
        guessed = jnp.where(jnp.isfinite(view.prior_units), view.prior_units, 1.0) * self.market.periods
        return view.list_price * jnp.where(jnp.isfinite(view.stock), view.stock, guessed)

    def _prices(self) -> Array:
        season, _ = self.reset(jax.random.key(0), 1)
        return season.view.prices
