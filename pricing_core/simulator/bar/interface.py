"""What a market of the bar offers and what a policy may see of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jax import Array


class View(NamedTuple):
    """What is known before a price is chosen. [N] float32 unless said; money in the market's own unit."""

    prices: Array
    """[N, A] that may be asked, ascending. A is the same for all markets of a kind."""
    unit_cost: Array
    """Of a unit that is sold; what is left at a deadline keeps its cost."""
    stock: Array
    """Units; inf if unlimited."""
    periods_left: Array
    """With the coming one; inf if there is no deadline, 0 after it."""
    exposure: Array
    """Shoppers that are counted in the coming period; 1 if nobody counts them."""
    list_price: Array
    """What the merchant asked before: the anchor of all priors."""
    prior_units: Array
    """A guess at the units that the coming period, with its exposure, would sell at the list price; nan if none."""
    prior_elasticity: Array
    """Mean of the category's elasticities at the list price."""
    rival_price: Array
    """The cheapest rival's, as last seen; nan if none."""


class Outcome(NamedTuple):
    """What a period brought. [N]."""

    units: Array
    """float32, sold: never more than the stock."""
    stocked_out: Array
    """bool: nothing is left, so that demand may have been more than what was sold."""
    profit: Array
    """float32. Realised where the stock is finite, else its exact expectation given the past. To score, not to learn
    from: an expectation tells more than a merchant sees.
    """


class History(NamedTuple):
    """A log from before the first decision. [L, N] float32."""

    price: Array
    units: Array
    exposure: Array
    cost: Array
    """Of a unit at that time. It moved the price and not the demand: an instrument."""


class Market(Protocol):
    """A kind of market: a frozen dataclass whose methods are pure and can be jitted.

    ``Params`` and ``State`` are the kind's own pytrees. N = n · family offers; the offers of a family are consecutive.
    """

    @property
    def name(self) -> str:
        """The row of the bar."""
        ...

    @property
    def family(self) -> int:
        """Offers whose demand hangs together, 1 as a rule."""
        ...

    @property
    def periods(self) -> int:
        """Decisions to play."""
        ...

    def sample(self, key: Array, n: int) -> Any:
        """Draw the params of n markets."""
        ...

    def history(self, params: Any, key: Array) -> History | None:
        """Draw a log, or None where the kind has none."""
        ...

    def start(self, params: Any, key: Array) -> Any:
        """Give the state before the first period."""
        ...

    def view(self, params: Any, state: Any) -> View:
        """Show what may be known."""
        ...

    def step(self, params: Any, state: Any, price: Array, key: Array) -> tuple[Any, Outcome]:
        """Let a period pass.

        Args:
            params: Of the markets.
            state: Before.
            price: float32 [N], each one of ``view.prices``.
            key: Of the run, the same in every period: the period's number is folded in, and counts are monotone
                quantiles of uniforms, so that two policies share their luck.
        """
        ...

    def optimum(self, params: Any) -> Array:
        """Expected profit over all periods of who knows the demand and plans, float32 [n]."""
        ...

    def clairvoyant(self, params: Any) -> Callable[[Any], Array]:
        """Give the policy behind `optimum`: state → index int [N] into the prices. Solves once, then looks up."""
        ...


@runtime_checkable
class PlannedMarket(Market, Protocol):
    """A kind that can say what a decision gives away, so that a score needs no luck of sales."""

    def shortfall(self, params: Any) -> Callable[[Any, Array], Array]:
        """Give a function (state, price [N]) → float32 [N] >= 0.

        It is V(state) - Q(state, price): what the optimum expects from here, less what it expects if this price comes
        first. What a policy expects to earn is the optimum less the expected sum of these (the performance difference
        lemma, Kakade & Langford 2002).
        """
        ...
