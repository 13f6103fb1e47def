"""What a policy of the bar has to beat: rules without a memory, and a plain belief about demand."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.evaluation import log_linear
from pricing_core.evaluation.log_linear import Belief
from pricing_core.planning.linear_program import best_mixture
from pricing_core.simulator.bar.interface import History, Outcome, View


@dataclass(frozen=True)
class Rule:
    """A policy that learns nothing."""

    def begin(self, _view: View, _history: History | None, _family: int) -> tuple[()]:
        """Remember nothing."""
        return ()

    def decide(self, _memory: tuple[()], view: View, _key: Array) -> Array:
        """Take the price of the set that is nearest to what the rule wants."""
        return jnp.abs(jnp.log(view.prices / self.wanted(view)[:, None])).argmin(axis=1)

    def learn(self, memory: tuple[()], _view: View, _price: Array, _outcome: Outcome) -> tuple[()]:
        """Learn nothing."""
        return memory

    def wanted(self, view: View) -> Array:
        """Give the price that the rule wants, [N]."""
        raise NotImplementedError


@dataclass(frozen=True)
class Hold(Rule):
    """Keep the list price."""

    def wanted(self, view: View) -> Array:
        """The list price."""
        return view.list_price


@dataclass(frozen=True)
class CostPlus(Rule):
    """Put the same mark-up on every cost; where there is no cost, keep the list price."""

    mark_up: float = 0.6

    def wanted(self, view: View) -> Array:
        """Cost and mark-up."""
        return jnp.where(view.unit_cost > 0.0, (1.0 + self.mark_up) * view.unit_cost, view.list_price)


@dataclass(frozen=True)
class MatchCheapest(Rule):
    """Ask what the cheapest rival asks, but not less than 3 % above cost; without rivals keep the list price."""

    def wanted(self, view: View) -> Array:
        """The cheapest rival's price."""
        matched = jnp.maximum(view.rival_price, 1.03 * view.unit_cost)
        return jnp.where(jnp.isfinite(view.rival_price), matched, view.list_price)


@dataclass(frozen=True)
class KeepLogged:
    """Go on with the price that the log asked as a rule: its median, as long as exploration is the exception."""

    def begin(self, view: View, history: History | None, _family: int) -> Array:
        """Find the rule's price [N]; without a log, the list price."""
        return view.list_price if history is None else jnp.median(history.price, axis=0)

    def decide(self, memory: Array, view: View, _key: Array) -> Array:
        """Ask it."""
        return jnp.abs(jnp.log(view.prices / memory[:, None])).argmin(axis=1)

    def learn(self, memory: Array, _view: View, _price: Array, _outcome: Outcome) -> Array:
        """Learn nothing."""
        return memory


@dataclass(frozen=True)
class Learner:
    """A policy with the belief of `log_linear`. Offers are priced one by one, families or not."""

    def begin(self, view: View, history: History | None, _family: int) -> Belief:
        """Start from the prior and the log."""
        return log_linear.prior(view, history)

    def decide(self, memory: Belief, view: View, key: Array) -> Array:
        """Choose by the belief."""
        raise NotImplementedError

    def learn(self, memory: Belief, view: View, price: Array, outcome: Outcome) -> Belief:
        """Take the sales in. A period that sold out is taken at its word: here nothing can be sold after one."""
        return log_linear.update(memory, view, price, outcome.units)


@dataclass(frozen=True)
class Greedy(Learner):
    """Believe the estimate and take the best price of one period, whatever the stock."""

    def decide(self, memory: Belief, view: View, _key: Array) -> Array:
        """Maximise expected profit."""
        expected = log_linear.expected_units(memory.mode, view)
        return (expected * (view.prices - view.unit_cost[:, None])).argmax(axis=1)


@dataclass(frozen=True)
class Thompson(Learner):
    """Draw a demand curve from the belief and act as if it were true, within the stock.

    With a finite stock the draw goes into the linear programme of what is left, whose shares of time are taken as
    probabilities: Ferreira, Simchi-Levi & Wang (2018), algorithm 2.
    """

    def decide(self, memory: Belief, view: View, key: Array) -> Array:
        """Draw, solve, draw."""
        k_belief, k_price = jax.random.split(key)
        expected = log_linear.expected_units(log_linear.draw(memory, k_belief), view)
        supply = view.stock / jnp.maximum(view.periods_left, 1.0)
        supply = jnp.where(jnp.isfinite(view.stock), supply, jnp.inf)
        share = jax.vmap(best_mixture)(view.prices - view.unit_cost[:, None], expected, supply).share
        # Where it is best to sell nothing for a while, the highest price comes nearest to that.
        share = share.at[:, -1].add(jnp.maximum(1.0 - share.sum(axis=1), 0.0))
        return jax.random.categorical(k_price, jnp.log(share))
