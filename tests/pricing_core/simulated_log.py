"""A shop's log as the gate reads it, made in simulated markets by a model that explores."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from pricing_core.choose import choose, probabilities
from pricing_core.evaluation.logged_prices import LoggedPrices
from pricing_core.features import featurize
from pricing_core.learning.shop import observe, open_shops, remember
from pricing_core.q_function import q_values
from pricing_core.simulator.market import expected_profit_rate, step

DAYS = 30


def values(params):
    """Q-values of a model."""
    return lambda inputs: q_values(params, *featurize(inputs))


@partial(jax.jit, static_argnums=(0, 2))
def _play(value, epsilon, n, key):
    k_open, k_run = jax.random.split(key)
    shop = open_shops(k_open, n, price_spread=0.1)
    shop = shop._replace(merchant=shop.merchant._replace(period_days=jnp.ones(n)))

    def day(shop, today):
        k_market, k_seen, k_luck = jax.random.split(jax.random.fold_in(k_run, today), 3)
        inputs, prices = observe(shop)
        chosen, propensity = choose(value(inputs), inputs.legal, jax.random.uniform(k_luck, (n,)), epsilon)
        price = jnp.take_along_axis(prices, chosen[:, None], axis=1)[:, 0]
        state, outcome = step(shop.markets, shop.state, price, k_market, 1.0)
        after = shop._replace(state=state, memory=remember(shop, price, outcome, k_seen))
        seen = (
            inputs,
            prices,
            chosen,
            propensity,
            outcome.profit,
            outcome.units,
            outcome.impressions,
            shop.state.on_hand,
            expected_profit_rate(shop.markets, shop.state, prices),
        )
        return after, seen

    return shop, jax.lax.scan(day, shop, jnp.arange(DAYS))[1]


class SimulatedLog:
    """Decisions of all shops of all days but the first ten, and the shops."""

    def __init__(self, value, epsilon, shops, seed):
        self.epsilon = epsilon
        self.start, seen = _play(value, epsilon, shops, jax.random.key(seed))
        seen = jax.tree.map(lambda column: column[10:].reshape(-1, *column.shape[2:]), seen)
        choice = np.flatnonzero(np.asarray(seen[0].legal).sum(axis=1) > 1)
        self.inputs, prices, chosen, _, profit, units, shown, stock, truth = jax.tree.map(lambda c: c[choice], seen)
        shop = np.tile(np.arange(shops), DAYS - 10)[choice]
        self.shop, self.offer = np.unique(shop, return_inverse=True)
        double = lambda column: np.asarray(column, np.float64)  # noqa: E731
        counted = np.asarray(self.start.merchant.shows_impressions)[shop]
        self.truth = double(truth)
        """What each candidate would earn on the day, in expectation, if stock were enough for it."""
        costs = jax.tree.map(lambda column: double(column)[shop, None], self.start.markets.costs)
        expected = self.truth / (costs.slope * double(prices) - costs.offset)
        self.ample = double(stock) > 4.0 * expected.max(axis=1) + 20.0
        """Stock cannot run out on the day."""
        self.shown = np.where(counted > 0, double(shown), 1.0)
        self.logged = LoggedPrices(
            offer=self.offer,
            context=double(featurize(self.inputs)[0]),
            prices=double(prices),
            action=np.asarray(chosen, np.int64),
            logging=self.probabilities(value),
            currency=np.zeros(len(chosen), np.int64),
            profit=double(profit),
            units=double(units),
            exposure=self.shown,
            censored=np.asarray(units >= stock),
        )

    def probabilities(self, value):
        """What another model would have done, with the same share of exploration."""
        return np.asarray(probabilities(jax.jit(value)(self.inputs), self.inputs.legal, self.epsilon), np.float64)
