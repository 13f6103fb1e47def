"""What the belief about an offer's demand expects of each candidate price: the planner under the Q-function.

Without a season's end a candidate is worth the profit of a day, on average over all curves that may be true; with one,
less what the units sold would be worth later; and what it teaches for later days comes on top: the plans, the value of
trying and its horizon are those of `planning`, by which the policy of the bar decides, too. All gains are less that of
the current price, in units of the profit there (of 10 % of the price, if that is less), so that one network serves all
offers.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from pricing_core.decayed_demand import PRIOR_ELASTICITY
from pricing_core.demand import belief
from pricing_core.demand.belief import Posterior, Prior, Tally
from pricing_core.demand.curves import CURVES, ELASTICITY_OF_CURVE
from pricing_core.demand.knots import FARTHEST
from pricing_core.planning import exploration, nearby
from pricing_core.planning.under_belief import Plans, Situation, of_season

PRIOR_UNITS_A_SHOPPER = 1.0 / 30.0
PRIOR_UNITS_A_DAY = 1.0
NO_GUESS = 0.0
"""In place of expected units where a policy expects none."""
_PROBE = 0.05
"""The slope of demand is taken between prices so far below and above the current one, in ln price."""
_PROBES = 3
"""So many prices are planned for besides the candidates, before them."""
_LEAST_EXPOSURE = 1e-3
_USE = 0.5
"""Of the horizon: in a shop whose demand drifts and whose rivals move, what was learned is of use for half as long."""
_LARGEST_MOVE = 0.5


class Standing(NamedTuple):
    """Where N offers stand. [N] float32; prices as multiples of the reference price."""

    log_price: Array
    """ln of the current price."""
    profit_slope: Array
    """a > 0: unit profit at p is a·p - b."""
    profit_offset: Array
    """b / current price."""
    salvage_offset: Array
    """The same of a unit that would be left over otherwise: what it is worth then, and fees."""
    exposure: Array
    """Of a day, in the unit of the tally: shoppers, or days."""
    stock: Array
    """Units; inf if unlimited or unknown."""
    days_left: Array
    """Until the season ends; inf if it does not."""


class Drawn(NamedTuple):
    """What would be done if one of J demand curves were drawn from the belief, and taken for true. [N, J] float32."""

    weight: Array
    """Probability of each, sums to 1."""
    move: Array
    """Its best one, in ln price; not necessarily a candidate."""


class Outlook(NamedTuple):
    """What is expected of N offers with A candidates. float32."""

    gain: Array
    """[N, A] of profit over holding the price."""
    doubt: Array
    """[N, A] its standard deviation over the curves."""
    lesson: Array
    """[N, A] of profit that a day at the candidate saves on each later day, by what it teaches."""
    horizon: Array
    """[N] later days that count."""
    elasticity: Array
    """[N] mean of ln(elasticity at the reference price / prior elasticity)."""
    elasticity_spread: Array
    """[N] standard deviation of it."""
    slope: Array
    """[N] mean of -d ln demand / d ln price at the current price."""
    slope_spread: Array
    """[N]."""
    units: Array
    """[N] expected of a day at the current price."""
    usual: Array
    """[N, A] gain as long as nothing is known of an offer; where a stock is to be sold by a day, ``gain``."""
    drawn: Drawn

    @property
    def worth(self) -> Array:
        """[N, A] gain, and what the candidate teaches."""
        return self.gain + self.horizon[:, None] * self.lesson


class Kind(NamedTuple):
    """What is known of N offers before their first sale. [N] float32."""

    counts_shoppers: Array
    """> 0 where exposure is impressions, else it is days."""
    rival_known: Array
    """> 0 where one is seen."""
    expected_elasticity: Array
    """Of offers like these."""
    expected_units: Array
    """Of a day at the reference price; `NO_GUESS` where nobody expects any. Of no use where shoppers are counted."""


def prior_of(kind: Kind) -> Prior:
    """Believe this of offers before anything is known."""
    guessed = (kind.expected_units > NO_GUESS) & (kind.counts_shoppers <= 0)
    usual = jnp.where(kind.counts_shoppers > 0, PRIOR_UNITS_A_SHOPPER, PRIOR_UNITS_A_DAY)
    units = jnp.where(guessed, kind.expected_units, usual)
    shape = 1.0 / jnp.expm1(jnp.where(guessed, belief.LEVEL_SPREAD, belief.UNKNOWN_LEVEL_SPREAD) ** 2)
    elasticity = belief.felt_elasticity(kind.expected_elasticity, kind.rival_known > 0)
    return Prior(shape, shape / units, elasticity, jnp.full_like(shape, belief.ELASTICITY_SPREAD))


_USUAL_STEP = np.log(1.0 / belief.ANSWERED) / 4
_USUAL_PLACES = np.arange(-29, 22)
_USUAL_ELASTICITY = PRIOR_ELASTICITY * np.exp(_USUAL_STEP * _USUAL_PLACES)
"""Elasticities for which there are plans of usual offers; the one of all is among them, with a rival and without."""


def _usual() -> NDArray[np.float32]:
    """[E, P, 5] of `nearby.moments_of`: what is believed at first of offers of each of these elasticities."""
    with jax.ensure_compile_time_eval():
        none = jnp.zeros(len(_USUAL_ELASTICITY))
        prior = prior_of(Kind(none, none, jnp.asarray(_USUAL_ELASTICITY, jnp.float32), none))
        weight = belief.posterior(belief.empty(len(none)), prior).weight
    return np.stack([nearby.moments_of(each) for each in np.asarray(weight)])


_USUAL = _usual()


def _usual_of(prior: Prior) -> Array:
    """The row of `_USUAL` that is nearest to each offer's prior, int [N]."""
    place = jnp.round(jnp.log(prior.elasticity / PRIOR_ELASTICITY) / _USUAL_STEP).astype(jnp.int32)
    return jnp.clip(place - _USUAL_PLACES[0], 0, len(_USUAL_PLACES) - 1)


def look_ahead(tally: Tally, prior: Prior, offers: Standing, log_ratio: Array, *, seasonal: bool) -> Outlook:
    """Say what is expected of the candidates.

    Args:
        tally: What was seen.
        prior: What was believed before.
        offers: Where they stand.
        log_ratio: [N, A] ln(candidate / current).
        seasonal: Whether stock and days left may be finite: the plan for them costs fifty times the rest.
    """
    held = belief.posterior(tally, prior)
    offers = offers._replace(log_price=jnp.clip(offers.log_price, -FARTHEST, FARTHEST))
    moves = jnp.clip(log_ratio, -_LARGEST_MOVE, _LARGEST_MOVE)
    exposure, profit = jnp.maximum(offers.exposure, _LEAST_EXPOSURE), (offers.profit_slope, offers.profit_offset)
    near = nearby.look_about(held, exposure, offers.log_price, moves, profit)
    margin, scale = _margin(offers, moves) / _scale(offers), _scale(offers)
    gain = near.kept * margin - (profit[0] - profit[1])[:, None] / scale
    lesson = near.saved / scale
    of_usual = jnp.asarray(_USUAL)[_usual_of(prior)]
    usual = nearby.kept_usually(of_usual, offers.log_price, moves) * margin - (profit[0] - profit[1])[:, None] / scale
    horizon, drawn = _USE * exploration.horizon(tally.periods), Drawn(held.weight, near.best)
    if seasonal:
        limited = jnp.isfinite(offers.stock) & jnp.isfinite(offers.days_left)
        probed = jnp.concatenate([jnp.zeros_like(moves[:, :1]), moves], axis=1)
        of_it = _in_season(held, offers, offers.log_price[:, None] + probed, scale * near.units[:, None])
        usual = jnp.where(limited[:, None], of_it[0], usual)
        gain, lesson = (jnp.where(limited[:, None], *pair) for pair in zip(of_it[:2], (gain, lesson), strict=True))
        drawn = Drawn(
            *(jnp.where(limited[:, None], *pair) for pair in zip(_draws(of_it[2], moves), drawn, strict=True))
        )
        horizon = jnp.where(limited, exploration.horizon_of_season(jnp.where(limited, offers.days_left, 1.0)), horizon)
    return Outlook(
        gain,
        jnp.abs(margin) * near.kept * near.doubt,
        lesson,
        horizon,
        *_moments(held.weight, jnp.log(jnp.asarray(ELASTICITY_OF_CURVE) / PRIOR_ELASTICITY)),
        near.slope,
        near.slope_spread,
        near.units,
        usual,
        drawn,
    )


def _margin(offers: Standing, log_ratio: Array) -> Array:
    """Unit profit over the current price, [N, A]."""
    return offers.profit_slope[:, None] * jnp.exp(log_ratio) - offers.profit_offset[:, None]


def _scale(offers: Standing) -> Array:
    """Unit profit at the current price over that price, at least 10 % of what is left after tax, [N, 1]."""
    slope = offers.profit_slope
    return jnp.maximum(jnp.abs(slope - offers.profit_offset), 0.1 * slope)[:, None]


def _moments(weight: Array, values: Array) -> tuple[Array, Array]:
    mean = (weight * values).sum(axis=1)
    return mean, jnp.sqrt((weight * (values - mean[:, None]) ** 2).sum(axis=1))


def _shares(made: Plans, log_price: Array, scale: Array) -> tuple[Array, Array, Plans]:
    """What the candidates gain over staying, and what they save later, [N, A], in units of ``scale`` [N, 1]; plans."""
    worth = made.worth
    asked = Plans(made.weight, made.gain[:, 1:], made.units[:, 1:])
    return (worth[:, 1:] - worth[:, :1]) / scale, asked.saved(log_price[:, 1:]) / scale, asked


def _draws(made: Plans, moves: Array) -> Drawn:
    """The best candidate in each scenario; they are fewer than curves, the rest weigh nothing."""
    weight, best = made.weight.T, jnp.take_along_axis(moves, made.gain.argmax(axis=1).T, axis=1)
    missing = ((0, 0), (0, CURVES - weight.shape[1]))
    return Drawn(jnp.pad(weight, missing), jnp.pad(best, missing))


def _in_season(held: Posterior, offers: Standing, log_price: Array, scale: Array) -> tuple[Array, Array, Plans]:
    """The same where a stock is to be sold until a day; what is left is then worth its salvage."""
    price = jnp.exp(offers.log_price)
    situation = Situation(
        list_price=jnp.ones_like(price),
        unit_cost=price * offers.salvage_offset / offers.profit_slope,
        exposure=offers.exposure,
        stock=jnp.where(jnp.isfinite(offers.stock), offers.stock, 1.0),
        periods_left=jnp.where(jnp.isfinite(offers.days_left), jnp.maximum(offers.days_left, 1.0), 1.0),
    )
    profit_of_one = (offers.profit_slope / price)[:, None]
    return _shares(of_season(held, situation, jnp.exp(log_price)), log_price, scale / profit_of_one)
