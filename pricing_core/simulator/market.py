"""N markets at once, each one offer among up to four rivals, seeded, with a known optimum.

::

    markets = sample_markets(key, n)                    # what a market is: never changes
    state = initial_state(markets)                      # where it stands
    state, outcome = step(markets, state, price, key, dt_days)
    expected_profit_rate(markets, state, price)         # the truth at [N, A] prices: money a day, no luck
    optimal_price(markets, state)                       # the price that maximises it

Everything is pure and can be jitted. ``key`` is the key of the whole run (`step` folds the step number in), so two
runs with the same key and other prices share their luck: uniforms depend on key, step and market only, and counts
are monotone quantiles of them (`coupling.poisson_quantile`). Prices and costs are float32 in minor units; callers
round. Demand is described in `demand`, rivals in `rivals`.

Prices start cost-plus, 35-45 % above break-even: some offers are near their optimum, some too cheap, some too dear.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from pricing_core.simulator import demand, rivals
from pricing_core.simulator.coupling import poisson_quantile

MARK_UP = 1.40
"""The cost-plus price of a market is this multiple of its break-even price."""


class Costs(NamedTuple):
    """What a sale costs. [N] float32 unless said; money in minor units."""

    unit_cost: Array
    fixed_fee: Array
    """Of one sale."""
    tax_rate_bp: Array
    """int32; shop prices include the tax."""
    commission_bp: Array
    """int32, of the shop price."""

    @property
    def slope(self) -> Array:
        """Share of the shop price that is left after tax and commission."""
        return 1.0 / (1.0 + self.tax_rate_bp / 10_000) - self.commission_bp / 10_000

    @property
    def offset(self) -> Array:
        """Cost and fee of one unit. Unit profit is slope·price - offset."""
        return self.unit_cost + self.fixed_fee

    @property
    def break_even(self) -> Array:
        """The price without profit."""
        return self.offset / self.slope


class Markets(NamedTuple):
    """What N markets are. [N] float32 unless said; money in minor units."""

    costs: Costs
    demand: demand.Demand
    rivals: rivals.Rivals
    start_price: Array
    """Whole minor units, 35-45 % above break-even."""
    floor: Array
    """Whole minor units, 3 % above break-even."""
    ceiling: Array
    """Whole minor units, 160 % of the reference price."""
    restock_days: Array
    """Between deliveries."""

    @property
    def reference_price(self) -> Array:
        """The cost-plus price, `MARK_UP` times break-even."""
        return self.demand.reference_price


class MarketState(NamedTuple):
    """Where N markets stand. [N] float32 unless said."""

    step: Array
    """int32 scalar: periods so far."""
    day: Array
    """Days since the start."""
    on_hand: Array
    """Units."""
    days_to_restock: Array
    pace: Array
    """Units a day, smoothed: what the merchant orders by."""
    drift: demand.Drift
    rivals: rivals.RivalState


class Outcome(NamedTuple):
    """What one period brought, and what can be seen at its end. [N] float32 unless said."""

    impressions: Array
    clicks: Array
    units: Array
    rival_prices: Array
    """[N, R] after the rivals have moved; 0 where there is no rival."""
    rival_in_stock: Array
    """bool [N, R]."""
    on_hand: Array
    """After sales and deliveries."""
    profit: Array
    """Of the units that were sold, minor units."""


def sample_markets(key: Array, n: int) -> Markets:
    """Draw ``n`` markets."""
    k = jax.random.split(key, 5)
    costs = _sample_costs(k[0], n)
    reference_price = MARK_UP * costs.break_even
    field = rivals.sample(k[1], costs.break_even, reference_price)
    return Markets(
        costs=costs,
        demand=demand.sample(k[2], reference_price, field),
        rivals=field,
        start_price=jnp.round(costs.break_even * jax.random.uniform(k[3], (n,), minval=1.35, maxval=1.45)),
        floor=jnp.ceil(1.03 * costs.break_even),
        ceiling=jnp.floor(1.6 * reference_price),
        restock_days=jax.random.uniform(k[4], (n,), minval=3.0, maxval=14.0),
    )


def with_other_shoppers(key: Array, markets: Markets) -> Markets:
    """The same offers and rivals before other shoppers: a regime change. As many come as before, and buy otherwise."""
    others = demand.sample(key, markets.reference_price, markets.rivals)
    kept = {name: getattr(markets.demand, name) for name in ("traffic", "season_amplitude", "season_phase_days")}
    return markets._replace(demand=others._replace(**kept))


def initial_state(markets: Markets) -> MarketState:
    """Start: full stock, rivals at their list prices, no drift."""
    zero = jnp.zeros_like(markets.start_price)
    state = MarketState(
        step=jnp.zeros((), jnp.int32),
        day=zero,
        on_hand=zero,
        days_to_restock=markets.restock_days,
        pace=zero,
        drift=demand.Drift(zero, zero),
        rivals=rivals.initial(markets.rivals),
    )
    pace = markets.demand.traffic * purchase_probability(markets, state, markets.reference_price[:, None])[:, 0]
    return state._replace(pace=pace, on_hand=_order_up_to(pace, markets.restock_days))


def step(markets: Markets, state: MarketState, price: Array, key: Array, dt_days: Array) -> tuple[MarketState, Outcome]:
    """Let one period pass.

    Shoppers see ``price`` and the rivals' present prices; then deliveries arrive, demand drifts and rivals move.

    Args:
        markets: N markets.
        state: Where they stand.
        price: [N] in effect during the period.
        key: Key of the run, the same at every step.
        dt_days: Length of the period, [N] or scalar.
    """
    luck = jax.random.split(jax.random.fold_in(key, state.step), 5)
    u_delivered, drift = jax.random.uniform(luck[1], price.shape), jax.random.normal(luck[2], (2, *price.shape))
    impressions, clicks, units = _sales(markets, state, price, luck[0], dt_days)
    on_hand, days_to_restock = _restock(markets, state, state.on_hand - units, u_delivered, dt_days)
    moved = rivals.move(markets.rivals, state.rivals, price, luck[3], dt_days)
    after = MarketState(
        step=state.step + 1,
        day=state.day + dt_days,
        on_hand=on_hand,
        days_to_restock=days_to_restock,
        pace=state.pace + (units / dt_days - state.pace) * -jnp.expm1(-dt_days / 14.0),
        drift=demand.drifted(state.drift, drift, dt_days),
        rivals=moved,
    )
    profit = units * (markets.costs.slope * price - markets.costs.offset)
    return after, Outcome(impressions, clicks, units, moved.price, moved.in_stock, on_hand, profit)


def purchase_probability(markets: Markets, state: MarketState, price: Array) -> Array:
    """Probability that an impression becomes a sale, [N, A] for prices [N, A]. Falls in the price."""
    of_one = jax.vmap(demand.purchase_probability, (None, None, None, None, 0))
    return jax.vmap(of_one)(markets.demand, state.drift, markets.rivals, state.rivals, price)


def expected_profit_rate(markets: Markets, state: MarketState, price: Array) -> Array:
    """Give the expected profit a day at present, without luck, while stock lasts (0 where there is none).

    Args:
        markets: N markets.
        state: Where they stand.
        price: [N, A].

    Returns:
        float32 [N, A], minor units a day.
    """
    traffic = demand.traffic_rate(markets.demand, state.drift, state.day)
    units = traffic[:, None] * purchase_probability(markets, state, price)
    unit_profit = markets.costs.slope[:, None] * price - markets.costs.offset[:, None]
    return jnp.where(state.on_hand[:, None] > 0, units * unit_profit, 0.0)


def optimal_price(markets: Markets, state: MarketState) -> Array:
    """Find the price in [floor, ceiling] of the highest expected profit rate, given the rivals' present prices.

    The optimum of one period: it does not foresee how rivals answer. Expected profit has a single peak, so three
    nested grids of 25 prices pin it down to 0.05 % of the price.

    Returns:
        float32 [N], minor units.
    """
    stocked = state._replace(on_hand=jnp.ones_like(state.on_hand))
    low, high = markets.floor, markets.ceiling
    for _ in range(3):
        grid = jnp.linspace(low, high, 25, axis=1)
        best = jnp.argmax(expected_profit_rate(markets, stocked, grid), axis=1)[:, None]
        low = jnp.take_along_axis(grid, jnp.maximum(best - 1, 0), axis=1)[:, 0]
        high = jnp.take_along_axis(grid, jnp.minimum(best + 1, 24), axis=1)[:, 0]
    return (low + high) / 2.0


def _sample_costs(key: Array, n: int) -> Costs:
    k = jax.random.split(key, 4)
    return Costs(
        unit_cost=jnp.clip(jnp.round(1500.0 * jnp.exp(0.8 * jax.random.normal(k[0], (n,)))), 200.0, 50_000.0),
        fixed_fee=jax.random.choice(k[1], jnp.asarray([0.0, 0.0, 25.0]), (n,)),
        tax_rate_bp=jax.random.choice(k[2], jnp.asarray([0, 700, 1900, 2000]), (n,)),
        commission_bp=jax.random.choice(k[3], jnp.asarray([0, 800, 1200, 1500]), (n,)),
    )


def _sales(
    markets: Markets, state: MarketState, price: Array, key: Array, dt_days: Array
) -> tuple[Array, Array, Array]:
    """Impressions, clicks and units of one period, [N] each."""
    shoppers = markets.demand
    uniform, normal = jax.random.split(key)
    u_shown, u_bought, u_clicked = jax.random.uniform(uniform, (3, *price.shape))
    shock = jax.random.normal(normal, (2, *price.shape))
    shown = demand.traffic_rate(shoppers, state.drift, state.day) * dt_days * _shock(shoppers.traffic_noise, shock[0])
    impressions = poisson_quantile(u_shown, shown)
    bought = purchase_probability(markets, state, price[:, None])[:, 0] * _shock(shoppers.demand_noise, shock[1])
    units = jnp.minimum(poisson_quantile(u_bought, impressions * bought), jnp.minimum(impressions, state.on_hand))
    browsing = impressions * shoppers.click_rate * jnp.sqrt(markets.reference_price / price)
    clicks = jnp.minimum(units + poisson_quantile(u_clicked, browsing), impressions)
    return impressions, clicks, units


def _shock(spread: Array, normal: Array) -> Array:
    """Log-normal with mean 1."""
    return jnp.exp(spread * normal - spread**2 / 2.0)


def _order_up_to(pace: Array, days: Array) -> Array:
    need = pace * days
    return jnp.ceil(1.4 * need + 2.0 * jnp.sqrt(need) + 2.0)


def _restock(markets: Markets, state: MarketState, left: Array, uniform: Array, dt_days: Array) -> tuple[Array, Array]:
    """Deliver what is due; one delivery in ten fails to come."""
    waiting = state.days_to_restock - dt_days
    due = waiting <= 0.0
    wanted = _order_up_to(state.pace, markets.restock_days)
    on_hand = jnp.where(due & (uniform < 0.9), jnp.maximum(left, wanted), left)
    return on_hand, jnp.where(due, markets.restock_days, waiting)
