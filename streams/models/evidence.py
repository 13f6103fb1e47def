"""From decisions with what followed to what the gate judges a candidate by.

What counts is the difference between the models: the candidate decides each logged state again as if it explored as
much as was explored then, with the luck of then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from pricing_core.choose import probabilities
from pricing_core.decisions import HELD, Decisions
from pricing_core.evaluation import policies
from pricing_core.evaluation.arrays import Float64
from pricing_core.evaluation.fitted_demand import fit
from pricing_core.evaluation.gate import Evidence, Guarded
from pricing_core.evaluation.logged_prices import LoggedPrices, difference
from pricing_core.evaluation.roll_out import Offers, fitted_shops, paired_gains
from pricing_core.features import HOLD
from pricing_core.model_file import Model
from pricing_core.recorded import Recorded
from pricing_core.replaying import Question, ReplayingEngine
from pricing_core.run_modes import ACTIVE
from schemas.timestamps import parse_ms
from streams.models.choices import AT_ONCE, Sorted, logging_of, on_their_rungs
from streams.models.transitions import Followed

SEED = 20_260_101
"""Of folds and luck: the same question has the same answer."""
MOST_OFFERS = 512
"""In the roll-outs."""


def evidence(found: Sorted, candidate: Model, running: Model, shadow: Guarded | None) -> Evidence:
    """Gather what the gate asks for.

    Raises:
        RecordedError: Recorded inputs are of another version of this program.
        ValueError: The log contradicts itself.
    """
    again = decide_logged(candidate, found.free)
    said = log_of(found, again)
    if said is None:
        return Evidence(None, None, None, shadow)
    free, log, wanted = said
    by_a_guard = forbidden((*again, *decide_logged(candidate, found.guarded)))
    return Evidence(
        off_policy=difference(log, wanted, seed=SEED),
        roll_out=_roll_out(log, free, candidate, running),
        guarded=Guarded(len(found.free) + len(found.guarded), len(found.guarded), by_a_guard),
        shadow=shadow,
    )


def log_of(found: Sorted, again: Sequence[Decisions]) -> tuple[list[Followed], LoggedPrices, Float64] | None:
    """What a log says of a model that has made its free decisions again.

    Returns:
        The free decisions whose records agree with themselves, the same as arrays, and the model's probabilities there,
        [N, A]; None if there are no such decisions.

    Raises:
        ValueError: Which decisions are known depends on what was chosen.
    """
    sound, logging = logging_of(found, again)
    if not len(sound):
        return None
    free = [found.free[i] for i in sound.tolist()]
    return free, logged_prices(free, logging), exploring(again, found.free)[sound]


def logged_prices(free: Sequence[Followed], logging: Float64) -> LoggedPrices:
    """What `logging_of` says as arrays. Profits are of intervals of each offer's mean length, see `_of_mean_length`."""
    offer = np.unique([one.offer for one in free], return_inverse=True)[1]
    shown = np.array([one.happened.impressions for one in free], np.float64)
    counted = np.bincount(offer, shown)[offer] > 0
    return LoggedPrices(
        offer=offer,
        context=np.array([[value or 0.0 for value in one.features or ()] for one in free], np.float64),
        prices=np.array([one.prices for one in free], np.float64),
        action=np.array([one.action for one in free], np.int64),
        logging=logging,
        profit=_of_mean_length(np.array([one.profit for one in free]), np.array([one.days for one in free]), offer),
        currency=np.unique([one.currency or "" for one in free], return_inverse=True)[1],
        units=np.array([max(one.sold, 0) for one in free], np.float64),
        exposure=np.where(counted, shown, [one.days for one in free]),
        censored=np.array([one.censored for one in free], np.bool_),
    )


def _of_mean_length(profit: Float64, days: Float64, offer: NDArray[np.intp]) -> Float64:
    """Profits [n] of intervals of some days [n], without what each offer earns by the rate of its log beyond its mean.

    How long an interval lasts depends on the action: after a move others have no choice for a while. Without this a
    price would be worth more for holding longer. It is the differential reward of average-reward problems (Puterman
    1994, section 11.4, for semi-Markov decision processes), and what an offer has earned in all stays the same.
    """
    in_all, length, count = (np.bincount(offer, column) for column in (profit, days, np.ones(len(offer))))
    rate = in_all / length
    adjusted: Float64 = profit + rate[offer] * ((length / count)[offer] - days)
    return adjusted


def decide_logged(model: Model, followed: Sequence[Followed]) -> list[Decisions]:
    """Let a model decide each logged state again, without exploring.

    Raises:
        RecordedError: Recorded inputs are of another version of this program.
    """
    engine = ReplayingEngine(model, capacity=AT_ONCE)
    parts = [followed[i : i + AT_ONCE] for i in range(0, len(followed), AT_ONCE)]
    return [engine.decide_again(_question(part)) for part in parts]


def _question(part: Sequence[Followed]) -> Question:
    n = len(part)
    return Question(
        recorded=Recorded.unpacked(one.inputs or b"" for one in part),
        now=np.array([parse_ms(one.decided_at) for one in part], np.int64),
        mode=np.full(n, ACTIVE, np.int8),
        scope=np.zeros(n, np.int8),
        uniform=np.full(n, 1.0 - 2**-24, np.float32),  # does not explore: what is asked is what the model prefers
        sequence=np.arange(n),
    )


def forbidden(decided: Iterable[Decisions]) -> int:
    """Count the moves that a guard turned into a hold."""
    return sum(int(((d.chosen >= 0) & (d.chosen != HOLD) & (d.outcome == HELD)).sum()) for d in decided)


def exploring(again: Sequence[Decisions], followed: Sequence[Followed]) -> Float64:
    """Probabilities of the candidates, [N, A], if the model explored as much as was explored then."""
    epsilon = jnp.array([one.epsilon or 0.0 for one in followed], jnp.float32)
    q, legal = (np.concatenate(columns) for columns in zip(*((d.q, d.masked == 0) for d in again), strict=True))
    return on_their_rungs(probabilities(jnp.asarray(q), jnp.asarray(legal), epsilon[:, None]), again)


def _roll_out(log: LoggedPrices, free: Sequence[Followed], candidate: Model, running: Model) -> Float64:
    """In shops of the offers that have decided most, from where they stood last; gains of one currency after another.

    Each is a share of what the running model earns in a mean shop of its currency.
    """
    counts = np.bincount(log.offer)
    last = np.zeros(len(counts), np.int64)
    last[log.offer] = np.arange(len(log))
    policy = Recorded.unpacked(free[i].inputs or b"" for i in last.tolist()).policies
    reference = policy["list_price"].astype(np.float64)
    demand = fit(log.sales(reference), len(counts))
    kept = np.argsort(-counts, kind="stable")[:MOST_OFFERS]
    rows = last[kept]
    shown = np.bincount(log.offer, [one.happened.impressions for one in free])
    days = np.bincount(log.offer, [one.days for one in free])
    offers = Offers(
        reference=reference[kept],
        price=log.prices[rows, HOLD],
        slope=np.array([free[i].profit_slope or 0.0 for i in rows.tolist()]),
        offset=np.array([free[i].profit_offset or 0.0 for i in rows.tolist()]),
        floor=policy["low"][kept].astype(np.float64),
        ceiling=policy["high"][kept].astype(np.float64),
        exposure=np.where(shown > 0, shown / days, 1.0)[kept],
        counted=(shown > 0)[kept].astype(np.float64),
    )
    elasticities = demand.at(kept)
    ours, theirs = (policies.model(model.params, running.epsilon) for model in (candidate, running))
    gains = []
    for currency in np.unique(log.currency[rows]):
        those = np.flatnonzero(log.currency[rows] == currency)
        shops = fitted_shops(Offers(*(column[those] for column in offers)), elasticities.at(those), seed=SEED)
        gains.append(paired_gains(ours, theirs, shops, seed=SEED))
    return np.concatenate(gains)
