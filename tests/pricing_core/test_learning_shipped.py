"""The model that ships: whole, better than simple rules on markets that it has not seen, and sober."""

import hashlib
from functools import cache
from importlib import resources

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from pricing_core.evaluation import policies
from pricing_core.evaluation.score import score
from pricing_core.learning.shop import open_shops, remember
from pricing_core.model_file import load_model
from pricing_core.simulator.market import step
from pricing_core.simulator.rivals import UNDERCUTTER

MODELS = resources.files("pricing_core") / "models"
N = 256


@cache
def shipped():
    return load_model(None)


def last_prices(shop, days):
    """Prices as shares of the starting price after ``days`` under the shipped model."""
    model = shipped()
    policy = policies.model(model.params, model.epsilon)
    shop = shop._replace(merchant=shop.merchant._replace(period_days=jnp.ones(N)))

    @jax.jit
    def day(shop, key):
        k_market, k_seen, k_luck = jax.random.split(key, 3)
        price = policy(shop, jax.random.uniform(k_luck, (N,)))
        state, outcome = step(shop.markets, shop.state, price, k_market, shop.merchant.period_days)
        return shop._replace(state=state, memory=remember(shop, price, outcome, k_seen))

    now = shop
    for key in jax.random.split(jax.random.key(8), days):
        now = day(now, key)
    return np.asarray(now.memory.price / shop.memory.price)


def test_the_manifest_describes_the_weights_and_the_card_names_them():
    weights = (MODELS / "default.safetensors").read_bytes()
    assert hashlib.sha256(weights).hexdigest() == shipped().sha256
    assert len(weights) < 200_000
    assert shipped().manifest.training.preset == "default"
    assert shipped().sha256 in (MODELS / "MODEL_CARD.md").read_text()


def test_it_earns_more_than_holding_cost_plus_and_matching_on_markets_it_has_not_seen():
    model = shipped()
    rules = {
        "model": policies.model(model.params, model.epsilon),
        "cost_plus": policies.cost_plus,
        "match": policies.match_cheapest,
    }
    scores = score(rules, seed=424_242, shops=N, days=40)
    best_rule = max(scores[name].share for name in ("hold", "cost_plus", "match"))
    assert scores["model"].share > best_rule + 0.02
    assert scores["model"].share > 0.94
    assert scores["model"].early_share > max(scores[name].early_share for name in ("hold", "cost_plus", "match"))
    assert scores["model"].over_hold > scores["model"].over_hold_interval
    assert scores["optimum"].share == pytest.approx(1.0)


def test_it_does_not_follow_undercutters_to_the_bottom():
    shop = open_shops(jax.random.key(4), N, price_spread=0.0)
    field = shop.markets.rivals
    undercut = field._replace(kind=jnp.full_like(field.kind, UNDERCUTTER), present=jnp.ones_like(field.present))
    prices = last_prices(shop._replace(markets=shop.markets._replace(rivals=undercut)), 40)
    assert prices.mean() > 0.98
    assert prices.min() > 0.8


def test_without_a_single_shopper_prices_stay_near_where_they_were():
    shop = open_shops(jax.random.key(5), N, price_spread=0.0)
    deserted = shop.markets.demand._replace(traffic=jnp.zeros(N))
    prices = last_prices(shop._replace(markets=shop.markets._replace(demand=deserted)), 40)
    assert prices.min() > 0.9
    assert prices.max() < 1.35
