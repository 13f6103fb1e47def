"""Who plays in a suite: the system that this project stands for, and what it has to beat."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp

from pricing_core.evaluation import deep_q
from pricing_core.evaluation.bar import OnlinePolicy
from pricing_core.evaluation.baselines import CostPlus, Greedy, Hold, KeepLogged, MatchCheapest, Thompson
from pricing_core.evaluation.estimate_then_dp import EstimateThenDP
from pricing_core.evaluation.estimate_then_plan import EstimateThenPlan
from pricing_core.evaluation.offline_deep_q import CONSERVATIVE, ENSEMBLE, PLAIN, OfflineDeepQ
from pricing_core.learning.offline import OfflineRecipe
from pricing_core.simulator.bar.interface import Market, View
from pricing_core.simulator.bar.logged import Logged

SYSTEM = "system"
LOGGED_RULE = "logged_rule"
DEEP_Q = "deep_q"
_LARGEST_PROGRAMME = 200_000
"""Stock times periods. Larger ones take gigabytes of tables, and minutes each time they are solved."""


class Contestant(NamedTuple):
    """A policy for each market in which it makes sense."""

    name: str
    label: str
    """For tables and legends: ten characters at most."""
    story: str
    """What it does, for a merchant."""
    policy: Callable[[Market, View], OnlinePolicy | None]
    """What is known before the first decision → the policy, or None where it would be another one in disguise."""


def _cost_plus(_market: Market, view: View) -> OnlinePolicy | None:
    return CostPlus() if bool((view.unit_cost > 0.0).any()) else None


def _match_cheapest(_market: Market, view: View) -> OnlinePolicy | None:
    return MatchCheapest() if bool(jnp.isfinite(view.rival_price).any()) else None


def _logged_rule(market: Market, _view: View) -> OnlinePolicy | None:
    return KeepLogged() if isinstance(market, Logged) else None


def _offline(recipe: OfflineRecipe) -> Callable[[Market, View], OnlinePolicy | None]:
    """Learn from the log, where there is a long one."""
    return lambda market, _view: OfflineDeepQ(recipe) if isinstance(market, Logged) else None


def _estimate_then_dp(market: Market, view: View) -> OnlinePolicy | None:
    """Without a limit of stock the programme of a period is all there is: that is `Greedy`."""
    stock = float(view.stock.max())
    return EstimateThenDP(int(stock), market.periods) if stock * market.periods <= _LARGEST_PROGRAMME else None


CONTESTANTS = (
    Contestant(
        SYSTEM,
        "system",
        "What this project stands for: a belief about demand, from what an offer has sold, and the price that earns "
        "most under all that may be true.",
        lambda _market, _view: EstimateThenPlan(),
    ),
    Contestant("hold", "hold", "Keeps the price that was asked before.", lambda _market, _view: Hold()),
    Contestant("cost_plus", "cost-plus", "Puts 60 % on the cost, whatever sells.", _cost_plus),
    Contestant(
        "match_cheapest", "match", "Asks what the cheapest rival asks, 3 % above cost or more.", _match_cheapest
    ),
    Contestant(LOGGED_RULE, "log's rule", "Goes on with the rule that set the prices in the log.", _logged_rule),
    Contestant(
        "greedy",
        "greedy",
        "Estimates demand from sales, and asks the best price of the estimate, whatever the stock.",
        lambda _market, _view: Greedy(),
    ),
    Contestant(
        "estimate_then_dp",
        "estim.+DP",
        "Estimates demand in the same way, and solves the exact plan for the stock and time that are left (a dynamic "
        "programme).",
        _estimate_then_dp,
    ),
    Contestant(
        "thompson",
        "Thompson",
        "Draws a demand curve at random from what may be true, and acts on it: it tries prices to learn (Thompson "
        "sampling).",
        lambda _market, _view: Thompson(),
    ),
    Contestant(
        DEEP_Q,
        "deep Q",
        "Has learned by trial in markets like these, before the first day, what each price is worth (double dueling "
        "deep Q-learning), and decides by that.",
        lambda _market, _view: None,  # see `with_deep_q`
    ),
    Contestant(
        "offline_q",
        "offline Q",
        "Learns the worth of each price from the log alone, by deep Q-learning.",
        _offline(PLAIN),
    ),
    Contestant(
        "conservative_q",
        "cautious Q",
        "The same, but thinks little of what the log hardly shows (conservative Q-learning).",
        _offline(CONSERVATIVE),
    ),
    Contestant(
        "ensemble_q",
        "Q ensemble",
        "Four such learners; what they do not agree on is taken off.",
        _offline(ENSEMBLE),
    ),
)
"""The system first; all others are baselines. Plain deep Q-learning plays only where it was trained."""
MODEL = "estimate then plan"
"""What the system is in these rows, for the record of a run: the planner of the worker, without its network."""


def with_deep_q(read: Callable[[str], bytes | None]) -> tuple[Contestant, ...]:
    """Let plain deep Q-learning play in the rows that it was trained on.

    Args:
        read: Name of a row → checkpoint of its learner (`learning.checkpoint`), or None if there is none.
    """
    learned: dict[str, OnlinePolicy | None] = {}

    def policy(market: Market, _view: View) -> OnlinePolicy | None:
        if market.name not in learned:
            data = read(market.name)
            learned[market.name] = None if data is None else deep_q.restored(data, market)
        return learned[market.name]

    return tuple(c._replace(policy=policy) if c.name == DEEP_Q else c for c in CONTESTANTS)
