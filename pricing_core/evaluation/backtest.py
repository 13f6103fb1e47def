"""What a model would have earned in the decisions of a log, as far as the log can say.

A log answers for a price only if it might have been tried. The model is therefore followed where the log may have taken
its price, and elsewhere the log is: that policy is supported by construction, and how much of it is the model's own is
said beside it. Values are money a day and offer; each decision is taken as it was met in the log, so that where a model
leads over weeks is not part of it (`roll_out` is about that).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from pricing_core.evaluation.arrays import Float64, Int64
from pricing_core.evaluation.gate import GateLimits
from pricing_core.evaluation.intervals import Contributions, Estimate, estimate, gain
from pricing_core.evaluation.logged_prices import LoggedPrices, difference, usual
from pricing_core.evaluation.off_policy import logged_decisions, snips
from pricing_core.evaluation.support import OffPolicyError, SupportLimits
from pricing_core.features import HOLD
from schemas.columns import Bool

LEAST_SUPPORTED = 0.5
"""Share of what the model would do that the log may have tried: below it the estimate is one of the log."""
EXPLORATIONS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_WORTH_WAITING = 20.0
"""So many times the days of the log are a plan; more are none."""


class Asked(NamedTuple):
    """N logged decisions, and what a model would have done in them."""

    log: LoggedPrices
    model: Float64
    """[N, A] probabilities of the candidates under the model."""
    legal: Bool
    """[N, A]."""
    days: Float64
    """[N] length of the interval of each decision."""

    def at(self, rows: Int64) -> Asked:
        """Look at some of them; their offers are numbered anew."""
        log = LoggedPrices(**{name: getattr(self.log, name)[rows] for name in LoggedPrices.__slots__})
        log = replace(
            log,
            offer=np.unique(log.offer, return_inverse=True)[1],
            currency=np.unique(log.currency, return_inverse=True)[1],
        )
        return Asked(log, self.model[rows], self.legal[rows], self.days[rows])


@dataclass(slots=True)
class Backtest:
    """What was found. Money is minor units a day and offer, shares are of the decisions."""

    decisions: int
    offers: int
    offer_days: float
    agreement: float
    """The model prefers the price that was taken."""
    changed: float
    """The log moved the price."""
    model_changes: float
    """The model would move it."""
    model_higher: float
    """Its price is above the one that was taken."""
    supported: float
    """Of what the model would do, what the log may have tried."""
    effective_sample_size: float
    logged: Estimate | None = None
    """What was earned; None of too few offers."""
    doubly_robust: Estimate | None = None
    snips: Estimate | None = None
    gain: Estimate | None = None
    """Of the model over the log, by the doubly robust estimate."""
    gain_alike: Estimate | None = None
    """The same as a share, each offer counting alike: what the gate looks at."""
    refusals: list[str] = field(default_factory=list)
    """Why nothing is claimed of the model; empty: its estimates are there."""
    needed: list[str] = field(default_factory=list)
    """What would let the log say more."""


def backtest(asked: Asked, *, seed: int, limits: GateLimits = GateLimits()) -> Backtest:  # noqa: B008  # immutable
    """Value a model by a log, or say why not.

    Args:
        asked: The log and the model.
        seed: Of the folds of the reward model.
        limits: How much is enough: those of the gate.

    Raises:
        ValueError: The log contradicts itself.
    """
    log, rows = asked.log, np.arange(len(asked.log))
    preferred, target = asked.model.argmax(axis=1), within_reach(asked.model, asked.log.logging)
    weight = target[rows, log.action] / log.propensity
    found = Backtest(
        decisions=len(log),
        offers=len(np.unique(log.offer)),
        offer_days=float(asked.days.sum()),
        agreement=float((preferred == log.action).mean()),
        changed=float((log.action != HOLD).mean()),
        model_changes=float((preferred != HOLD).mean()),
        model_higher=float((log.prices[rows, preferred] > log.prices[rows, log.action]).mean()),
        supported=float(np.where(asked.log.logging > 0.0, asked.model, 0.0).sum(axis=1).mean()),
        effective_sample_size=float(weight.sum() ** 2 / np.maximum((weight**2).sum(), 1e-300)),
    )
    _ask_for_support(asked, found, limits)
    if found.offers >= limits.least_offers:
        found.logged = _earned(asked, limits)
    if not found.refusals:
        try:
            _estimate(asked, target, found, seed, limits)
        except (OffPolicyError, ValueError) as error:
            found.refusals.append(str(error))
    return found


def within_reach(model: Float64, logging: Float64) -> Float64:
    """Follow the model where the log may have taken its price, and the log elsewhere, [N, A]."""
    reached = np.where(logging > 0.0, model, 0.0)
    beyond = np.maximum(1.0 - reached.sum(axis=1, keepdims=True), 0.0)
    both = reached + beyond * logging
    total: Float64 = both.sum(axis=1, keepdims=True)
    shares: Float64 = both / total  # float32 probabilities may add up to a little more than 1
    return shares


def exploration_needed(asked: Asked, limits: GateLimits) -> float | None:
    """Smallest share of decisions, drawn evenly from all legal prices, with which a log would answer for the model.

    None where not even half of them would do.
    """
    best = np.arange(asked.log.logging.shape[1]) == asked.log.logging.argmax(axis=1)[:, None]
    evenly = asked.legal / asked.legal.sum(axis=1, keepdims=True)
    for share in EXPLORATIONS:
        logging = (1.0 - share) * best + share * evenly
        squares = np.where(logging > 0.0, asked.model**2 / np.where(logging > 0.0, logging, 1.0), 0.0).sum(axis=1)
        # With weights of mean 1 the effective sample size is n / E[w²].
        if 1.0 / squares.mean() >= limits.min_share:
            return share
    return None


def _ask_for_support(asked: Asked, found: Backtest, limits: GateLimits) -> None:
    days = found.offer_days / found.offers
    if found.decisions < limits.least_decisions:
        found.refusals.append(f"{found.decisions:,} decisions, at least {limits.least_decisions:,} are needed")
        found.needed.append(_more_days(limits.least_decisions / found.decisions, days))
    if found.offers < limits.least_offers:
        found.refusals.append(f"{found.offers} offers, at least {limits.least_offers} are needed")
        found.needed.append("more offers: how they differ from one another says how sure the figure is")
    if found.supported < LEAST_SUPPORTED:
        found.refusals.append(
            f"{1.0 - found.supported:.0%} of what the model would do the log never tries: it is another policy's log"
        )
    least, enough = limits.min_share * found.decisions, found.effective_sample_size >= limits.min_size
    if found.effective_sample_size < least or not enough:
        found.refusals.append(
            f"the effective sample size is {found.effective_sample_size:,.0f} of {found.decisions:,} decisions, "
            f"at least {max(least, limits.min_size):,.0f} are needed"
        )
    if found.supported < LEAST_SUPPORTED or found.effective_sample_size < least:
        found.needed.append(_more_exploration(exploration_needed(asked, limits)))
    elif not enough and found.decisions >= limits.least_decisions:
        found.needed.append(_more_days(limits.min_size / found.effective_sample_size, days))


def _more_exploration(share: float | None) -> str:
    if share is None:
        return "a model nearer to the one that wrote the log: no exploration that one would allow is enough"
    return f"a log in which {share:.0%} of the decisions draw evenly from all legal prices, not from the best only"


def _more_days(times: float, days: float) -> str:
    return f"a log about {times:,.1f} times as long: {times * days:,.0f} days of each offer, not {days:,.0f}"


def _estimate(asked: Asked, target: Float64, found: Backtest, seed: int, limits: GateLimits) -> None:
    log, a_day = asked.log, 1.0 / float(asked.days.mean())
    support = SupportLimits(limits.min_share, limits.min_size)
    alike = difference(log, target, seed=seed)
    money = _times(alike, usual(log) * a_day)
    weighted = snips(logged_decisions(log.action, log.propensity, log.profit * a_day, cluster=log.offer), target)
    found.doubly_robust = estimate(money, confidence=limits.confidence, limits=support)
    found.snips = estimate(weighted, confidence=limits.confidence, limits=support)
    found.gain = gain(money, confidence=limits.confidence, limits=support)
    earned = float(alike.reward.mean())
    if earned > 0.0:
        found.gain_alike = gain(_times(alike, np.full(len(log), 1.0 / earned)), limits=support)
    half = 0.5 * (found.gain.upper - found.gain.lower)
    if abs(found.gain.value) < half and (times := (half / max(abs(found.gain.value), 1e-12)) ** 2) <= _WORTH_WAITING:
        days = found.offer_days / found.offers
        found.needed.append(f"to tell a gain of this size from chance: {_more_days(times, days)}")


def _earned(asked: Asked, limits: GateLimits) -> Estimate:
    log = asked.log
    reward, ones = log.profit / float(asked.days.mean()), np.ones(len(log))
    as_logged = Contributions(reward, 0.0 * ones, ones, ones, reward, log.offer, 0.0)
    return estimate(as_logged, confidence=limits.confidence, limits=SupportLimits(0.0, 1.0))


def _times(found: Contributions, factor: Float64) -> Contributions:
    """The same in another unit, decision by decision."""
    return replace(
        found, offset=found.offset * factor, numerator=found.numerator * factor, reward=found.reward * factor
    )
